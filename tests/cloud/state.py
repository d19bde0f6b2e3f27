"""moto's own objects, found the way the layer needs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.ec2.models.instances import Instance
from moto.route53.models import FakeZone, route53_backends

from tests.cloud.call import Call


def cloud(region: str) -> EC2Backend:
    return ec2_backends[DEFAULT_ACCOUNT_ID][region]


def clouds() -> Iterator[EC2Backend]:
    """The regions which somebody has used."""
    yield from list(ec2_backends[DEFAULT_ACCOUNT_ID].values())


def instances(backend: EC2Backend) -> Iterator[Instance]:
    for reservation in list(backend.reservations.values()):
        yield from list(reservation.instances)


def instance(instance_id: str) -> Instance | None:
    every = (one for backend in clouds() for one in instances(backend))
    return next((one for one in every if one.id == instance_id), None)


def zone_of(call: Call) -> str | None:
    """The availability zone a RunInstances asks for, if it does."""
    if named := call.params.get("Placement.AvailabilityZone"):
        return str(named)
    subnet = call.params.get("SubnetId") or call.params.get("NetworkInterface.1.SubnetId")
    for zone, subnets in cloud(call.region).subnets.items() if subnet else ():
        if subnet in subnets:
            return str(zone)
    return None


def offered(region: str, kind: str) -> set[str]:
    """The zones which have this instance type."""
    listed: list[dict[str, Any]] = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, [])
    return {one["Location"] for one in listed if one["InstanceType"] == kind}


def kind_facts(kind: str) -> dict[str, Any]:
    facts: dict[str, Any] = INSTANCE_TYPES.get(kind, {})
    return facts


def vcpus(kind: str) -> int:
    return int(kind_facts(kind).get("VCpuInfo", {}).get("DefaultVCpus", 1))


def hosted_zone(zone_id: str) -> FakeZone | None:
    return route53_backends[DEFAULT_ACCOUNT_ID]["aws"].zones.get(zone_id)
