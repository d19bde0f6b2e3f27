"""Everybody's server is started before they come: what takes seconds then takes none of theirs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import BinaryIO, cast

from provisioner.errors import NotReady, NotYet, ProvisionError
from provisioner.models import Server
from provisioner.protocols import Remote, Step
from provisioner.render import hub
from provisioner.store import Record
from provisioner.workflow.lines import Lines
from provisioner.workflow.tools import Tools, quietly

SILENCE = 900.0
"""Seconds without a line: longer than the hub allows one server to take."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """One person's server."""

    username: str
    ok: bool
    seconds: float  # 0: it ran already
    why: str = ""


def prewarm(tools: Tools, record: Record, server: Server, *, kind: str) -> tuple[Warmed, ...]:
    """Start everybody's server, as many at once as the machine bears. Idempotent.

    Raises NotYet when the machine or its hub can't be asked; a server that does not start is
    in the answer, with the reason.
    """
    with tools.step(record.name, "prewarm", "Everybody's server runs", kind=kind) as shown:
        remote = tools.connect(server, tools.store.folder(record.name))
        try:
            return _start_all(remote, shown)
        finally:
            quietly(remote.close)


def prewarm_launched(tools: Tools, record: Record, server: Server, *, kind: str) -> None:
    """At the end of a launch, which this never fails: what is missing is said."""
    again = f"provision prewarm {record.name}"
    if server.slow:
        tools.reporter.note(
            "The machine is emulated: each server starts when its owner comes. "
            f"To start all of them now: {again}"
        )
        return
    try:
        failed = [warm for warm in prewarm(tools, record, server, kind=kind) if not warm.ok]
    except ProvisionError as error:
        tools.reporter.warn(f"Not all servers could be started: {error.message}. Again: {again}")
        return
    for warm in failed:
        tools.reporter.warn(f"The server of {warm.username} does not start: {warm.why}")
    if failed:
        tools.reporter.warn(f"Again: {again}")


def document(warmed: tuple[Warmed, ...], name: str) -> dict[str, object]:
    """What `--json` shows, whether or not all servers run. Seconds; 0: it ran already."""
    return {"name": name, "servers": [asdict(warm) for warm in warmed]}


def refuse_failures(warmed: tuple[Warmed, ...], name: str) -> None:
    """Raises NotReady, naming each person whose server does not run."""
    failed = [warm for warm in warmed if not warm.ok]
    if failed:
        raise NotReady(
            f"{len(failed)} of {len(warmed)} servers did not start",
            details=tuple(f"{warm.username}: {warm.why}" for warm in failed),
            hint=f"provision logs {name} hub",
            document=document(warmed, name),
        )


def _start_all(remote: Remote, shown: Step) -> tuple[Warmed, ...]:
    warmed: list[Warmed] = []
    total = 0

    def hear(line: str) -> None:
        nonlocal total
        try:
            said = json.loads(line)
        except ValueError:
            return  # not one of ours
        total = int(said.get("total", total))
        if "name" in said:
            ok, seconds = bool(said["ok"]), float(said["seconds"])
            warmed.append(Warmed(str(said["name"]), ok, seconds, str(said.get("why", ""))))
        shown.update(f"{sum(warm.ok for warm in warmed)} of {total}")

    result = remote.receive(hub.PREWARM, cast("BinaryIO", Lines(hear)), timeout=SILENCE)
    if not result.ok or len(warmed) < total or not total:
        raise NotYet(
            f"the hub started {len(warmed)} of {total} servers, and then no more",
            details=tuple(result.err.splitlines()[-3:]),
        )
    return tuple(warmed)
