"""How the server fares while the crowd is there: one command, read line by line in a thread."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO, cast

from provisioner.errors import ProvisionError
from provisioner.protocols import Clock, Remote
from provisioner.render import commands, rehearsal

DISK = re.compile(r"(?:[svh]d[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+)")
"""Whole disks, not their parts, nor what only looks like a disk."""

WIRE = re.compile(r"e(?:th|n)\w*")
SECTOR = 512
SILENCE = 60.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters as the kernel gives them; bytes, but for `cpu`."""

    at: float  # seconds
    cpu: tuple[int, ...]  # ticks: user nice system idle iowait irq softirq steal
    cores: int
    memory: int
    available: int
    disk: int  # read and written since boot
    received: int
    sent: int
    space: tuple[tuple[str, int, int], ...] = ()  # where, size, used


@dataclass(frozen=True, slots=True)
class Sample:
    """The time between two readings."""

    at: float
    cpu: float  # 0-1 of all cores
    stolen: float  # 0-1: what the host of this virtual machine gave to others
    waiting: float  # 0-1: cores with nothing to do but wait for the disk
    memory: float  # 0-1
    disk: float  # bytes a second
    network: float


@dataclass
class Load:
    readings: list[Reading] = field(default_factory=list)

    def samples(self) -> tuple[Sample, ...]:
        return tuple(
            _between(one, two)
            for one, two in zip(self.readings, self.readings[1:], strict=False)
            if two.at > one.at
        )

    @property
    def cores(self) -> int:
        return self.readings[-1].cores if self.readings else 0

    @property
    def memory(self) -> int:
        return self.readings[-1].memory if self.readings else 0

    def since(self, begun: float) -> Load:
        """With times that count from there."""
        later = [item for item in self.readings if item.at >= begun]
        return Load([replace(item, at=item.at - begun) for item in later])

    def peak_memory(self) -> int:
        return max((item.memory - item.available for item in self.readings), default=0)

    def fullest(self) -> dict[str, tuple[int, int]]:
        """Where → (size, most that was used)."""
        found: dict[str, tuple[int, int]] = {}
        for reading in self.readings:
            for where, size, used in reading.space:
                found[where] = (size, max(used, found.get(where, (0, 0))[1]))
        return found


class Watch:
    """Reads the machine's numbers from `start` to `stop`, beside whatever else is asked of it."""

    def __init__(self, remote: Remote, clock: Clock) -> None:
        self._remote, self._clock = remote, clock
        self.begun = clock.monotonic()
        self._over = threading.Event()
        self._rest = b""
        self.load = Load()
        self.killed: Counter[str] = Counter()  # container → what was killed in it for memory
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=10)

    def _read(self) -> None:
        try:
            self._remote.receive(rehearsal.SAMPLE, cast("BinaryIO", self), timeout=SILENCE)
        except (_Enough, ProvisionError):
            return  # without numbers, there is still a rehearsal

    def write(self, chunk: bytes) -> int:
        """What the command prints; a file as far as `receive` needs one."""
        over = self._over.is_set()
        *blocks, self._rest = (self._rest + chunk).split(b"\nend\n")
        for block in blocks:
            text = block.decode("utf-8", "replace")
            at = self._clock.monotonic() - self.begun
            if reading := parse(text, at):
                self.load.readings.append(reading)
            self.killed.update(killed(text))
        if over and blocks:  # one more than was asked for: with all that happened before
            raise _Enough
        return len(chunk)


class _Enough(Exception):
    """Ends the reading, and with it the command."""


def killed(text: str) -> list[str]:
    """Containers in which something was killed for want of memory, once for each time.

    Participants', and the workshop's own parts: an owner's machine may run others besides.
    """
    rows = [line.split() for line in text.splitlines() if line.startswith("oom ")]
    return [row[1] for row in rows if row[1].startswith("jupyter-") or row[2:] == [commands.BUNDLE]]


def parse(text: str, at: float) -> Reading | None:
    """What SAMPLE prints up to "end"; None when something is missing."""
    rows = [line.split() for line in text.splitlines()]
    try:
        cpu = next(row for row in rows if row[0] == "cpu")
        memory = {row[0]: int(row[1]) * 1024 for row in rows if row[0].startswith("Mem")}
        return Reading(
            at=at,
            cpu=tuple(int(word) for word in cpu[1:9]),
            cores=sum(row[0].startswith("cpu") for row in rows) - 1,
            memory=memory["MemTotal:"],
            available=memory["MemAvailable:"],
            disk=SECTOR * sum(int(row[6]) + int(row[10]) for row in _of(rows, "disk", 3, DISK)),
            received=sum(int(row[2]) for row in _of(rows, "net", 1, WIRE)),
            sent=sum(int(row[10]) for row in _of(rows, "net", 1, WIRE)),
            space=tuple(
                (row[1], int(row[2]), int(row[3]))
                for row in rows
                if row[0] == "space" and row[2].isdigit()
            ),
        )
    except (StopIteration, IndexError, KeyError, ValueError):
        return None


def _of(
    rows: list[list[str]], kind: str, column: int, pattern: re.Pattern[str]
) -> Iterator[list[str]]:
    return (row for row in rows if row[0] == kind and pattern.fullmatch(row[column]))


def _between(one: Reading, two: Reading) -> Sample:
    ticks = [later - earlier for earlier, later in zip(one.cpu, two.cpu, strict=True)]
    total = max(1, sum(ticks))
    idle, waiting, stolen = ticks[3], ticks[4], ticks[7]
    seconds = two.at - one.at
    network = two.received + two.sent - one.received - one.sent
    return Sample(
        at=two.at,
        cpu=min(1.0, max(0.0, (total - idle - waiting) / total)),
        stolen=max(0.0, stolen / total),
        waiting=max(0.0, waiting / total),
        memory=1 - two.available / two.memory,
        disk=max(0.0, (two.disk - one.disk) / seconds),
        network=max(0.0, network / seconds),
    )
