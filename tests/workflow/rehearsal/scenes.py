"""Evidence as a rehearsal would bring it, made by hand."""

from __future__ import annotations

from typing import Any

from provisioner.models import GIB, MIB, Limits
from provisioner.visits import Failure, Span, Stage, Visit
from provisioner.workflow.rehearsal.evidence import Evidence
from provisioner.workflow.rehearsal.machine import Load, Reading

ENDS = {
    Stage.LOGIN: 0.05,
    Stage.SERVER: 0.7,
    Stage.KERNEL: 0.9,
    Stage.CELL: 1.0,
    Stage.NOTEBOOK: 1.5,
    Stage.AGAIN: 2.0,
}


def visit(username: str, *, first_cell: float = 8.0, failure: Failure | None = None) -> Visit:
    """Comes through all stages; with a failure, up to its kernel and no further."""
    spans, before = [], 0.0
    for stage, share in ENDS.items():
        failed = failure if stage is Stage.CELL else None
        spans.append(Span(username, stage, before, first_cell * share, failed))
        before = first_cell * share
        if failed:
            break
    return Visit(username, spans)


def visits(count: int, **kwargs: Any) -> tuple[Visit, ...]:
    return tuple(visit(f"user{number:02}", **kwargs) for number in range(1, count + 1))


def load(*, busy: float = 0.5, used: int = 4 * GIB, stolen: float = 0.0, full: float = 0.5) -> Load:
    """Two minutes of an 8 GiB machine with 4 cores."""
    readings = []
    for number in range(61):
        ticks = number * 800
        cpu = (int(ticks * busy), 0, 0, int(ticks * (1 - busy - stolen)), 0, 0, 0)
        readings.append(
            Reading(
                at=2.0 * number,
                cpu=(*cpu, int(ticks * stolen)),
                cores=4,
                memory=8 * GIB,
                available=8 * GIB - used,
                disk=number * MIB,
                received=number * MIB,
                sent=0,
                space=(("/", 100 * GIB, int(100 * GIB * full)),),
            )
        )
    return Load(readings)


def evidence(found: tuple[Visit, ...] | None = None, **changes: Any) -> Evidence:
    found = visits(4) if found is None else found
    values: dict[str, Any] = {
        "name": "geo",
        "notebook": "mine.ipynb",
        "where": "server",
        "hold": 10.0,
        "seconds": 30.0,
        "visits": found,
        "warm": frozenset(),
        "limits": Limits(memory=GIB, cpu=1.0, disk=2 * GIB),
        "held": len(found),
        "load": load(),
    }
    return Evidence(**values | changes)
