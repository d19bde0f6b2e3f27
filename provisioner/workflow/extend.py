"""`extend`: the deadline moves, on the machine first, because that is where it fires."""

from __future__ import annotations

from datetime import UTC, datetime

from provisioner.errors import NotReady, Refused, UsageError
from provisioner.models import ServerState
from provisioner.protocols import KeepsDeadline
from provisioner.render import commands
from provisioner.settings import parse_expiry
from provisioner.store import Record
from provisioner.workflow.launch import is_over, local_time
from provisioner.workflow.tools import Tools, quietly


def extend(tools: Tools, record: Record, by: str) -> Record:
    """`by` is a duration that is added to the deadline ("2h"), or a time. Never brings it forward.

    Raises UsageError for what is neither, Refused when it is too late, NotReady when the machine
    does not take it.
    """
    ends = new_deadline(record, by)
    with tools.store.lock(record.name, "extend"):
        server = tools.provider.find(record.id)
        if server is None or server.state is not ServerState.RUNNING or is_over(record):
            raise Refused(
                f"The machine of {record.name!r} does not run; its deadline is "
                f"{local_time(record.expires_at)}",
                hint=f"provision status {record.name}",
            )
        remote = tools.connect(server, tools.store.folder(record.name))
        try:
            moved = remote.run(commands.set_deadline(ends))
        finally:
            quietly(remote.close)
        if not moved.ok:
            raise NotReady(
                "The machine did not take the new deadline", details=(moved.err.strip(),)
            )
        if isinstance(tools.provider, KeepsDeadline):
            tools.provider.set_deadline(record.id, ends)
        return tools.store.save(record.but(expires_at=ends))


def new_deadline(record: Record, by: str) -> datetime:
    try:
        as_time = parse_expiry(by, now=datetime.now(UTC))
        as_added = parse_expiry(by, now=record.expires_at)
    except ValueError as error:
        raise UsageError(str(error), hint="provision extend 2h") from None
    ends = max(as_time, as_added)  # equal for a time; a duration counts from the deadline
    if ends <= record.expires_at:
        raise UsageError(
            f"The workshop ends at {local_time(record.expires_at)} already",
            hint="provision extend 2h adds two hours",
        )
    return ends.replace(microsecond=0)
