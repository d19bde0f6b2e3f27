"""What outlives a run, below $PROVISION_CACHE/engine: root file systems, images, and locks.

rootfs-<key>/        the guest's files, unpacked; never written to
docker-<key>/        a Docker data-root in which images are built, with the build cache
machines/<name>-*/   one running machine each; on the same file system, so that images are
                     shared with it by hard links
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from provisioner.cli.wiring import image_folder

CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "provision-engine-"
GONE = ".gone-"


def root() -> Path:
    path = image_folder().parent / "engine"
    (path / "machines").mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def held(name: str) -> Iterator[None]:
    """Wait for the lock of this name, and have it. The kernel gives it back when we die."""
    with (root() / f".lock-{name}").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def new_machine(name: str) -> tuple[Path, IO[str]]:
    """A folder, and the open lock that says that somebody lives there."""
    with held("machines"):
        sweep()
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root() / "machines"))
        folder.chmod(0o755)
        return folder, _lock(folder)


def sweep() -> None:
    """Remove machines whose owner has died. Those that were to be kept stay."""
    for folder in (root() / "machines").iterdir():
        if folder.name.startswith(GONE):
            shutil.rmtree(folder, ignore_errors=True)
        elif not (folder / "keep").exists():
            try:
                lock = _lock(folder)
            except (BlockingIOError, FileNotFoundError):  # somebody's, or gone this moment
                continue
            with lock:
                remove_groups(folder.name)
                remove(folder)


def remove(folder: Path) -> None:
    """Renamed first: a folder that has lost its lock would look like a dead machine's."""
    gone = folder.with_name(GONE + folder.name)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _lock(folder: Path) -> IO[str]:
    file = (folder / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file


def group(machine: str) -> str:
    """The control group below which all containers of a machine are."""
    return f"/{PREFIX}{machine}"


def groups(machine: str) -> list[Path]:
    return [*CGROUPS.glob(f"{PREFIX}{machine}"), *CGROUPS.glob(f"*/{PREFIX}{machine}")]


def remove_groups(machine: str, *, patience: float = 10.0) -> None:
    """Docker leaves them; they empty a moment after their last process has died."""
    deadline = time.monotonic() + patience
    while tops := groups(machine):
        for top in tops:
            for folder, _, _ in os.walk(top, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
