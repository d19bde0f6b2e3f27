"""Who keeps the workshop's name: one module a keeper, loaded when it is asked for.

boto3 and dnspython are slow to import, so a command that keeps no name must not pay for them.
"""

from __future__ import annotations

from provisioner.errors import UsageError
from provisioner.models import DnsOptions
from provisioner.protocols import Dns

KEEPERS = ("none", "manual", "route53", "rfc2136")
"""What `[dns] provider` may say."""


def make(options: DnsOptions, *, profile: str = "") -> Dns:
    """The keeper that `options.provider` names; asks nobody anything yet.

    `profile` is the AWS profile, "" for the environment's own; only route53 looks at it.
    Raises UsageError for a keeper that there is not.
    """
    if options.provider == "none":
        from provisioner.dns.none import NoDns

        return NoDns()
    if options.provider == "manual":
        from provisioner.dns.manual import ManualDns

        return ManualDns(options)
    if options.provider == "route53":
        from provisioner.dns.route53 import Route53Dns

        return Route53Dns(options, profile=profile)
    if options.provider == "rfc2136":
        from provisioner.dns.rfc2136 import Rfc2136Dns

        return Rfc2136Dns(options)
    raise UsageError(
        f"There is no DNS provider {options.provider!r}",
        hint=f"[dns] provider is one of: {', '.join(KEEPERS)}",
    )
