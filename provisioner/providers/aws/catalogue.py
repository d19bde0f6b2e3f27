"""What AWS's machines have and cost, from a table that comes with this program.

A plan must name a price without credentials and offline, so prices are data, not a call. A price
that no public source states is not in the table; `as_of` says how old the others are, and
`python -m provisioner.providers.aws.refresh` renews them all.

Sources of prices.json as it was first made: for machines and disks the data of AWS's own public
price pages (EC2 On-Demand, published 2025-04-04; EBS, published 2024-07-18) as the repository
github.com/yeo/ec2.shop keeps them; for addresses AWS's announcement that every public IPv4
address costs 0.005 USD an hour in every region from 2024-02-01.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from provisioner.models import GIB

PRICES = Path(__file__).with_name("prices.json")

# DescribeInstanceTypes and the price list state nominal memory. What the hypervisor keeps and the
# kernel's page tables are 2 to 4 % of it (https://github.com/aws/karpenter-provider-aws/issues/6611
# has a large machine at 3.9 %, with Kubernetes' own share). The part of that which is the kernel's
# stands in the system's memory already, so 3 % is taken off.
USABLE = 0.97


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One kind of machine. `prices`: region → US dollars an hour, on demand, Linux."""

    name: str
    vcpus: int
    memory: int  # bytes, nominal
    arch: str  # x86_64 | arm64
    prices: Mapping[str, float] = field(hash=False, repr=False)

    @property
    def family(self) -> str:
        """ "m7i" of "m7i.2xlarge" """
        return self.name.partition(".")[0]

    def fits(self, memory: int, cores: int, arch: str) -> bool:
        """Whether `memory` bytes of it can be used, and as many cores."""
        return self.arch == arch and self.vcpus >= cores and self.memory * USABLE >= memory


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All kinds of machines that we choose from, and the prices of what belongs to one."""

    as_of: str  # the day of the machines' prices, ISO 8601
    source: str
    types: tuple[InstanceType, ...]
    gp3: Mapping[str, float] = field(hash=False, repr=False)  # region → US dollars, GiB and month
    ipv4_per_hour: float  # US dollars, the same in every region

    def priced(self, region: str) -> bool:
        """Whether prices in `region` are known; otherwise every price there is an estimate."""
        return any(region in kind.prices for kind in self.types)

    def find(self, name: str) -> InstanceType | None:
        return next((kind for kind in self.types if kind.name == name), None)

    def hourly(self, kind: InstanceType, region: str) -> float | None:
        """US dollars an hour, or None where it is not known to be sold.

        In a region without prices: what it costs in the dearest one.
        """
        return kind.prices.get(self._basis(region))

    def ranked(
        self, region: str, *, memory: int, cores: int, arch: str = "x86_64"
    ) -> tuple[InstanceType, ...]:
        """Those sold in `region` that have `memory` usable bytes and `cores`, cheapest first.

        At the same price the one with more memory comes first, then the one with more cores.
        """
        basis = self._basis(region)
        fitting = (
            kind for kind in self.types if basis in kind.prices and kind.fits(memory, cores, arch)
        )
        return tuple(sorted(fitting, key=lambda k: (k.prices[basis], -k.memory, -k.vcpus, k.name)))

    def ebs_gp3_per_gib_month(self, region: str) -> float:
        """US dollars; in a region without a known price, that of the dearest one."""
        return self.gp3.get(region) or max(self.gp3.values())

    def _basis(self, region: str) -> str:
        """Whose prices count in `region`: its own, else those of the dearest region.

        One region for all types, so that their order is one that somewhere is real; told by the
        type that is sold in the most regions.
        """
        if self.priced(region):
            return region
        widest = max(self.types, key=lambda kind: (len(kind.prices), kind.name))
        return max(widest.prices, key=lambda known: (widest.prices[known], known))


@cache
def load() -> Catalogue:
    return parse(PRICES.read_text(encoding="utf-8"))


def parse(text: str) -> Catalogue:
    """A catalogue from the text of prices.json.

    There each type has its prices in the order of `regions`, null where it is not sold.
    """
    table = json.loads(text)
    return Catalogue(
        as_of=table["as_of"],
        source=table["source"],
        types=tuple(
            InstanceType(
                name=name,
                vcpus=row["vcpus"],
                memory=row["memory_gib"] * GIB,
                arch=row["arch"],
                prices=MappingProxyType(
                    {
                        region: price
                        for region, price in zip(table["regions"], row["prices"], strict=True)
                        if price is not None
                    }
                ),
            )
            for name, row in table["types"].items()
        ),
        gp3=MappingProxyType(table["gp3_per_gib_month"]),
        ipv4_per_hour=table["ipv4_per_hour"],
    )
