"""How each participant fares, from what the machine and its hub say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from provisioner.models import Limits, Person
from provisioner.sizing import format_size
from provisioner.workflow.health import Container, Health, Known, Usage

FULL = 90.0
"""Per cent of a limit from which on it is trouble."""

IDLE_AFTER = timedelta(minutes=10)
UNUSED = timedelta(minutes=5)
"""A server that nobody has opened still says that something happened while it started."""


class State(StrEnum):
    """In the order in which an instructor wants to see them."""

    FAILED = "failed"
    STARTING = "starting"
    RUNNING = "running"
    IDLE = "idle"
    STOPPED = "stopped"
    NEVER = "never logged in"
    UNKNOWN = "unknown"  # the hub can't be asked


@dataclass(frozen=True, slots=True)
class Seat:
    """One participant. Sizes in bytes, `cpu` in per cent of a core; None is "not known"."""

    username: str
    state: State
    name: str = ""
    admin: bool = False
    server: str = ""  # Docker's word for the container; "" where there is none
    why: str = ""  # of a failure
    last_activity: datetime | None = None
    memory_used: int | None = None
    memory_limit: int | None = None
    cpu: float | None = None
    disk_used: int | None = None
    disk_limit: int | None = None
    killed: int = 0  # processes ended for want of memory, since the server started

    @property
    def memory(self) -> str:
        return _of(self.memory_used, self.memory_limit)

    @property
    def disk(self) -> str:
        return _of(self.disk_used, self.disk_limit)

    @property
    def memory_percent(self) -> float | None:
        return percent(self.memory_used, self.memory_limit)

    @property
    def disk_percent(self) -> float | None:
        return percent(self.disk_used, self.disk_limit)

    @property
    def troubles(self) -> tuple[str, ...]:
        """What somebody should look at, in words; the worst first."""
        return tuple(self._troubles())

    def _troubles(self) -> Iterator[str]:
        if self.state is State.FAILED:
            yield f"failed: {self.why or 'the hub gives no reason'}"
        if (full := self.memory_percent) is not None and full > FULL:
            yield f"memory {full:.0f} % full"
        if (full := self.disk_percent) is not None and full > FULL:
            yield f"disk {full:.0f} % full"

    @property
    def note(self) -> str:
        """What stands beside the numbers."""
        many = f"{self.killed} processes" if self.killed > 1 else "a process"
        ended = [f"{many} ended for want of memory"] if self.killed else []
        return "; ".join([*self.troubles, *ended])

    def as_json(self) -> dict[str, Any]:
        return {
            "username": self.username,
            "name": self.name,
            "admin": self.admin,
            "state": self.state,
            "server": self.server,
            "why": self.why,
            "last_activity": self.last_activity.isoformat() if self.last_activity else None,
            "memory": self.memory,
            "memory_bytes": self.memory_used,
            "memory_limit_bytes": self.memory_limit,
            "cpu_percent": None if self.cpu is None else round(self.cpu, 1),
            "disk_bytes": self.disk_used,
            "disk_limit_bytes": self.disk_limit,
            "killed_for_memory": self.killed,
            "troubles": list(self.troubles),
        }


def percent(used: int | None, limit: int | None) -> float | None:
    return None if used is None or not limit else 100.0 * used / limit


def _of(used: int | None, limit: int | None) -> str:
    if used is None:
        return ""
    return f"{format_size(used)} / {format_size(limit)}" if limit else format_size(used)


def seats(
    people: Sequence[Person],
    seen: Health,
    *,
    limits: Limits | None,
    since: datetime | None,
    reasons: Mapping[str, str],
) -> tuple[Seat, ...]:
    """Everybody, in the order of the sheet.

    `since` is when the workshop was ready, or rehearsed last: whoever was there before was the
    launch, or the rehearsal, trying it out.
    `reasons` are those of failures that an earlier look has heard of already.
    """
    return tuple(_seat(person, seen, limits, since, reasons) for person in people)


def by_trouble(found: Sequence[Seat]) -> list[Seat]:
    """Whoever needs help first, then as they are seated."""
    order = list(State)
    return sorted(
        found, key=lambda seat: (not seat.troubles, not seat.killed, order.index(seat.state))
    )


def _seat(
    person: Person,
    seen: Health,
    limits: Limits | None,
    since: datetime | None,
    reasons: Mapping[str, str],
) -> Seat:
    name = person.username
    container, usage = seen.containers.get(name), seen.usage.get(name, Usage())
    used, limit = seen.disk.get(name, (None, 0))
    known = (seen.people or {}).get(name)
    came = known is not None and _came(name, known, seen, since)
    state, why = _state(known, container, seen, came, reasons.get(name, ""))
    return Seat(
        username=name,
        state=state,
        name=person.name,
        admin=person.admin,
        server=container.state if container else "",
        why=why,
        last_activity=_last(known) if known and came else None,
        memory_used=usage.memory,
        memory_limit=(container and container.memory_limit) or (limits and limits.memory) or None,
        cpu=usage.cpu,
        disk_used=used,
        disk_limit=limit or (limits and limits.disk) or None,
        killed=usage.killed,
    )


def _state(
    known: Known | None, container: Container | None, seen: Health, came: bool, reason: str
) -> tuple[State, str]:
    runs = container is not None and container.state == "running"
    if seen.people is None:
        return (State.RUNNING if runs else State.UNKNOWN), ""
    if known is None:
        return State.NEVER, ""
    if not known.serving:
        why = reason if known.why is None else known.why
        if why:
            return State.FAILED, why
        return (State.STOPPED if came else State.NEVER), ""
    if known.pending == "stop":
        return State.STOPPED, ""
    if not known.ready:
        return State.STARTING, ""
    if not runs and not seen.docker_silent:
        return State.FAILED, _how_it_ended(container)
    if not came:
        return State.NEVER, ""
    last = _last(known)
    idle = last is not None and seen.at - last > IDLE_AFTER
    return (State.IDLE if idle else State.RUNNING), ""


def _how_it_ended(container: Container | None) -> str:
    """Of a server whose end the hub has not noticed yet."""
    if container is None:
        return "the server has ended"
    if container.out_of_memory:
        return "the server was ended for want of memory"
    return f"the server is {container.state} (code {container.code})"


def _last(known: Known) -> datetime | None:
    if known.used is not None:
        return known.used
    return datetime.fromisoformat(known.activity) if known.activity else None


def _came(name: str, known: Known, seen: Health, since: datetime | None) -> bool:
    """Whether a person was there, and not only a server that was started ahead of them."""
    if not known.serving:  # sessions are forgotten with the server
        last = _last(known)
        return since is None or (last is not None and last > since)
    if seen.logins is None:
        return True  # as far as can be told
    login = seen.logins.get(name)
    if login is not None and (since is None or login > since):
        return True
    if known.started is None or known.used is None:
        return False
    begun = known.started if since is None else max(known.started, since)
    return known.used - begun > UNUSED
