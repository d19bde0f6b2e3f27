"""Every kind of thing in EC2 that can carry our tags: how to list it, and what removes it.

Discovery, removal and the audit after it read this one table. Kinds that we never make are in it
too, because whoever makes an image or a snapshot of a workshop's machine copies its tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioner.models import Resource
from provisioner.providers.aws.clients import Clients


@dataclass(frozen=True, slots=True)
class Kind:
    """`remove` is what to type; `ours` says that a launch can make it."""

    name: str
    describe: str
    key: str  # of the answer's list
    id: str  # key of an item's id
    remove: str
    ours: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)  # parameters of `describe`
    gone: frozenset[str] = frozenset()  # states in which it exists no more

    def found(self, clients: Clients, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Described items that exist, instances without their reservations."""
        for item in clients.pages(self.describe, self.key, Filters=filters, **self.more):
            for one in item.get("Instances", (item,)):
                if _state(one) not in self.gone:
                    yield one

    def resource(self, item: Mapping[str, Any], region: str) -> Resource:
        name = str(item[self.id])
        return Resource(self.name, name, f"aws ec2 {self.remove.format(id=name)} --region {region}")


def _state(item: Mapping[str, Any]) -> str:
    state = item.get("State")
    return str(state["Name"] if isinstance(state, dict) else state)


INSTANCE = Kind(
    "instance",
    "ec2:DescribeInstances",
    "Reservations",
    "InstanceId",
    "terminate-instances --instance-ids {id}",
    ours=True,
    gone=frozenset({"terminated"}),
)
ADDRESS = Kind(
    "static address",
    "ec2:DescribeAddresses",
    "Addresses",
    "AllocationId",
    "release-address --allocation-id {id}",
    ours=True,
)
VOLUME = Kind(
    "volume",
    "ec2:DescribeVolumes",
    "Volumes",
    "VolumeId",
    "delete-volume --volume-id {id}",
    ours=True,
    gone=frozenset({"deleting", "deleted"}),
)
INTERFACE = Kind(
    "network interface",
    "ec2:DescribeNetworkInterfaces",
    "NetworkInterfaces",
    "NetworkInterfaceId",
    "delete-network-interface --network-interface-id {id}",
    ours=True,
)
GROUP = Kind(
    "security group",
    "ec2:DescribeSecurityGroups",
    "SecurityGroups",
    "GroupId",
    "delete-security-group --group-id {id}",
    ours=True,
)
KEY_PAIR = Kind(
    "key pair",
    "ec2:DescribeKeyPairs",
    "KeyPairs",
    "KeyPairId",
    "delete-key-pair --key-pair-id {id}",
)
SNAPSHOT = Kind(
    "snapshot",
    "ec2:DescribeSnapshots",
    "Snapshots",
    "SnapshotId",
    "delete-snapshot --snapshot-id {id}",
    more={"OwnerIds": ["self"]},
)
IMAGE = Kind(
    "image",
    "ec2:DescribeImages",
    "Images",
    "ImageId",
    "deregister-image --image-id {id}",
    more={"Owners": ["self"]},
    gone=frozenset({"deregistered"}),
)

KINDS = (INSTANCE, ADDRESS, VOLUME, INTERFACE, GROUP, KEY_PAIR, SNAPSHOT, IMAGE)
