"""`teardown`: participants' work comes home, then everything goes, then we look whether it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.errors import LeftOver, NotReady, NotYet, ProvisionError, Refused, UsageError
from provisioner.models import Found, Resource, ServerState
from provisioner.protocols import Discovers, DiscoversEverywhere, Instructs
from provisioner.settings import recorded
from provisioner.store import CorruptRecord, Record
from provisioner.workflow import certificates, evidence
from provisioner.workflow.backup import Backup
from provisioner.workflow.cost import cost_of, participants
from provisioner.workflow.last_backup import bring_homes
from provisioner.workflow.tools import Tools, quietly
from provisioner.workflow.waiting import wait_for


@dataclass(frozen=True, slots=True)
class TeardownOptions:
    discard_homes: bool = False
    only: str = ""  # this id, and no other workshop of the same name
    output: Path | None = None  # where the homes come to; None: a folder of their own


@dataclass(frozen=True, slots=True)
class TornDown:
    name: str
    deleted: tuple[str, ...] = ()  # words for what was there and is gone
    backup: Backup | None = None
    logs: Path | None = None  # of a workshop that failed
    cost: float | None = None  # US dollars, about: hours × price
    participants: int = 0  # who share it
    reminder: str = ""  # what only a person can remove
    looked_in: str = ""  # the provider that was asked


GONE_BUDGET = 600.0
"""Seconds until what was deleted must be seen to be gone; clouds take a minute or two."""


def tear_down(tools: Tools, name: str, options: TeardownOptions) -> TornDown:
    """End the workshop. Repeatable; works from the record, the folder or the machine alone.

    Raises NotReady when homes could not be fetched (nothing was deleted), LeftOver when
    something still exists afterwards, Busy.
    """
    with tools.store.lock(name, "teardown"):
        return tear_down_locked(tools, name, options)


def tear_down_locked(tools: Tools, name: str, options: TeardownOptions) -> TornDown:
    """The same for a caller that holds the workshop already. A backup of it is waited for."""
    with tools.store.lock_homes(name, "teardown"):
        return _tear_down(tools, name, options)


def _tear_down(tools: Tools, name: str, options: TeardownOptions) -> TornDown:
    record = _load(tools, name)
    seen = [found for found in _seen(tools, name) if options.only in {"", found.id}]
    mine = not options.only or (record is not None and record.id == options.only)
    if record is not None and not mine:
        record = None  # the folder is another workshop's of this name
    folder = tools.store.folder(name) if mine else None
    ids = _ids(name, record, seen, options)
    if not ids and not (folder and folder.path.exists()):
        _look_elsewhere(tools, name)
        tools.store.remove(name)  # half a folder that a killed launch left
        return TornDown(name, looked_in=tools.provider.name)
    if not ids and not options.discard_homes:
        raise UsageError(
            f"The record of {name!r} can't be used, and {tools.provider.name} has no such workshop",
            hint=f"say where it is: provision teardown {name} --provider aws --region REGION"
            "\nor, if it is gone: --discard-homes",
        )
    backup = None
    if not options.discard_homes:
        backup = bring_homes(tools, name, ids, folder, record, options.output)
    _save_certificates(tools, record, ids)
    logs = _logs(tools, record)
    kind = record.provider if record else tools.provider.name
    hostnames = {found.hostname for found in seen} | ({_hostname(record)} if record else set())
    names = [(hostname, key) for hostname in sorted(filter(None, hostnames)) for key in ids]
    cost = cost_of(tools.store, record) if record else None
    deleted: list[str] = []
    try:
        with tools.step(name, "delete", "Deleting the machine", kind=kind) as shown:
            deleted += _forget_names(tools, names)
            for workshop_id in ids:
                deleted += _delete(tools, name, workshop_id, shown.update)
        if left := _names_left(tools, names):
            raise _left_over(name, left)
    except LeftOver as error:
        error.document["deleted"] = _really_gone(deleted, error.document)
        raise
    if folder is not None:
        if folder.path.exists():
            deleted.append(f"folder {folder.path}")
        tools.store.remove(name)
    return TornDown(
        name,
        tuple(deleted),
        backup,
        logs,
        cost=cost,
        participants=participants(record) if record else 0,
        reminder=_reminder(tools, hostnames),
        looked_in=tools.provider.name,
    )


def _delete(tools: Tools, name: str, workshop_id: str, tell: Callable[[str], None]) -> list[str]:
    """Delete until nothing is left. Raises LeftOver when something outlives the budget."""
    before = tools.provider.leftovers(workshop_id)

    def pass_() -> None:
        tools.provider.delete(workshop_id)
        if left := tools.provider.leftovers(workshop_id):
            raise NotYet(", ".join(f"{item.kind} {item.id}" for item in left))

    try:
        wait_for(pass_, budget=GONE_BUDGET, clock=tools.clock, tell=tell, every=2.0)
    except UsageError:
        raise  # nobody is signed in: nothing can be said of what is left
    except ProvisionError as error:
        left = tools.provider.leftovers(workshop_id)
        if left:
            raise _left_over(name, left, error.message, before) from None
        if not isinstance(error, NotReady):
            raise
    return [f"{item.kind} {item.id}" for item in before]


def _really_gone(deleted: list[str], document: dict[str, Any]) -> list[str]:
    """What was tried here and before, without what is left."""
    left = {f"{item['kind']} {item['id']}" for item in document["leftovers"]}
    return [words for words in [*deleted, *document["deleted"]] if words not in left]


def _left_over(
    name: str, left: list[Resource], why: str = "", tried: Sequence[Resource] = ()
) -> LeftOver:
    because = f" ({why})" if why else ""
    return LeftOver(
        f"Workshop {name!r} is not all gone{because}:",
        details=tuple(f"{item.kind} {item.id}: {item.remove}" for item in left),
        hint=f"provision teardown {name}",
        document={
            "name": name,
            "deleted": [f"{item.kind} {item.id}" for item in tried],
            "leftovers": [
                {"kind": item.kind, "id": item.id, "remove": item.remove} for item in left
            ],
        },
    )


def _hostname(record: Record) -> str:
    dns = record.settings.get("dns") or {}
    return str(dns.get("hostname") or "")


Names = list[tuple[str, str]]  # host names with the ids of workshops that may have made them


def _forget_names(tools: Tools, names: Names) -> list[str]:
    """First of all the names: an address that is somebody else's tomorrow must not have one.

    A keeper that can't be reached must not keep a machine that costs money: what is left of it is
    told at the end.
    """
    deleted: list[str] = []
    if tools.dns is None:
        return deleted
    for hostname, workshop_id in names:
        try:
            before = tools.dns.leftovers(hostname, workshop_id)
            tools.dns.clear(hostname, workshop_id)
        except ProvisionError as error:
            tools.reporter.warn(f"The record of {hostname} was not deleted: {error.message}")
        else:
            deleted += [f"{item.kind} {item.id}" for item in before]
    return deleted


def _names_left(tools: Tools, names: Names) -> list[Resource]:
    left: list[Resource] = []
    if tools.dns is None:
        return left
    for hostname, workshop_id in names:
        try:
            left += tools.dns.leftovers(hostname, workshop_id)
        except ProvisionError as error:
            left.append(Resource("DNS record", hostname, f"nobody can tell: {error.message}"))
    return left


def _reminder(tools: Tools, hostnames: set[str]) -> str:
    if not isinstance(tools.dns, Instructs):
        return ""
    return "\n".join(tools.dns.reminder(name) for name in sorted(filter(None, hostnames)))


def _save_certificates(tools: Tools, record: Record | None, ids: list[str]) -> None:
    """The next launch of this name needs no new one. What can't be had is not worth a stop."""
    if record is None or not record.site or record.id not in ids:
        return
    try:
        tls = recorded(record.settings).tls_options()
    except UsageError:  # of another version: whoever ends it wants no more than that
        tools.reporter.warn("The certificate was not saved: this version can't read the settings")
        return
    server = tools.provider.find(record.id) if tls.mode == "acme" else None
    if server is None or server.state is not ServerState.RUNNING:
        return
    try:
        remote = tools.connect(server, tools.store.folder(record.name))
        try:
            certificates.save(tools, record.name, record.site, tls, remote)
        finally:
            quietly(remote.close)
    except ProvisionError as error:
        tools.reporter.warn(f"The certificate was not saved: {error.message}")


def _load(tools: Tools, name: str) -> Record | None:
    try:
        return tools.store.load(name)
    except CorruptRecord as error:
        tools.reporter.warn(f"{error.message}; going by the folder and the machines instead")
        return None


def _logs(tools: Tools, record: Record | None) -> Path | None:
    """What can't be kept must not keep a machine that costs money."""
    try:
        return evidence.keep(tools, record) if record else None
    except (ProvisionError, OSError) as error:
        tools.reporter.warn(f"Its logs were not kept: {error}")
        return None


def _seen(tools: Tools, name: str) -> list[Found]:
    """What exists under this name, whatever the record says."""
    provider = tools.provider
    found = provider.discover() if isinstance(provider, Discovers) else []
    return [item for item in found if item.name == name]


def _ids(
    name: str, record: Record | None, seen: list[Found], options: TeardownOptions
) -> list[str]:
    """A name may be another organiser's as well: the record decides, or there is only one."""
    if options.only:
        return [options.only]
    if record is not None:
        return [record.id]
    if len(seen) > 1:
        raise Refused(
            f"Several workshops are named {name!r}, and none has a record here:",
            details=tuple(f"{found.id}: {found.details}" for found in seen),
            hint=f"provision teardown {name} --id ID",
        )
    return [found.id for found in seen]


def _look_elsewhere(tools: Tools, name: str) -> None:
    """Raises Refused when the workshop is in a region that nobody looked in."""
    if not isinstance(tools.provider, DiscoversEverywhere):
        return
    for found in tools.provider.discover_everywhere():
        if found.name == name:
            raise Refused(
                f"Workshop {name!r} is in {found.region}, and was not looked for there",
                hint=f"provision teardown {name} --provider {tools.provider.name}"
                f" --region {found.region}",
            )
