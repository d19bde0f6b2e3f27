"""From a spec to the request for one machine. Pure: the same order makes the same request.

That matters beyond tidiness: AWS takes a repeated request for the same one only if its token and
every parameter are the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from provisioner.models import GIB, Spec
from provisioner.providers.aws import tags
from provisioner.providers.aws.folder import Choice

USER_DATA_LIMIT = 16_384
"""Bytes, before base64, which boto3 adds. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-metadata.html"""

THROUGHPUT = 250
"""MiB/s of the disk, of which 125 are free: building and pulling images is what it waits for."""

IOPS = 3000
"""What gp3 has without being paid for."""

TAGGED = ("instance", "volume", "network-interface")
"""What RunInstances makes, each born with its tags: nothing is ever there and unfindable."""


@dataclass(frozen=True, slots=True)
class Place:
    """One kind of machine in one zone: what there may or may not be room for."""

    type: str
    zone: str
    subnet: str

    def __str__(self) -> str:
        return f"{self.type} in {self.zone}"


def run_instances(spec: Spec, choice: Choice, place: Place, token: str) -> dict[str, Any]:
    """The parameters of RunInstances for exactly one machine.

    The machine ends, disk and all, when it is shut down from inside: that is what its own
    deadline does, without anybody's credentials. Metadata need a session and are one network hop
    away at most, so that a participant's container does not reach them.
    """
    labels = tags.of(spec, choice.owner)
    request: dict[str, Any] = {
        "ClientToken": token,
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": choice.ami,
        "InstanceType": place.type,
        "UserData": spec.user_data,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "BlockDeviceMappings": [
            {
                "DeviceName": choice.root_device,
                "Ebs": {
                    "VolumeType": "gp3",
                    "VolumeSize": disk_gib(spec, choice.least_disk),
                    "Iops": IOPS,
                    "Throughput": THROUGHPUT,
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": place.subnet,
                "Groups": [choice.group],
                # A static address comes when the machine runs, and must be its only one.
                "AssociatePublicIpAddress": not spec.aws.static_ip,
                "DeleteOnTermination": True,
            }
        ],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
        },
        "TagSpecifications": [{"ResourceType": kind, "Tags": labels} for kind in TAGGED],
    }
    if spec.aws.instance_profile:
        request["IamInstanceProfile"] = {"Name": spec.aws.instance_profile}
    if spec.aws.spot:
        request["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {
                "SpotInstanceType": "one-time",
                "InstanceInterruptionBehavior": "terminate",
            },
        }
    return request


def disk_gib(spec: Spec, least: int = 0) -> int:
    """Whole GiB of the root disk; `least` is what the image needs, in bytes."""
    return -(-max(spec.aws.disk or spec.size.disk, least) // GIB)


def client_token(workshop_id: str, generation: int, place: Place) -> str:
    """Makes RunInstances safe to repeat: at most 64 characters, the same for the same attempt.

    AWS keeps tokens by zone and for at least a day after the machine's end, so the zone is part
    of it, and `generation` counts what was tried or had before. Source:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/ec2-api-idempotency.html
    """
    text = f"{workshop_id}/{generation}/{place.zone}/{place.subnet}/{place.type}"
    return f"provision-{hashlib.sha256(text.encode()).hexdigest()[:40]}"
