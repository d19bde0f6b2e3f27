"""What the machine answered about itself (render/health.py), as values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from provisioner.errors import NotYet
from provisioner.models import KIB
from provisioner.protocols import Remote
from provisioner.render import health

PARTICIPANT = "jupyter-"
PATIENCE = 30.0
"""Seconds of silence from a machine that is not emulated: more than any one part of the answer."""


@dataclass(frozen=True, slots=True)
class Container:
    state: str  # Docker's: running, exited, created, …
    health: str = ""  # healthy, unhealthy, starting; "" where nobody looks
    restarts: int = 0
    code: int = 0  # how it ended
    out_of_memory: bool = False
    memory_limit: int = 0  # bytes; 0 is none


@dataclass(frozen=True, slots=True)
class Usage:
    """What one container uses. `memory` in bytes, `cpu` in per cent of a core."""

    memory: int | None = None
    cpu: float | None = None
    killed: int = 0  # processes that the kernel ended for want of memory


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody as the hub knows them, and their server."""

    activity: str = ""  # the last of theirs that the hub noticed, in its own spelling
    serving: bool = False  # there is a server, or one on its way
    ready: bool = False
    pending: str = ""  # spawn, stop or check
    started: datetime | None = None
    used: datetime | None = None  # when something last happened in the server
    why: str | None = ""  # why the last start failed; None: not asked, it is known already


@dataclass(frozen=True, slots=True)
class Disk:
    target: str
    size: int
    used: int
    free: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory in bytes, CPU in per cent of all cores."""

    load: tuple[float, ...] = ()
    cores: int = 0
    cpu: float | None = None
    memory: int = 0
    memory_used: int = 0
    uptime: float = 0.0
    disks: tuple[Disk, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """One look at the machine. Everything about people is by user name."""

    at: datetime
    machine: Machine
    services: Mapping[str, Container]
    containers: Mapping[str, Container] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    people: Mapping[str, Known] | None = None  # None: the hub can't be asked, see `hub_error`
    hub_error: str = ""
    docker_silent: bool = False  # then nothing is known of containers
    logins: Mapping[str, datetime] | None = None  # the last time a Lab was opened in a browser
    disk: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # used, limit (0: unknown)


def ask(remote: Remote, seen: Mapping[str, str], *, timeout: float) -> Health:
    """One round trip. Raises NotYet when the answer was cut short."""
    patience = max(1.0, timeout / PATIENCE)
    script = health.script(seen, patience=patience)
    said = remote.run(health.LOOK, timeout=timeout, stdin=script)
    return parse(said.out)


def parse(text: str) -> Health:
    parts = _sections(text)
    if "end" not in parts:
        raise NotYet("the machine's answer about itself was cut short")
    containers = {str(item.get("name", ""))[1:]: item for item in _objects(parts["containers"])}
    theirs = {
        name.removeprefix(PARTICIPANT): _container(item)
        for name, item in containers.items()
        if name.startswith(PARTICIPANT)
    }
    services = {
        str(item.get("service")): _container(item)
        for name, item in containers.items()
        if not name.startswith(PARTICIPANT)
    }
    silent: dict[str, Any] = {"error": "it does not answer"}
    said = next(_objects(parts.get("people", [])), silent)
    error = str(said.get("error") or "")
    logins = said.get("logins")
    return Health(
        at=datetime.fromtimestamp(_number(parts["machine"], "time"), UTC),
        machine=_machine(parts),
        services=services,
        containers=theirs,
        usage=_usage(parts["before"], parts["after"]),
        people=None if error else {item["name"]: _known(item) for item in said["users"]},
        hub_error=error,
        docker_silent=health.SILENT in parts["containers"],
        logins=None
        if logins is None
        else {name: datetime.fromisoformat(at).replace(tzinfo=UTC) for name, at in logins.items()},
        disk=_folders(parts.get("folders", []))
        | _quota(parts.get("projects", []), parts.get("quota", [])),
    )


def _sections(text: str) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(health.SECTION):
            lines = parts.setdefault(line.removeprefix(health.SECTION), [])
        else:
            lines.append(line)
    return parts


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def _container(item: Mapping[str, Any]) -> Container:
    return Container(
        str(item.get("state")),
        str(item.get("health") or ""),
        int(item.get("restarts") or 0),
        int(item.get("code") or 0),
        bool(item.get("oom")),
        int(item.get("memory") or 0),
    )


def _known(item: Mapping[str, Any]) -> Known:
    return Known(
        activity=str(item.get("activity") or ""),
        serving="why" not in item,
        ready=bool(item.get("ready")),
        pending=str(item.get("pending") or ""),
        started=_moment(item.get("started")),
        used=_moment(item.get("used")),
        why=_reason(item.get("why", "")),
    )


def _reason(said: str | None) -> str | None:
    """Without what the hub, and spawner.py, put before the words that explain it."""
    if said is None:
        return None
    return said.removeprefix("Spawn failed: ").rpartition("Docker says: ")[2]


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


def _number(lines: Iterable[str], word: str) -> float:
    """The number after `word`, which begins a line; 0 where there is none."""
    for line in lines:
        first, _, rest = line.partition(" ")
        if first == word and rest.split():
            return float(rest.split()[0])
    return 0.0


def _machine(parts: Mapping[str, list[str]]) -> Machine:
    said = parts["machine"]
    load = next((line.split()[1:4] for line in said if line.startswith("load ")), [])
    total = int(_number(said, "MemTotal")) * KIB
    return Machine(
        load=tuple(map(float, load)),
        cores=int(_number(said, "cores")),
        cpu=_busy(parts["before"], parts["after"]),
        memory=total,
        memory_used=max(0, total - int(_number(said, "MemAvailable")) * KIB),
        uptime=_number(said, "uptime"),
        disks=tuple(_disks(parts.get("disks", []))),
    )


def _busy(before: list[str], after: list[str]) -> float | None:
    """Per cent of all cores, from two of /proc/stat's first lines."""
    first, last = ([*map(int, _line(part, "cpu"))] for part in (before, after))
    spent = [later - earlier for earlier, later in zip(first, last, strict=False)]
    total = sum(spent[:8])  # guests' time, after it, is counted in the others
    return None if total <= 0 else 100.0 * (total - spent[3] - spent[4]) / total


def _line(lines: Iterable[str], word: str) -> list[str]:
    return next((line.split()[1:] for line in lines if line.split()[:1] == [word]), [])


def _disks(lines: Iterable[str]) -> Iterator[Disk]:
    seen = set()
    for line in lines:
        match line.split():
            case [source, target, *numbers] if len(numbers) == 3 and numbers[0].isdigit():
                size, used, free = map(int, numbers)
                if (source, size) not in seen:  # two folders of one file system
                    seen.add((source, size))
                    yield Disk(target, size, used, free)


def _usage(before: list[str], after: list[str]) -> dict[str, Usage]:
    seconds = _number(after, "uptime") - _number(before, "uptime")
    earlier, now = _samples(before), _samples(after)
    made = {}
    for name, values in now.items():
        memory, cpu, spent = values.get("memory"), None, values.get("cpu")
        if memory is not None:  # without what the kernel gives back when it is needed
            memory = max(0, memory - values.get("cache", 0))
        begun = earlier.get(name, {}).get("cpu")
        if spent is not None and begun is not None and seconds > 0:
            cpu = max(0.0, 100.0 * (spent - begun) / 1e9 / seconds)
        made[name] = Usage(memory, cpu, values.get("killed", 0))
    return made


MEANING = {
    ("memory.current", ""): ("memory", 1),
    ("memory.usage_in_bytes", ""): ("memory", 1),
    ("memory.stat", "inactive_file"): ("cache", 1),
    ("memory.stat", "total_inactive_file"): ("cache", 1),
    ("memory.events", "oom_kill"): ("killed", 1),
    ("memory.oom_control", "oom_kill"): ("killed", 1),
    ("cpu.stat", "usage_usec"): ("cpu", 1000),
    ("cpuacct.usage", ""): ("cpu", 1),
}
"""A file of a control group and the word in it → what it is, and how many bytes, processes or
nanoseconds its unit is. Version 1 says the total, children included, after its own."""


def _samples(lines: Iterable[str]) -> dict[str, dict[str, int]]:
    made: dict[str, dict[str, int]] = {}
    for line in lines:
        match line.split():
            case [name, file, value]:
                key = (file, "")
            case [name, file, word, value]:
                key = (file, word)
            case _:
                continue
        if key in MEANING:
            what, unit = MEANING[key]
            made.setdefault(name, {})[what] = int(value) * unit
    return made


_QUOTA = re.compile(r"#?(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s")


def _quota(projects: Iterable[str], report: Iterable[str]) -> dict[str, tuple[int, int]]:
    """xfs_quota's table counts in KiB: project, used, soft limit, hard limit."""
    names = dict(line.split(":", 1) for line in projects if ":" in line)
    rows = (match for line in report if (match := _QUOTA.match(line)))
    return {
        name: (int(row[2]) * KIB, int(row[4]) * KIB) for row in rows if (name := names.get(row[1]))
    }


def _folders(lines: Iterable[str]) -> dict[str, tuple[int, int]]:
    pairs = (line.split("\t", 1) for line in lines if "\t" in line)
    return {name: (int(size), 0) for size, name in pairs}
