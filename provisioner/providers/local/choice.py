"""Which image a machine starts from: one baked here, or Debian's own, downloaded.

A baked one is better wherever it can be had: it is made at this computer's own speed, once, and
has the container images inside. Debian's is for computers that cannot bake.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import StrEnum

from provisioner.providers.local import packages


class Kind(StrEnum):
    BAKE = "bake"
    GENERICCLOUD = "genericcloud"


def decide(wanted: str, *, baked: bool, can_bake: bool, obtainable: Callable[[], bool]) -> Kind:
    """`wanted` is local.image. `obtainable` may ask the network, so it is asked last.

    When nothing can be had it is the bake, whose findings then say what is in its way.
    """
    if wanted != "auto":
        return Kind(wanted)
    if baked or can_bake or not obtainable():
        return Kind.BAKE
    return Kind.GENERICCLOUD


def can_bake(
    *,
    system: str = sys.platform,
    user: int | None = None,
    which: Callable[[str], str | None] = packages.find_program,
) -> bool:
    """Root on Linux, with the tools or with the apt-get that brings them."""
    root = (os.geteuid() if user is None else user) == 0
    tools = all(which(program) for program in packages.BAKING)
    return system == "linux" and root and (tools or which("apt-get") is not None)
