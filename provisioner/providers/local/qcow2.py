"""The head of a qcow2 file: as much of it as must be known before a machine starts from one."""

from __future__ import annotations

import struct
from pathlib import Path

from provisioner.errors import Refused

_HEAD = struct.Struct(">4sIQIIQ")  # magic, version, backing file's offset and size, bits, capacity
_MAGIC = b"QFI\xfb"


def capacity(disk: Path) -> int:
    """Bytes that a guest sees.

    Raises Refused when it is no qcow2, or stands on another file: which one would be the choice of
    whoever made the image, and it could be any of this computer's.
    """
    with disk.open("rb") as file:
        head = file.read(_HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        raise Refused(
            f"{disk} is not a qcow2 image", hint="qemu-img convert -O qcow2 makes one of it"
        )
    _, _, backing, _, _, size = _HEAD.unpack(head)
    if backing:
        raise Refused(f"{disk} is an overlay of another image", hint="qemu-img convert -O qcow2")
    return int(size)
