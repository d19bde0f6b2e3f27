"""What `status` has seen: the record beside reality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from provisioner.models import Phase, Server, ServerState
from provisioner.store import Record
from provisioner.workflow.cost import participants
from provisioner.workflow.health import Container, Machine
from provisioner.workflow.launch import is_over
from provisioner.workflow.seats import Seat, State


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool
    says: str


@dataclass(frozen=True, slots=True)
class Status:
    """`machine` and `seats` are of the last time that the server could be asked, `at`."""

    record: Record
    phase: Phase
    checks: tuple[Check, ...]
    seats: tuple[Seat, ...] = field(default=())
    machine: Machine | None = None
    services: Mapping[str, Container] = field(default_factory=dict)
    at: datetime | None = None
    certificate_until: datetime | None = None
    cost: float | None = None  # US dollars so far, about
    cost_at_end: float | None = None  # at the deadline

    @property
    def seconds_left(self) -> float:
        return (self.record.expires_at - datetime.now(UTC)).total_seconds()

    def each(self, dollars: float | None) -> float | None:
        """A participant's share."""
        return None if dollars is None else dollars / participants(self.record)

    @property
    def wrong(self) -> tuple[str, ...]:
        """All that somebody should look at, in words."""
        return tuple(self._wrong())

    def _wrong(self) -> Iterator[str]:
        if self.record.failure:
            yield self.record.failure
        if self.phase is Phase.EXPIRED:
            yield "the deadline has passed"
        for check in self.checks:
            if not check.ok:
                yield f"{check.name}: {check.says}"
        for seat in self.seats:
            for trouble in seat.troubles:
                yield f"{seat.username}: {trouble}"

    @property
    def counts(self) -> dict[State, int]:
        """How many participants are in each state, states with nobody left out."""
        found = Counter(seat.state for seat in self.seats)
        return {state: found[state] for state in State if found[state]}

    def as_json(self) -> dict[str, Any]:
        record = self.record
        return {
            "name": record.name,
            "provider": record.provider,
            "phase": self.phase,
            "url": record.url,
            "expires_at": record.expires_at.isoformat(),
            "seconds_left": round(self.seconds_left),
            "failure": record.failure,
            "cost_usd": _cents(self.cost),
            "cost_at_deadline_usd": _cents(self.cost_at_end),
            "cost_usd_per_participant": _cents(self.each(self.cost)),
            "cost_at_deadline_usd_per_participant": _cents(self.each(self.cost_at_end)),
            "certificate_expires_at": self.certificate_until and self.certificate_until.isoformat(),
            "asked_at": self.at and self.at.isoformat(),
            "ok": not self.wrong,
            "wrong": list(self.wrong),
            "checks": [
                {"name": item.name, "ok": item.ok, "says": item.says} for item in self.checks
            ],
            "machine": None if self.machine is None else _machine_json(self.machine),
            "services": [
                {
                    "name": name,
                    "state": item.state,
                    "health": item.health,
                    "restarts": item.restarts,
                }
                for name, item in sorted(self.services.items())
            ],
            "counts": {str(state): count for state, count in self.counts.items()},
            "participants": [seat.as_json() for seat in self.seats],
        }


def phase_of(record: Record, server: Server | None) -> Phase:
    over = is_over(record) and (server is None or server.state is ServerState.STOPPED)
    return Phase.EXPIRED if over else record.phase


def _machine_json(machine: Machine) -> dict[str, Any]:
    return {
        "load": list(machine.load),
        "cores": machine.cores,
        "cpu_percent": None if machine.cpu is None else round(machine.cpu, 1),
        "memory_bytes": machine.memory,
        "memory_used_bytes": machine.memory_used,
        "uptime_seconds": round(machine.uptime),
        "disks": [
            {
                "mounted_on": disk.target,
                "bytes": disk.size,
                "used_bytes": disk.used,
                "free_bytes": disk.free,
            }
            for disk in machine.disks
        ],
    }


def _cents(dollars: float | None) -> float | None:
    return None if dollars is None else round(dollars, 2)
