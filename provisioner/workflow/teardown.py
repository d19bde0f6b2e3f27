"""`teardown`: participants' work comes home, then everything goes, then we look whether it went."""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioner.errors import LeftOver, NotReady, NotYet, ProvisionError
from provisioner.models import Resource, Server, ServerState
from provisioner.protocols import Discovers, Remote, Restarts
from provisioner.store import CorruptRecord, Record
from provisioner.workflow.backup import Backup, backup_homes
from provisioner.workflow.tools import Tools, quietly
from provisioner.workflow.waiting import wait_for


@dataclass(frozen=True, slots=True)
class TeardownOptions:
    discard_homes: bool = False


@dataclass(frozen=True, slots=True)
class TornDown:
    name: str
    deleted: tuple[str, ...] = ()  # words for what was there and is gone
    backup: Backup | None = None
    leftovers: tuple[Resource, ...] = field(default=())


def tear_down(tools: Tools, name: str, options: TeardownOptions) -> TornDown:
    """End the workshop. Repeatable; works from the record, the folder or the machine alone.

    Raises NotReady when homes could not be fetched (nothing was deleted), LeftOver when
    something still exists afterwards, Busy.
    """
    with tools.store.lock(name, "teardown"):
        return tear_down_locked(tools, name, options)


def tear_down_locked(tools: Tools, name: str, options: TeardownOptions) -> TornDown:
    record = _load(tools, name)
    ids = _ids(tools, name, record)
    folder = tools.store.folder(name)
    if not ids and not folder.path.exists():
        tools.store.remove(name)  # half a folder that a killed launch left
        return TornDown(name)
    backup = None
    if not options.discard_homes:
        backup = _bring_homes(tools, name, ids)
    deleted = []
    left: list[Resource] = []
    kind = record.provider if record else tools.provider.name
    with tools.step(name, "delete", "Deleting the machine", kind=kind):
        for workshop_id in ids:
            if tools.provider.find(workshop_id) is not None:
                deleted.append(f"machine {workshop_id}")
            tools.provider.delete(workshop_id)
            left += tools.provider.leftovers(workshop_id)
    if left:
        raise LeftOver(
            f"Workshop {name!r} is not all gone:",
            details=tuple(f"{item.kind} {item.id}: {item.remove}" for item in left),
            hint=f"provision teardown {name}",
        )
    if folder.path.exists():
        deleted.append(f"folder {folder.path}")
    tools.store.remove(name)
    return TornDown(name, tuple(deleted), backup)


def _load(tools: Tools, name: str) -> Record | None:
    try:
        return tools.store.load(name)
    except CorruptRecord as error:
        tools.reporter.warn(f"{error.message}; going by the folder and the machines instead")
        return None


def _ids(tools: Tools, name: str, record: Record | None) -> list[str]:
    """Every id that this name ever had and that may still exist: record ∪ discovery."""
    ids = [record.id] if record else []
    if isinstance(tools.provider, Discovers):
        ids += [found.id for found in tools.provider.discover() if found.name == name]
    return list(dict.fromkeys(ids))


def _bring_homes(tools: Tools, name: str, ids: list[str]) -> Backup | None:
    """Fetch what participants made, or raise; None when there can't be anything."""
    folder = tools.store.folder(name)
    if not folder.handed_over():
        return None
    for workshop_id in ids:
        server = tools.provider.find(workshop_id)
        if server is None:
            continue  # no machine, no disk: nothing is there to be fetched
        try:
            return _fetch_homes(tools, name, workshop_id, server)
        except ProvisionError as error:
            raise NotReady(
                f"Nothing was deleted, because participants' files could not be fetched: "
                f"{error.message}",
                details=error.details,
                hint=f"provision teardown {name} again, or with --discard-homes to lose them",
            ) from None
    return None


def _fetch_homes(tools: Tools, name: str, workshop_id: str, server: Server) -> Backup:
    docker = True
    if server.state is ServerState.STOPPED:
        if not isinstance(tools.provider, Restarts):
            raise NotReady("the machine is off, and can't be started to fetch them")
        tools.reporter.note("The machine is off; starting it once more to fetch what is on it")
        server, docker = tools.provider.rescue(workshop_id), False
    folder = tools.store.folder(name)

    def reach() -> Remote:
        remote = tools.connect(server, folder)
        if not remote.run("true").ok:
            raise NotYet("the machine does not take commands")
        return remote

    budget = 60.0 if docker else 600.0
    remote = wait_for(reach, budget=budget, clock=tools.clock)
    try:
        return backup_homes(tools, name, workshop_id, remote, docker=docker)
    finally:
        quietly(remote.close)
