"""Which Debian the machine boots: what Debian publishes in SSM, asked once for a workshop."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.errors import Refused
from provisioner.models import GIB
from provisioner.providers.aws.clients import Clients

PARAMETER = "/aws/service/debian/release/13/latest/{arch}"
"""Public, and the same in every region. Source: https://wiki.debian.org/Cloud/AmazonEC2Image"""

DEBIAN_ARCH = {"x86_64": "amd64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class Ami:
    id: str
    name: str
    arch: str
    root_device: str
    disk: int  # bytes that its root disk has at least


def find(clients: Clients, ami: str, arch: str) -> Ami:
    """The image named `ami`, or else Debian 13's newest for `arch` (as EC2 calls it).

    Raises Refused when there is no such image in the region.
    """
    image_id = ami or _newest(clients, PARAMETER.format(arch=DEBIAN_ARCH[arch]))
    found = clients.call("ec2:DescribeImages", ImageIds=[image_id])["Images"]
    if not found:
        raise Refused(
            f"There is no image {image_id} in {clients.region}", hint="leave aws.ami empty"
        )
    image = found[0]
    root = str(image["RootDeviceName"])
    sizes = [
        int(device.get("Ebs", {}).get("VolumeSize", 0))
        for device in image.get("BlockDeviceMappings", ())
        if device.get("DeviceName") == root
    ]
    return Ami(
        image_id,
        str(image.get("Name", "")),
        str(image.get("Architecture", arch)),
        root,
        GIB * max(sizes, default=0),
    )


def _newest(clients: Clients, name: str) -> str:
    found = clients.call("ssm:GetParameters", Names=[name])["Parameters"]
    if not found:
        raise Refused(
            f"Debian has not published an image in {clients.region} ({name})",
            hint="set aws.ami to a Debian 13 image of that region",
        )
    return str(found[0]["Value"])
