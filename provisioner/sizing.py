"""People × limits → a machine, with the arithmetic in words that an organiser can check."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from provisioner.models import GIB, KIB, MIB, Limits, Size

SYSTEM_MEMORY = 2 * GIB
"""Kernel, Docker, hub, proxy and Caddy, with room for builds and page cache."""

SYSTEM_DISK = 12 * GIB
"""The guest's own files, the container images and their logs, and what make-homes keeps free."""

OVERHEAD = 8
"""Percent that ext4 takes before anybody has a file on it: 5 for root, and its own tables."""

_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": 1024 * GIB}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE)


def parse_size(text: object) -> int:
    """Bytes from "512M", "2G", "1.5 GiB" or a plain number. Units are powers of 1024.

    Raises ValueError.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    size = float(match[1]) * _UNITS[match[2].upper()] if match else math.inf
    if math.isinf(size):
        raise ValueError(f"{text!r} is not a size; write 512M, 2G or 1.5G")
    return int(size)


def format_size(size: float) -> str:
    """At most one decimal, in the largest unit that keeps the number above one: 1.0 GiB."""
    for unit, factor in (("TiB", 1024 * GIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{int(size)} B"


def flag_size(size: float) -> str:
    """A size as it is typed on the command line, rounded down to 64 MiB: 448M, 1.5G."""
    steps = max(1, int(size // (64 * MIB)))
    megabytes = steps * 64
    return f"{megabytes / 1024:g}G" if megabytes % 512 == 0 else f"{megabytes}M"


def machine_for(people: int, limits: Limits, *, cores: int, data: int = 0) -> Size:
    """A machine on which everybody can use all of their share at once, but for CPU.

    `data` are bytes that all share.
    `cores` is how many can be had; a participant's CPU limit caps bursts, so cores are shared.
    """
    return Size(
        memory=people * limits.memory + SYSTEM_MEMORY,
        cores=max(1, min(cores, math.ceil(people * limits.cpu))),
        disk=disk_for(people, limits, data),
    )


def disk_for(people: int, limits: Limits, data: int = 0) -> int:
    """Bytes of the disk on which all homes have all of their room at once; beside `data`."""
    used = homes_for(people, limits.disk) + SYSTEM_DISK + data
    return -(-used * (100 + OVERHEAD) // 100)  # rounded up, so that data_on finds `data` again


def data_on(disk: int, people: int, limits: Limits) -> int:
    """The `data` that disk_for was given when it came to `disk`."""
    used = disk * 100 // (100 + OVERHEAD)
    return max(0, used - homes_for(people, limits.disk) - SYSTEM_DISK)


def homes_for(people: int, share: int) -> int:
    """Bytes of homes.img, as `wanted` in cloud-init/make-homes: inodes and XFS's own on top."""
    inodes = share // (32 * KIB) + 50_000
    each = share + inodes * 512
    return (people * each * 101 // 100 // MIB + 320) * MIB


def explain_memory(people: int, limits: Limits) -> str:
    """ "30 × 1.0 GiB + 2.0 GiB = 32.0 GiB" """
    total = people * limits.memory + SYSTEM_MEMORY
    return (
        f"{people} × {format_size(limits.memory)} + {format_size(SYSTEM_MEMORY)}"
        f" = {format_size(total)}"
    )


def explain_disk(people: int, limits: Limits, data: int = 0) -> str:
    """ "30 × 2.0 GiB + 12.0 GiB + 8.6 GiB for file systems = 80.6 GiB" """
    total = disk_for(people, limits, data)
    shared = f" + {format_size(data)} of data" if data else ""
    rest = total - people * limits.disk - SYSTEM_DISK - data
    return (
        f"{people} × {format_size(limits.disk)} + {format_size(SYSTEM_DISK)}{shared}"
        f" + {format_size(rest)} for file systems = {format_size(total)}"
    )


def people_that_fit(available: int, *, share: int, system: int) -> int:
    """How many shares fit beside the system in `available` bytes."""
    return max(0, (available - system) // share)


def people_on_disk(available: int, limits: Limits, data: int = 0) -> int:
    """How many homes a disk of `available` bytes has room for, as disk_for counts."""
    most = max(0, available // limits.disk)
    while most and disk_for(most, limits, data) > available:
        most -= 1
    return most


def share_on_disk(available: int, people: int, limits: Limits, data: int = 0) -> int:
    """The largest home in bytes, a multiple of 64 MiB, that `people` can have; may be 0."""
    share = share_that_fits(available, people, system=0)
    while share and disk_for(people, replace(limits, disk=share), data) > available:
        share -= 64 * MIB
    return share


def share_that_fits(available: int, people: int, *, system: int) -> int:
    """The largest share in bytes, a multiple of 64 MiB, that `people` can have; may be 0."""
    return int(max(0, (available - system) // people) // (64 * MIB)) * 64 * MIB
