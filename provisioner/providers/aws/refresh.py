"""Renews prices.json from AWS: `python -m provisioner.providers.aws.refresh`.

For maintainers, before a release; the program itself never runs it. It needs credentials that may
call pricing:GetProducts and ec2:DescribeInstanceTypes, both free and read-only, and prints what
changed. Two answers to one question are an error, never a choice: the price list also holds
dedicated hosts, reservations and software, and a wrong row looks like a price.

Fields: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-the-aws-price-list-api.html
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from provisioner.errors import ProvisionError
from provisioner.models import GIB, MIB
from provisioner.providers.aws.catalogue import PRICES, Catalogue, InstanceType, parse
from provisioner.providers.aws.clients import Clients

# The price list is kept here for all regions, and here every family of ours is described.
HOME = "us-east-1"

FAMILIES = (
    *("m7i", "m6i", "m7a", "m6a"),  # 4 GiB a core
    *("r7i", "r6i", "r7a", "r6a"),  # 8
    *("c7i", "c6i", "c7a", "c6a"),  # 2
    *("m8g", "m7g", "r8g", "r7g", "c8g", "c7g"),  # arm64
)
SIZES = ("large", *(f"{times}xlarge" for times in ("", 2, 4, 8, 12, 16, 24, 32)))

GP3 = {"productFamily": "Storage", "volumeApiName": "gp3"}
IPV4 = {"group": "VPCPublicIPv4Address", "regionCode": HOME}

# Not GovCloud and not China, which are partitions of their own with other accounts.
_COMMERCIAL = re.compile(r"(?!us-gov|us-iso|cn|eu-isoe)[a-z]{2}-[a-z]+-\d+")


class Pages(Protocol):
    """As much of Clients as this needs: AWS in us-east-1."""

    def pages(self, action: str, key: str, /, **parameters: Any) -> Iterator[Any]: ...


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of the price list: US dollars for one unit in one region."""

    region: str
    usage: str  # such as EUW2-EBS:VolumeUsage.gp3
    price: float
    published: str  # ISO 8601


def running(name: str) -> dict[str, str]:
    """What tells a Linux machine on shared hardware, without paid software, from all others.

    "Used" is one that runs, as opposed to a reservation that waits for one.
    """
    return {
        "instanceType": name,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }


def collect(aws: Pages) -> Catalogue:
    """Today's catalogue. A type without any price is left out.

    Raises ProvisionError when AWS contradicts itself or leaves out what every machine needs.
    """
    days: list[str] = []

    def prices(usage: str, service: str, fields: Mapping[str, str]) -> dict[str, float]:
        rates = [rate for rate in _rates(aws, service, fields) if rate.usage.endswith(usage)]
        days.extend(rate.published for rate in rates)
        return _by_region(rates, what=usage)

    types = [
        replace(kind, prices=found)
        for kind in _describe(aws)
        if (found := prices(f"BoxUsage:{kind.name}", "AmazonEC2", running(kind.name)))
    ]
    gp3 = prices("EBS:VolumeUsage.gp3", "AmazonEC2", GP3)
    ipv4 = prices("PublicIPv4:InUseAddress", "AmazonVPC", IPV4)
    if not (types and gp3 and ipv4):
        raise ProvisionError(
            "AWS's price list lacks machines, gp3 disks or public addresses;"
            " its fields may have been renamed. Nothing was written."
        )
    return Catalogue(
        as_of=min(days)[:10],
        source="AWS Price List API",
        types=tuple(types),
        gp3=gp3,
        ipv4_per_hour=ipv4[HOME],
    )


def _describe(aws: Pages) -> list[InstanceType]:
    """The types of our families and sizes in the order of the tables above, without prices."""
    described = aws.pages(
        "ec2:DescribeInstanceTypes",
        "InstanceTypes",
        Filters=[{"Name": "instance-type", "Values": [f"{family}.*" for family in FAMILIES]}],
    )
    found = {kind["InstanceType"]: kind for kind in described}
    return [
        InstanceType(
            name=name,
            vcpus=kind["VCpuInfo"]["DefaultVCpus"],
            memory=kind["MemoryInfo"]["SizeInMiB"] * MIB,
            arch=kind["ProcessorInfo"]["SupportedArchitectures"][0],
            prices={},
        )
        for name in (f"{family}.{size}" for family in FAMILIES for size in SIZES)
        if (kind := found.get(name))
    ]


def _rates(aws: Pages, service: str, fields: Mapping[str, str]) -> Iterator[Rate]:
    """Rows of `service` in which every one of `fields` has exactly that value."""
    rows = aws.pages(
        "pricing:GetProducts",
        "PriceList",
        ServiceCode=service,
        FormatVersion="aws_v1",
        Filters=[
            {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in fields.items()
        ],
    )
    for row in map(json.loads, rows):
        attributes = row["product"]["attributes"]
        # Local zones and Outposts have the same products at other prices.
        if attributes.get("locationType") != "AWS Region":
            continue
        for term in row["terms"].get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                price = float(dimension["pricePerUnit"].get("USD", 0))
                if price and _COMMERCIAL.fullmatch(attributes["regionCode"]):
                    yield Rate(
                        region=attributes["regionCode"],
                        usage=attributes["usagetype"],
                        price=price,
                        published=row["publicationDate"],
                    )


def _by_region(rates: Iterable[Rate], *, what: str) -> dict[str, float]:
    prices: dict[str, float] = {}
    for rate in rates:
        if prices.setdefault(rate.region, rate.price) != rate.price:
            raise ProvisionError(
                f"AWS's price list has two prices for {what} in {rate.region}:"
                f" {prices[rate.region]} and {rate.price}. Nothing was written."
            )
    return prices


def dump(catalogue: Catalogue) -> str:
    """The text of prices.json, one line a type, so that a diff shows what changed."""
    regions = sorted({region for kind in catalogue.types for region in kind.prices})
    rows = [
        f"  {json.dumps(kind.name)}: "
        + _compact(
            {
                "vcpus": kind.vcpus,
                "memory_gib": kind.memory // GIB,
                "arch": kind.arch,
                "prices": [kind.prices.get(region) for region in regions],
            }
        )
        for kind in catalogue.types
    ]
    fields = {
        "as_of": catalogue.as_of,
        "source": catalogue.source,
        "ipv4_per_hour": catalogue.ipv4_per_hour,
        "gp3_per_gib_month": dict(sorted(catalogue.gp3.items())),
        "regions": regions,
    }
    head = [f'"{name}": {_compact(value)},' for name, value in fields.items()]
    return "\n".join(["{", *head, '"types": {', ",\n".join(rows), "}", "}", ""])


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def changes(old: Catalogue, new: Catalogue) -> list[str]:
    """One line for each type or price that is new, gone or different; empty when none is."""
    before, after = _prices(old), _prices(new)
    lines = [f"+ {what}: {after[what]}" for what in after if what not in before]
    lines += [f"- {what}: {before[what]}" for what in before if what not in after]
    return lines + [
        f"  {what}: {before[what]} → {after[what]}"
        for what in before
        if what in after and before[what] != after[what]
    ]


def _prices(catalogue: Catalogue) -> dict[str, float]:
    return {
        **{f"{k.name} in {region}": p for k in catalogue.types for region, p in k.prices.items()},
        **{f"gp3 in {region}": price for region, price in catalogue.gp3.items()},
        "IPv4": catalogue.ipv4_per_hour,
    }


def refresh(path: Path, aws: Pages) -> list[str]:
    """Rewrite `path` and answer with what changed in it. Raises ProvisionError."""
    old, new = parse(path.read_text(encoding="utf-8")), collect(aws)
    path.write_text(dump(new), encoding="utf-8")
    return [
        *changes(old, new),
        f"{len(new.types)} types, prices of {new.as_of}; before: {len(old.types)} of {old.as_of}",
    ]


def main() -> int:
    try:
        lines = refresh(PRICES, Clients(region=HOME))
    except ProvisionError as error:
        print(error.message, error.hint, sep="\n", file=sys.stderr)
        return error.exit_code
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
