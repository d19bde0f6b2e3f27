"""`stop` and `start`: a workshop that is off overnight. Its disk, keys and people stay.

The address may be another one afterwards; the host name and the pinned host key are the same.
"""

from __future__ import annotations

from provisioner.errors import NotYet, Refused
from provisioner.models import Phase, ServerState
from provisioner.protocols import Pauses
from provisioner.store import Record
from provisioner.workflow.launch import Launched, is_over, local_time, resume
from provisioner.workflow.running import running_again
from provisioner.workflow.tools import Tools
from provisioner.workflow.waiting import wait_for

STOP_BUDGET = 300.0
"""Seconds for services and file systems to come to rest; clouds allow a few minutes."""


def stop(tools: Tools, record: Record) -> Record:
    """Switch the machine off. Raises Refused, NotReady when it does not rest in time, Busy."""
    pauses = _pauses(tools)
    name = record.name
    with tools.store.lock(name, "stop"), tools.store.lock_homes(name, "stop"):
        server = tools.provider.find(record.id)
        if server is None:
            raise Refused(
                f"There is no machine of {record.name!r}", hint=f"provision launch {record.name}"
            )
        record = tools.store.save(record.but(phase=Phase.STOPPED))
        with tools.step(record.name, "stop", "Stopping the machine", kind=record.provider):
            if server.state is not ServerState.STOPPED:
                pauses.stop(record.id)
            wait_for(lambda: _rests(tools, record.id), budget=STOP_BUDGET, clock=tools.clock)
    return record


def start(tools: Tools, record: Record) -> Launched:
    """Switch it on and climb the ladder again, up to a participant's cell.

    Raises Refused when its deadline has passed, else as launch does.
    """
    pauses = _pauses(tools)
    if is_over(record):
        raise Refused(
            f"Workshop {record.name!r} ended at its deadline, {local_time(record.expires_at)}",
            hint=f"provision teardown {record.name} brings its files home",
        )
    with tools.store.lock(record.name, "start"):
        server = tools.provider.find(record.id)
        if server is None:
            raise Refused(
                f"There is no machine of {record.name!r}", hint=f"provision launch {record.name}"
            )
        record = tools.store.save(record.but(phase=Phase.BOOTING, server=server))
        with tools.step(record.name, "start", "Starting the machine", kind=record.provider):
            pauses.start(record.id)
            server = running_again(tools, record.id)
        return resume(tools, record, server)


def _rests(tools: Tools, workshop_id: str) -> None:
    server = tools.provider.find(workshop_id)
    if server is None or server.state is not ServerState.STOPPED:
        raise NotYet("the machine comes to rest")


def _pauses(tools: Tools) -> Pauses:
    if not isinstance(tools.provider, Pauses):
        raise Refused(
            f"A machine of the provider {tools.provider.name!r} can't be paused",
            hint="leave it running, or provision teardown brings everybody's files home",
        )
    return tools.provider
