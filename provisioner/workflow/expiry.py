"""After the deadline: the machine has ended itself, with the laptop off or on.

Whatever verb looks next says so and clears away what is of no use. Participants' files are never
cleared: they stay on the machine's disk until `teardown` has brought them home.
"""

from __future__ import annotations

import contextlib

from provisioner.errors import Busy, ProvisionError
from provisioner.models import Phase, ServerState
from provisioner.store import Record
from provisioner.workflow.launch import is_over, local_time
from provisioner.workflow.teardown import TeardownOptions, tear_down
from provisioner.workflow.tools import Tools


def settle(tools: Tools, record: Record) -> Record | None:
    """The record as it is after the deadline, if that has passed; None when all was cleared."""
    if not is_over(record):
        return record
    server = tools.provider.find(record.id)
    if server is not None and server.state is ServerState.RUNNING:
        return record  # it is on its way out, or its clock is behind; status says which
    ended = f"Workshop {record.name!r} ended at its deadline, {local_time(record.expires_at)}"
    if not tools.store.folder(record.name).handed_over():
        try:
            tear_down(tools, record.name, TeardownOptions(discard_homes=True))
        except ProvisionError as error:
            tools.reporter.warn(f"{ended}, but could not be cleared away: {error.message}")
            return record
        tools.reporter.note(f"{ended}. Nobody had used it; it has been cleared away.")
        return None
    if server is None or server.ended:
        tools.reporter.warn(
            f"{ended}, and its disk with participants' files went with it:\n"
            f"provision teardown {record.name} clears away the rest."
        )
    else:
        tools.reporter.note(
            f"{ended}. Participants' files are still on its disk:\n"
            f"provision teardown {record.name} brings them home and deletes the rest."
        )
    return _expired(tools, record)


def _expired(tools: Tools, record: Record) -> Record:
    """The record with its phase, unless another command is writing it."""
    with contextlib.suppress(Busy), tools.store.lock(record.name, "status", wait=0):
        now = tools.store.load(record.name)
        if now is not None and now.id == record.id and now.phase is not Phase.EXPIRED:
            record = tools.store.save(now.but(phase=Phase.EXPIRED))
    return record
