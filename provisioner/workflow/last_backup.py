"""The backup after which the machine goes: nobody writes now, and it must not end meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from provisioner.errors import NotReady, NotYet, ProvisionError
from provisioner.models import Server, ServerState
from provisioner.protocols import KeepsDeadline, Pauses, Remote, Restarts
from provisioner.render import commands, homes
from provisioner.store import Folder, Record
from provisioner.workflow.backup import Backup, backup_homes
from provisioner.workflow.pinning import pin
from provisioner.workflow.running import running_again
from provisioner.workflow.tools import Tools, quietly
from provisioner.workflow.waiting import wait_for

GRACE = timedelta(hours=2)
"""For fetching homes from a machine that may end itself, and its disk with it, at its deadline."""

STOP_BUDGET = 180.0
"""Seconds for everybody's servers, which stop at the same time and have ten seconds each."""


@dataclass(slots=True)
class _Done:
    """What was changed on the machine before a copy failed."""

    stopped: bool = False  # nobody's server runs
    ends: datetime | None = (
        None  # when the machine ends itself now; None: it does not, or who knows
    )


def bring_homes(
    tools: Tools,
    name: str,
    ids: list[str],
    folder: Folder | None,
    record: Record | None,
    output: Path | None,
) -> Backup | None:
    """Fetch what participants made, or raise NotReady; None when there can't be anything."""
    for workshop_id in ids:
        server = tools.provider.find(workshop_id)
        if server is None or server.ended:
            continue  # no machine, no disk: nothing is there to be fetched
        if folder is None or not folder.ssh_key.exists():
            raise NotReady(
                "Nothing was deleted: this computer has no key to the machine, so participants' "
                "files can't be fetched",
                hint=f"on the computer that launched it: provision teardown {name}"
                "\nor, to lose them: --discard-homes",
            )
        if not folder.handed_over():
            return None
        done = _Done()
        mine = record if record and record.id == workshop_id else None
        try:
            return _fetch(tools, name, workshop_id, server, folder, mine, output, done)
        except ProvisionError as error:
            until = f" (its deadline is {_clock(done.ends)})" if done.ends else ""
            raise NotReady(
                f"Nothing was deleted{until}, because participants' files could not be fetched: "
                f"{error.message}",
                details=error.details,
                hint=_hint(name, error, done),
                document=error.document,
            ) from None
    return None


def _hint(name: str, error: ProvisionError, done: _Done) -> str:
    lines = [f"provision teardown {name} again goes on; with --discard-homes they are lost"]
    missing = error.document.get("missing")
    if done.stopped and isinstance(missing, list) and error.document.get("backup"):
        lines = [
            f"provision teardown {name} again goes on; --discard-homes loses the files of "
            f"{', '.join(missing)}: what everybody else has is in {error.document['backup']}"
        ]
    if done.stopped:
        lines.append(f"people's servers were stopped; provision launch {name} lets them in again")
    return "\n".join([*lines, *filter(None, [error.hint])])


def _fetch(
    tools: Tools,
    name: str,
    workshop_id: str,
    server: Server,
    folder: Folder,
    record: Record | None,
    output: Path | None,
    done: _Done,
) -> Backup:
    awake = server.state is ServerState.RUNNING
    ends_with_disk = not isinstance(tools.provider, Restarts)
    if not awake:
        tools.reporter.note("The machine is off; starting it once more to fetch what is on it")
        server = _wake(tools, workshop_id)

    def reach() -> Remote:
        pin(tools.provider, folder, server)
        remote = tools.connect(server, folder)
        if not remote.run("true").ok:
            raise NotYet("the machine does not take commands")
        return remote

    remote = wait_for(reach, budget=60.0 if awake else 600.0, clock=tools.clock)
    try:
        if ends_with_disk:
            done.ends = _stay(tools, workshop_id, record, remote, awake=awake)
        if awake or ends_with_disk:  # else it was started without Docker
            done.stopped = _stop_writing(tools, name, remote)
        return backup_homes(tools, name, workshop_id, remote, output=output, command="teardown")
    finally:
        quietly(remote.close)


def _stay(
    tools: Tools, workshop_id: str, record: Record | None, remote: Remote, *, awake: bool
) -> datetime | None:
    """See that the machine does not end itself while it is read; when it will, if that is known.

    Its end is never brought forward. Raises NotReady for one that was started for this alone.
    """
    ends = _end_of(remote) or (record.expires_at if record else None)
    wanted = (datetime.now(UTC) + GRACE).replace(microsecond=0)
    if ends and ends >= wanted:
        return ends
    moved = remote.run(commands.set_deadline(wanted))
    if not moved.ok and not awake:
        raise NotReady("the machine would end itself meanwhile", details=(moved.err.strip(),))
    if not moved.ok:
        when = f", {_clock(ends)}" if ends else ""
        tools.reporter.warn(
            f"The machine ends itself at its deadline{when}, and did not take a later one: "
            f"{moved.err.strip()}"
        )
        return ends
    if isinstance(tools.provider, KeepsDeadline):  # or another computer's gc takes it for over
        try:
            tools.provider.set_deadline(workshop_id, wanted)
        except ProvisionError as error:
            tools.reporter.warn(f"Only the machine itself knows its new deadline: {error.message}")
    return wanted


def _clock(when: datetime) -> str:
    """As the organiser's clock on the wall says it."""
    return when.astimezone().strftime("%a %d %b %H:%M")


def _end_of(remote: Remote) -> datetime | None:
    """As its timer has it."""
    words = remote.run(commands.READ_DEADLINE).out.strip()
    try:
        return datetime.strptime(words, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    except ValueError:
        return None


def _stop_writing(tools: Tools, name: str, remote: Remote) -> bool:
    """What is saved after a home was copied would go with the machine, so nobody can save.

    Docker may be what is broken: the files can be fetched all the same.
    """
    title = "Stopping everybody's server, so that nothing changes any more"
    with tools.step(name, "stop-servers", title, kind=tools.provider.name):
        try:
            stopped = remote.run(homes.STOP_WRITING, timeout=STOP_BUDGET)
            why = "" if stopped.ok else stopped.err.strip() or f"code {stopped.code}"
        except ProvisionError as error:
            why = error.message
    if why:
        tools.reporter.warn(
            f"People's servers could not all be stopped; what they save from now on is lost: {why}"
        )
    return not why


def _wake(tools: Tools, workshop_id: str) -> Server:
    """The machine, running again, with or without what ran on it."""
    provider = tools.provider
    if isinstance(provider, Restarts):
        return provider.rescue(workshop_id)
    if isinstance(provider, Pauses):
        provider.start(workshop_id)
        return running_again(tools, workshop_id)
    raise NotReady("the machine is off, and can't be started to fetch them")
