"""What one workshop's machine costs, and which kinds of machine would do, cheapest first."""

from __future__ import annotations

import re

from provisioner.errors import Refused
from provisioner.models import Quote, Spec
from provisioner.providers.aws import catalogue, order
from provisioner.sizing import format_size

CANDIDATES = 6
"""So many kinds of machine are tried before a region counts as full."""

GRAVITON = re.compile(r"[a-z]+\d+g")
"""AWS's own processors have a g behind the generation: t4g, c7gn, im4gn."""

HOURS_A_MONTH = 730
FREE_THROUGHPUT = 125  # MiB/s
THROUGHPUT_PER_GIB = 0.5
"""A MiB/s of gp3 above the free ones costs half of what a GiB costs: 0.04 and 0.08 USD a month in
us-east-1, and so elsewhere. Source: https://aws.amazon.com/ebs/pricing/"""


def candidates(spec: Spec, region: str) -> tuple[str, ...]:
    """Types of machine to ask for, the best first: the one that is set, or those that fit.

    Raises Refused when none fits.
    """
    if spec.aws.instance_type:
        return (spec.aws.instance_type,)
    size = spec.size
    fitting = catalogue.load().ranked(region, memory=size.memory, cores=size.cores)
    if not fitting:
        raise Refused(
            f"No machine that AWS rents out in {region} has {format_size(size.memory)} of memory "
            f"and {size.cores} cores",
            hint="fewer --users, or less --memory or --cpu for each",
        )
    return tuple(kind.name for kind in fitting[:CANDIDATES])


def quote(spec: Spec, region: str) -> Quote:
    """The machine that would be asked for first. Raises Refused when none fits, or when the price
    of the one that is set is not known."""
    prices = catalogue.load()
    name = candidates(spec, region)[0]
    kind = prices.find(name)
    machine = hourly(name, region)
    if kind is None or machine is None:
        raise Refused(
            f"The price of {name} in {region} is not known", hint="leave aws.instance_type empty"
        )
    disk, address = disk_hourly(spec, region), prices.ipv4_per_hour
    reasons = [
        f"{name}: {kind.vcpus} cores, {format_size(kind.memory)} for "
        f"{format_size(spec.size.memory)}, {machine:.4f} USD/h on demand",
        f"disk: {order.disk_gib(spec)} GiB gp3, {disk:.4f} USD/h; address: {address:.4f} USD/h",
    ]
    if not prices.priced(region):
        reasons.append(f"no prices of {region} are known: those of the dearest region stand in")
    if spec.aws.spot:
        reasons.append("spot machines cost less, and AWS may take them back at any time")
    return Quote(name, round(machine + disk + address, 4), prices.as_of, tuple(reasons))


def hourly(name: str, region: str) -> float | None:
    """US dollars of the machine alone, or None where its price is not known."""
    kind = catalogue.load().find(name)
    return catalogue.load().hourly(kind, region) if kind else None


def disk_hourly(spec: Spec, region: str) -> float:
    """US dollars: storage, and the throughput beyond what is free."""
    gib_month = catalogue.load().ebs_gp3_per_gib_month(region)
    paid = order.THROUGHPUT - FREE_THROUGHPUT
    units = order.disk_gib(spec) + paid * THROUGHPUT_PER_GIB
    return units * gib_month / HOURS_A_MONTH


def arch(name: str) -> str:
    """Of a type, as EC2 calls it; told by its name where the catalogue does not have it."""
    kind = catalogue.load().find(name)
    if kind:
        return kind.arch
    return "arm64" if GRAVITON.match(name) else "x86_64"
