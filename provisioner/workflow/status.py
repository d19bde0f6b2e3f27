"""`status`: the record beside reality, without changing either."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from provisioner.errors import ProvisionError
from provisioner.models import Found, Phase, Server, ServerState
from provisioner.protocols import Discovers, Remote
from provisioner.render import commands
from provisioner.store import CorruptRecord, Record
from provisioner.workflow.checks import parse_services
from provisioner.workflow.cost import cost_so_far
from provisioner.workflow.launch import is_over
from provisioner.workflow.tools import Tools, quietly


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool
    says: str


@dataclass(frozen=True, slots=True)
class Seat:
    username: str
    state: str  # "not started" | "running" | "stopped"
    memory: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    record: Record
    phase: Phase
    checks: tuple[Check, ...]
    seats: tuple[Seat, ...] = field(default=())

    @property
    def seconds_left(self) -> float:
        return (self.record.expires_at - datetime.now(UTC)).total_seconds()

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
            "checks": [
                {"name": item.name, "ok": item.ok, "says": item.says} for item in self.checks
            ],
            "participants": [
                {"username": seat.username, "state": seat.state, "memory": seat.memory}
                for seat in self.seats
            ],
        }


def status(tools: Tools, record: Record) -> Status:
    """Look at everything that can be seen from here. Never raises for what is not reachable."""
    try:
        server = tools.provider.find(record.id)
    except ProvisionError as error:
        return Status(record, record.phase, (Check("machine", False, error.message),))
    checks = [_machine(server)]
    seats: tuple[Seat, ...] = ()
    if server is not None and server.state is ServerState.RUNNING:
        checks.append(_https(tools, record))
        try:
            remote = tools.connect(server, tools.store.folder(record.name))
        except ProvisionError as error:
            checks.append(Check("ssh", False, error.message))
        else:
            try:
                checks.append(Check("ssh", True, "answers with the pinned key"))
                checks += _services(remote)
                seats = _seats(record, remote)
            except ProvisionError as error:
                checks.append(Check("ssh", False, error.message))
            finally:
                quietly(remote.close)
    return Status(record, _phase(record, server), tuple(checks), seats)


def _phase(record: Record, server: Server | None) -> Phase:
    over = is_over(record) and (server is None or server.state is ServerState.STOPPED)
    return Phase.EXPIRED if over else record.phase


def _machine(server: Server | None) -> Check:
    if server is None:
        return Check("machine", False, "does not exist")
    about = ", ".join(value for _, value in server.about[:1])
    return Check(
        "machine",
        server.state is ServerState.RUNNING,
        f"{server.state}{f' ({about})' if about else ''}",
    )


def _https(tools: Tools, record: Record) -> Check:
    ca = tools.store.folder(record.name).ca
    try:
        tools.web.healthy(record.url, ca if ca.exists() else None)
    except ProvisionError as error:
        return Check("https", False, error.message)
    return Check("https", True, f"{record.url} answers with a verified chain")


def _services(remote: Remote) -> list[Check]:
    states = parse_services(remote.run(commands.service_states()).out)
    return [Check(name, state == "running", state) for name, state in sorted(states.items())]


def _seats(record: Record, remote: Remote) -> tuple[Seat, ...]:
    containers = {
        str(item.get("Names", "")).removeprefix("jupyter-"): str(item.get("State", ""))
        for item in _objects(remote.run(commands.participants_running()).out)
    }
    memory = {
        str(item.get("Name", "")).removeprefix("jupyter-"): str(item.get("MemUsage", ""))
        for item in _objects(remote.run(commands.participants_usage()).out)
    }
    return tuple(
        Seat(
            person.username,
            {"running": "running", "": "not started"}.get(
                containers.get(person.username, ""), "stopped"
            ),
            memory.get(person.username, ""),
        )
        for person in record.people
    )


def _objects(text: str) -> list[dict[str, Any]]:
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


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
            phase = _phase(record, tools.provider.find(record.id))
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
        cost=cost_so_far(record.hourly, record.created_at),
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
