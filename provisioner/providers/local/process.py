"""The machine's process, recognised by its own command line.

The process table is the record: it survives a crash of ours at any moment, and cannot be stale as a
file with a pid in it can. A process is ours if it is QEMU, our user's, and carries the workshop's
id and our name; nothing else is ever signalled.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from provisioner.errors import ProvisionError
from provisioner.providers.local.qemu import NAME_PREFIX

TERM_SECONDS, KILL_SECONDS = 1.0, 5.0


@dataclass(frozen=True, slots=True)
class Found:
    process: psutil.Process
    id: str
    name: str
    folder: Path  # where its files are, or were

    @property
    def pid(self) -> int:
        return self.process.pid


def identify(argv: list[str]) -> tuple[str, str, Path] | None:
    """(workshop id, name, folder) if this command line is one of our machines'."""
    if not argv or not Path(argv[0]).name.startswith("qemu-system-"):
        return None
    options = dict(pairwise(argv))
    workshop_id, guest = options.get("-uuid", ""), options.get("-name", "")
    prefix = f"guest={NAME_PREFIX}"
    if not workshop_id or not guest.startswith(prefix):
        return None
    return workshop_id, guest.removeprefix(prefix), Path(options.get("-pidfile", "")).parent


def machines() -> Iterator[Found]:
    """Every machine of this user that runs now."""
    for process in psutil.process_iter():
        try:
            if process.uids().real != os.getuid():
                continue
            identity = identify(process.cmdline())
            if identity and process.status() != psutil.STATUS_ZOMBIE:
                yield Found(process, *identity)
        except psutil.Error:  # it ended while we looked, or is none of our business
            continue


def find(workshop_id: str) -> Found | None:
    return next((found for found in machines() if found.id == workshop_id), None)


def end(workshop_id: str) -> None:
    """End the workshop's machine, if it runs, and wait until it is gone.

    psutil refuses to signal a pid that was given to another process since we looked.
    Raises ProvisionError when it survives everything.
    """
    for found in [machine for machine in machines() if machine.id == workshop_id]:
        for signal, seconds in (
            (psutil.Process.terminate, TERM_SECONDS),
            (psutil.Process.kill, KILL_SECONDS),
        ):
            with suppress(psutil.NoSuchProcess):
                signal(found.process)
            if _gone(found.process, seconds):
                break
        else:
            raise ProvisionError(f"Process {found.pid} does not end", hint=f"kill -9 {found.pid}")


def _gone(process: psutil.Process, seconds: float) -> bool:
    """Whether it ends within `seconds`. A zombie holds nothing: not every init reaps at once."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False
