"""A static address, for those who ask for one: it outlives a night off, and costs while it lasts.

AllocateAddress can't be repeated safely: it has no token, and no name that could be taken. So it
is made with its tags, and looked for by them before another one is made.
"""

from __future__ import annotations

from typing import Any

from provisioner.models import Spec
from provisioner.providers.aws import tags
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.failures import QUOTAS, AwsError
from provisioner.providers.aws.journal import Journal
from provisioner.providers.aws.kinds import ADDRESS
from provisioner.providers.aws.ladder import ask_for_more

ALLOCATE = "ec2:AllocateAddress"
NOT_RUNNING = frozenset({"InvalidInstanceID", "IncorrectInstanceState"})


def allocate(clients: Clients, journal: Journal, spec: Spec, owner: str) -> None:
    """Make sure that the workshop has one. Raises Declined, with the fix, over the quota."""
    if of(clients, spec.id):
        journal.agrees(ALLOCATE)
        return
    labels = [{"ResourceType": "elastic-ip", "Tags": tags.of(spec, owner)}]
    try:
        with journal.intent(ALLOCATE) as said:
            made = clients.call(ALLOCATE, once=True, Domain="vpc", TagSpecifications=labels)
            said["id"] = str(made["AllocationId"])
    except AwsError as error:
        if quota := QUOTAS.get(error.code):
            error.hint = ask_for_more(quota, "", clients.region)
        raise


def of(clients: Clients, workshop_id: str) -> dict[str, Any] | None:
    """The workshop's address, as described."""
    return next(ADDRESS.found(clients, tags.one(workshop_id)), None)


def attach(clients: Clients, journal: Journal, workshop_id: str, instance_id: str) -> str:
    """Give the machine its address; the address, or "" while there is none or it must wait."""
    address = of(clients, workshop_id)
    if address is None:
        return ""
    if address.get("InstanceId") != instance_id:
        allocation = str(address["AllocationId"])
        try:
            with journal.intent("ec2:AssociateAddress", id=allocation, instance=instance_id):
                clients.call(
                    "ec2:AssociateAddress", AllocationId=allocation, InstanceId=instance_id
                )
        except AwsError as error:
            if error.code in NOT_RUNNING:
                return ""
            raise
    return str(address["PublicIp"])
