"""What an account has before anybody makes anything: a way out, and the regions it may use."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import EC2Backend
from moto.ec2.models.availability_zones_and_regions import Region, RegionsAndZonesBackend

# Those which need no opting in; DescribeRegions without AllRegions lists no others.
ENABLED = {
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
}

moto_init = EC2Backend.__init__


def _with_a_way_out(self: EC2Backend, region_name: str, account_id: str) -> None:
    moto_init(self, region_name, account_id)
    if region_name in ENABLED:
        gateway = self.create_internet_gateway()
        self.attach_internet_gateway(gateway.id, self.default_vpc.id)
        for table in self.route_tables.values():
            if table.vpc_id == self.default_vpc.id:
                self.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)


def _enabled(self: Any, region_names: list[str] | None = None) -> list[Region]:
    return [one for one in self.regions if one.name in (region_names or ENABLED)]


def install() -> None:
    EC2Backend.__init__ = _with_a_way_out  # type: ignore[method-assign]
    RegionsAndZonesBackend.describe_regions = _enabled  # type: ignore[method-assign]
