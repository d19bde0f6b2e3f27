"""People × limits → a machine, with the arithmetic in words that an organiser can check."""

from __future__ import annotations

import math
import re

from provisioner.models import GIB, KIB, MIB, Limits, Size

SYSTEM_MEMORY = 2 * GIB
"""Kernel, Docker, hub, proxy and Caddy, with room for builds and page cache."""

SYSTEM_DISK = 12 * GIB
"""The guest's own files, the container images and their logs."""

_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB, "T": 1024 * GIB}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Bytes from "512M", "2G", "1.5 GiB" or a plain number. Units are powers of 1024.

    Raises ValueError.
    """
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a size; write 512M, 2G or 1.5G")
    return int(float(match[1]) * _UNITS[match[2].upper()])


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


def machine_for(people: int, limits: Limits, *, cores: int) -> Size:
    """A machine on which everybody can use all of their share at once, but for CPU.

    `cores` is how many can be had; a participant's CPU limit caps bursts, so cores are shared.
    """
    return Size(
        memory=people * limits.memory + SYSTEM_MEMORY,
        cores=max(1, min(cores, math.ceil(people * limits.cpu))),
        disk=people * limits.disk + SYSTEM_DISK,
    )


def explain_memory(people: int, limits: Limits) -> str:
    """ "30 × 1.0 GiB + 2.0 GiB = 32.0 GiB" """
    total = people * limits.memory + SYSTEM_MEMORY
    return (
        f"{people} × {format_size(limits.memory)} + {format_size(SYSTEM_MEMORY)}"
        f" = {format_size(total)}"
    )


def explain_disk(people: int, limits: Limits) -> str:
    total = people * limits.disk + SYSTEM_DISK
    return (
        f"{people} × {format_size(limits.disk)} + {format_size(SYSTEM_DISK)} = {format_size(total)}"
    )


def people_that_fit(available: int, *, share: int, system: int) -> int:
    """How many shares fit beside the system in `available` bytes."""
    return max(0, (available - system) // share)


def share_that_fits(available: int, people: int, *, system: int) -> int:
    """The largest share in bytes, a multiple of 64 MiB, that `people` can have; may be 0."""
    return int(max(0, (available - system) // people) // (64 * MIB)) * 64 * MIB
