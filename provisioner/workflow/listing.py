"""`list`: every workshop that this home folder or the provider knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from provisioner.errors import ProvisionError
from provisioner.models import Found
from provisioner.protocols import Discovers
from provisioner.store import CorruptRecord, Record
from provisioner.workflow.cost import cost_of, cost_so_far
from provisioner.workflow.status import phase_of
from provisioner.workflow.tools import Tools


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of `list`: a workshop of a record, of a machine, or of both."""

    name: str
    phase: str
    url: str = ""
    expires_at: datetime | None = None
    people: int = 0
    note: str = ""
    age: float | None = None  # seconds
    cost: float | None = None  # US dollars so far, about


def listing(tools: Tools) -> list[Listed]:
    """Every workshop known to this home folder or to the provider."""
    lines: dict[str, Listed] = {}
    ids = set()
    for name in tools.store.names():
        try:
            record = tools.store.load(name)
        except CorruptRecord as error:
            lines[name] = Listed(name, "unknown", note=error.message)
            continue
        if record is None:
            lines[name] = Listed(name, "unknown", note="its record is missing")
            continue
        ids.add(record.id)
        lines[name] = _of_record(tools, record)
    seen = tools.provider.discover() if isinstance(tools.provider, Discovers) else []
    for found in seen:
        if found.id not in ids and (found.name not in lines or not lines[found.name].url):
            lines.setdefault(found.name, _of_machine(found))
    return [lines[name] for name in sorted(lines)]


def _of_record(tools: Tools, record: Record) -> Listed:
    note, phase = "", record.phase
    if record.provider == tools.provider.name:
        try:
            phase = phase_of(record, tools.provider.find(record.id))
        except ProvisionError as error:
            note = error.message
    return Listed(
        record.name,
        phase,
        record.url,
        record.expires_at,
        sum(not person.admin for person in record.people),
        note,
        age=_age(record.created_at),
        cost=cost_of(tools.store, record),
    )


def _of_machine(found: Found) -> Listed:
    return Listed(
        found.name,
        found.state,
        expires_at=found.expires_at,
        note=f"a machine without a record: {found.details}",
        age=_age(found.created_at),
        cost=cost_so_far(found.hourly, found.created_at),
    )


def _age(since: datetime | None) -> float | None:
    return None if since is None else (datetime.now(UTC) - since).total_seconds()
