"""Control groups of bakes: made by dockerd, removed by us, as nobody else will."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_PREFIX = "provision-bake-"


def name() -> str:
    return f"/{_PREFIX}{os.getpid()}"


def remove_empty(root: Path = ROOT) -> None:
    """Remove the groups of all bakes that have ended, on cgroup v1 and v2; busy ones stay."""
    for top in (*root.glob(f"{_PREFIX}*"), *root.glob(f"*/{_PREFIX}*")):
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):  # a process is in it, or it went by itself
                Path(folder).rmdir()
