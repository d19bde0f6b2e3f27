"""What could go wrong in AWS, found before anything costs money. Everything here only reads.

Each check is a function that yields findings; one that AWS refuses or can't answer becomes a
finding itself, and the others still run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from provisioner.errors import NotReady, Refused, UsageError
from provisioner.models import Finding, Findings, Severity, Spec
from provisioner.providers.aws import (
    catalogue,
    image,
    instances,
    ladder,
    making,
    network,
    order,
    permissions,
    pricing,
)
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.failures import AwsError, SignIn
from provisioner.providers.aws.folder import Choice

LAUNCH = timedelta(minutes=30)
"""A launch takes less, with time to look at what it made."""

ON_DEMAND, SPOT, ADDRESSES = "L-1216C47A", "L-34B43A08", "L-0263D0A3"
"""Quotas: vCPUs of the standard families on demand, the same as spot, static addresses.
Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-quotas.html"""

STANDARD = re.compile(r"(a|c|d|h|i|im|is|m|r|t|z)\d")
"""Types that the vCPU quota is about: families A, C, D, H, I, M, R, T and Z."""


@dataclass
class Look:
    """What the checks share, asked once."""

    spec: Spec
    clients: Clients
    whereabouts: Callable[[], str]
    now: datetime

    @cached_property
    def type(self) -> str:
        return pricing.candidates(self.spec, self.clients.region)[0]

    @cached_property
    def net(self) -> network.Net:
        return network.find(self.clients, self.spec.aws.subnet)

    @cached_property
    def places(self) -> list[order.Place]:
        return ladder.places(self.clients, self.spec, self.net)

    @cached_property
    def ami(self) -> image.Ami:
        return image.find(self.clients, self.spec.aws.ami, pricing.arch(self.type))

    @property
    def region(self) -> str:
        return self.clients.region


def findings(
    spec: Spec, clients: Clients, whereabouts: Callable[[], str], now: Callable[[], datetime]
) -> Findings:
    """All of them, in the order in which a person would fix them; without credentials only those
    that need none."""
    look = Look(spec, clients, whereabouts, now())
    found: list[Finding] = []
    for subject, check in CHECKS:
        try:
            found += [
                Finding(item.severity, item.subject or subject, item.message, item.hint)
                for item in check(look)
            ]
        except (AwsError, Refused, NotReady, UsageError) as error:
            found.append(Finding(Severity.ERROR, subject, error.message, error.hint))
            if isinstance(error, UsageError):  # nobody is signed in, or there is no region
                break
    # Several checks may stand on the same thing that is missing.
    return tuple(dict.fromkeys(found))


def _user_data(look: Look) -> Iterator[Finding]:
    size = len(look.spec.user_data)
    if size > order.USER_DATA_LIMIT:
        yield _error(
            f"is {size:,} bytes; EC2 takes {order.USER_DATA_LIMIT:,}",
            "shorten the environment (python, apt, variables) in workshop.toml",
        )


def _region(look: Look) -> Iterator[Finding]:
    yield _info(look.region)


def _price(look: Look) -> Iterator[Finding]:
    if pricing.hourly(look.type, look.region) is None:
        message = f"of {look.type} in {look.region} is not known to this program"
        yield Finding(
            Severity.WARNING, "", message, "https://aws.amazon.com/ec2/pricing/on-demand/"
        )
        return
    quote = pricing.quote(look.spec, look.region)
    hours = max(0.0, (look.spec.expires_at - look.now) / timedelta(hours=1))
    yield _info(
        f"{quote.machine}: {quote.hourly:.3f} USD/h, about {quote.hourly * hours:.2f} USD until "
        f"the deadline in {hours:.0f} h (prices of {quote.as_of})"
    )


def _ssh(look: Look) -> Iterator[Finding]:
    source = making.source(look.spec, look.whereabouts)
    if source.endswith("/0"):
        yield Finding(
            Severity.WARNING, "", f"may be reached from everywhere ({source})", "set aws.ssh_from"
        )
    else:
        yield _info(f"may be reached from {source}")


def _identity(look: Look) -> Iterator[Finding]:
    caller = look.clients.caller()
    yield _info(f"account {caller.account} as {caller.arn}")


def _credentials(look: Look) -> Iterator[Finding]:
    end = look.clients.credentials_end()
    if end is None or end - look.now > LAUNCH:
        return
    minutes = max(0, int((end - look.now) / timedelta(minutes=1)))
    yield Finding(
        Severity.WARNING if minutes >= 10 else Severity.ERROR,
        "",
        f"end in {minutes} min, which may be before the workshop is ready",
        "sign in again first",
    )


def _subnets(look: Look) -> Iterator[Finding]:
    if not any(subnet.free for subnet in look.net.subnets):
        names = ", ".join(subnet.id for subnet in look.net.subnets)
        yield _error(f"no address is free in {names or look.net.vpc}", "name another aws.subnet")
    named = bool(look.spec.aws.subnet)
    for subnet in look.net.subnets[:1]:
        if not network.leads_out(look.clients, look.net.vpc, subnet.id):
            yield Finding(
                Severity.ERROR if named else Severity.WARNING,
                "",
                f"{subnet.id} of {look.net.vpc} has no route to an internet gateway, so nobody "
                "could reach the machine",
                "name a public subnet in aws.subnet",
            )


def _offerings(look: Look) -> Iterator[Finding]:
    if not look.places:
        kinds = ", ".join(pricing.candidates(look.spec, look.region))
        yield _error(f"no zone of {look.region} that can be used offers {kinds}", "--region")


def _image(look: Look) -> Iterator[Finding]:
    wanted = pricing.arch(look.type)
    if look.ami.arch != wanted:
        yield _error(
            f"{look.ami.id} is for {look.ami.arch}, and {look.type} is {wanted}",
            "leave aws.ami empty, or name one of the other kind",
        )
    else:
        yield _info(f"{look.ami.id} ({look.ami.name})")


def _vcpus(look: Look) -> Iterator[Finding]:
    if not STANDARD.match(look.type):
        return
    code = SPOT if look.spec.aws.spot else ON_DEMAND
    allowed = _quota(look, code)
    if allowed is None:
        yield _info("can't be read; if it is too low, the launch says so")
        return
    used = _in_use(look)
    wanted = _vcpus_of(look.type)
    if used + wanted > allowed:
        yield _error(
            f"the account may run {allowed:.0f} vCPUs in {look.region}, {used} are in use, and "
            f"{look.type} has {wanted}",
            ladder.ask_for_more(code, look.type, look.region),
        )


def _addresses(look: Look) -> Iterator[Finding]:
    allowed = _quota(look, ADDRESSES) if look.spec.aws.static_ip else None
    if allowed is None:
        return
    used = len(look.clients.call("ec2:DescribeAddresses")["Addresses"])
    if used >= allowed:
        yield _error(
            f"the account may have {allowed:.0f} in {look.region}, and has {used}",
            ladder.ask_for_more(ADDRESSES, "", look.region),
        )


def _permissions(look: Look) -> Iterator[Finding]:
    if not look.places:
        return
    owner, group = look.spec.owner, network.default_group(look.clients, look.net.vpc)
    choice = Choice(
        look.spec.id,
        look.spec.name,
        look.clients.caller().account,
        look.region,
        owner,
        ami=look.ami.id,
        root_device=look.ami.root_device,
        least_disk=look.ami.disk,
        vpc=look.net.vpc,
        group=group,
    )
    yield from permissions.findings(look.clients, look.spec, choice, look.places[0])


CHECKS: tuple[tuple[str, Callable[[Look], Iterator[Finding]]], ...] = (
    ("user-data", _user_data),
    ("region", _region),
    ("price", _price),
    ("sign-in", _identity),
    ("credentials", _credentials),
    ("ssh", _ssh),
    ("network", _subnets),
    ("machine", _offerings),
    ("image", _image),
    ("vCPUs", _vcpus),
    ("static addresses", _addresses),
    ("permission", _permissions),
)


def _quota(look: Look, code: str) -> float | None:
    """None where it can't be read: then the launch itself will tell."""
    try:
        said = look.clients.call("servicequotas:GetServiceQuota", ServiceCode="ec2", QuotaCode=code)
    except SignIn:
        raise
    except AwsError:
        return None
    return float(said["Quota"]["Value"])


def _in_use(look: Look) -> int:
    """vCPUs that count against the quota now."""
    alive = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    return sum(
        _vcpus_of(str(item["InstanceType"]))
        for item in instances.described(look.clients, alive)
        if STANDARD.match(item["InstanceType"])
        and (item.get("InstanceLifecycle") == "spot") == look.spec.aws.spot
    )


def _vcpus_of(name: str) -> int:
    """Of types that are not in the catalogue it is a guess: what most of them have at least."""
    kind = catalogue.load().find(name)
    return kind.vcpus if kind else 2


def _error(message: str, hint: str) -> Finding:
    return Finding(Severity.ERROR, "", message, hint)


def _info(message: str) -> Finding:
    return Finding(Severity.INFO, "", message)
