"""Security groups, addresses and tags where moto lets pass what AWS does not."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_ip_addresses import ElasticAddress, ElasticAddressBackend
from moto.ec2.models.instances import Instance, InstanceBackend

from tests.cloud import state
from tests.cloud.answers import Refusal
from tests.cloud.call import Call
from tests.cloud.settings import Settings

moto_allocate = ElasticAddressBackend.allocate_address
moto_modify_groups = InstanceBackend.modify_instance_security_groups


def check_delete_group(call: Call) -> None:
    backend = state.cloud(call.region)
    group_id = call.params.get("GroupId") or _named(call)
    if group_id is None:
        return
    by_interface = any(
        group_id in {group.id for group in nic._group_set} for nic in backend.enis.values()
    )
    by_instance = any(
        one.state != "terminated" and group_id in {group.id for group in one.security_groups}
        for one in state.instances(backend)
    )
    if by_interface or by_instance or _mentioned(call.region, group_id):
        raise Refusal("DependencyViolation", f"resource {group_id} has a dependent object")


def _named(call: Call) -> str | None:
    groups = (g for members in state.cloud(call.region).groups.values() for g in members.values())
    return next((one.id for one in groups if one.name == call.params.get("GroupName")), None)


def _mentioned(region: str, group_id: str) -> bool:
    """By a rule of another group."""
    for members in state.cloud(region).groups.values():
        for group in members.values():
            rules = [*group.ingress_rules, *group.egress_rules]
            sources = {(rule.source_group or {}).get("GroupId") for rule in rules}
            if group.id != group_id and group_id in sources:
                return True
    return False


def check_address(call: Call, settings: Settings) -> None:
    if len(state.cloud(call.region).addresses) >= settings.addresses:
        raise Refusal("AddressLimitExceeded")


def check_associate(call: Call) -> None:
    instance = state.instance(call.params.get("InstanceId", ""))
    if instance is not None and instance.state not in ("running", "stopped"):
        raise Refusal(
            "InvalidInstanceID",
            f"The {instance.state} instance '{instance.id}' is not in a valid state for this "
            "operation.",
        )


def forget_tags_of_the_gone(region: str) -> None:
    """moto keeps the tags of what was deleted, and DescribeTags would find them."""
    backend = state.cloud(region)
    there = {
        "vol": backend.volumes.keys(),
        "eni": backend.enis.keys(),
        "eipalloc": {one.allocation_id for one in backend.addresses},
        "sg": {name for members in backend.groups.values() for name in members},
    }
    for resource in list(backend.tags):
        prefix = resource.partition("-")[0]
        if prefix in there and resource not in there[prefix]:
            del backend.tags[resource]


def modify_groups(backend: Any, instance_id: str, group_ids: list[str]) -> Instance:
    """The groups of an instance are those of its first interface."""
    instance = moto_modify_groups(backend, instance_id, group_ids)
    if 0 in instance.nics:
        instance.nics[0]._group_set = list(instance.security_groups)
    return instance


def install(settings: Settings) -> None:
    def allocate(self: Any, domain: str, address: str | None = None, **more: Any) -> ElasticAddress:
        # Where every instance has one address, an address of its own is that one, too.
        return moto_allocate(self, domain, address or settings.public_address, **more)

    ElasticAddressBackend.allocate_address = allocate  # type: ignore[method-assign]
    InstanceBackend.modify_instance_security_groups = modify_groups  # type: ignore[method-assign]
