"""Whether the world is sent to the servers that hold the zone; without that no record helps."""

from __future__ import annotations

from provisioner.dns.authoritative import Authorities
from provisioner.errors import NotReady
from provisioner.models import Finding, Findings, Severity


def check_delegation(
    authorities: Authorities, zone: str, servers: frozenset[str], *, lacking: Severity
) -> Findings:
    """`servers` are the zone's own; `lacking` is how bad it is when none of them is delegated to.

    A campus zone may well be unknown outside; a hosted zone that is not delegated to is dead.
    """
    ours = ", ".join(sorted(servers))
    hint = f"where {zone} is registered, set its name servers to: {ours}"
    try:
        told = authorities.delegation(zone)
    except NotReady as error:
        message = f"whether {zone} is delegated to {ours} can't be seen: {error.message}"
        return (Finding(Severity.WARNING, "dns", message, error.hint),)
    if told == servers:
        return ()
    if not told:
        message = f"{zone} is not delegated: the zone above it does not know it"
        return (Finding(lacking, "dns", message, hint),)
    message = f"{zone} is delegated to {', '.join(sorted(told))}, but its servers are {ours}"
    return (Finding(Severity.WARNING if told & servers else lacking, "dns", message, hint),)
