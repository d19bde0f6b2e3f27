"""Participants' homes, brought to the operator's machine while they work: one archive a person.

What an earlier attempt left is gone on with: an archive stands in the manifest once it lies safely
on the disk and was read back, and is good for as long as its home is what it was then.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from provisioner.errors import NotReady, ProvisionError, Refused, UsageError
from provisioner.models import ServerState
from provisioner.protocols import Remote
from provisioner.sizing import format_size
from provisioner.store import CorruptRecord, Record
from provisioner.workflow.archive import MANIFEST, Kept, Manifest, load, save
from provisioner.workflow.homes import Copying, Home, look_at, people_with_homes
from provisioner.workflow.rehearsal.seats import left_note
from provisioner.workflow.tools import Tools, quietly


@dataclass(frozen=True, slots=True)
class Backup:
    path: Path
    people: tuple[str, ...]
    files: tuple[tuple[str, Kept], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all archives."""
        return sum(kept.size for _, kept in self.files)

    @property
    def changed(self) -> dict[str, tuple[str, ...]]:
        """Whose files changed while they were copied, and which."""
        return {username: kept.changed for username, kept in self.files if kept.changed}


def backup(
    tools: Tools, record: Record, *, only: tuple[str, ...] = (), output: Path | None = None
) -> Backup:
    """Bring home what everybody, or `only` they, have on the server; nothing there is changed.

    Raises Refused when the machine does not run or there is no room here, UsageError for somebody
    who has no home, NotReady naming those whose files did not come (the same command goes on).
    """
    with tools.store.lock_homes(record.name, "backup"):  # the workshop itself is free meanwhile
        remote = reach(tools, record)
        try:
            there = people_with_homes(remote)
            if missing := [name for name in only if name not in there]:
                raise UsageError(
                    f"The server has no files of {', '.join(missing)}",
                    hint=f"it has those of {', '.join(there) or 'nobody'}",
                )
            done = backup_homes(tools, record.name, record.id, remote, only=only, output=output)
        finally:
            quietly(remote.close)
    return done


def reach(tools: Tools, record: Record) -> Remote:
    """A connection to a machine that runs. Raises Refused."""
    server = tools.provider.find(record.id)
    if server is None or server.ended:
        raise Refused(f"The machine of {record.name!r} is gone", hint="provision list")
    if server.state is not ServerState.RUNNING:
        raise Refused(
            f"The machine of {record.name!r} is off", hint=f"provision start {record.name}"
        )
    try:
        return tools.connect(server, tools.store.folder(record.name))
    except ProvisionError as error:
        raise Refused(
            f"The machine of {record.name!r} can't be reached: {error.message}",
            hint=f"provision status {record.name}",
            details=error.details,
        ) from None


def backup_homes(
    tools: Tools,
    name: str,
    workshop_id: str,
    remote: Remote,
    *,
    only: tuple[str, ...] = (),
    output: Path | None = None,
    command: Literal["backup", "teardown"] = "backup",
) -> Backup:
    """Fetch every home over `remote`, or those of `only`, into `output` or a folder of its own.

    Who of `only` has no home is passed over, and who only played a part in a rehearsal. A teardown
    goes on with a finished backup in `output`. Raises NotReady naming whose files did not come,
    once all that can come are here; Refused when there is no room for them.
    """
    nobody = () if only else _guests(tools, name)
    wanted = tuple(
        item
        for item in people_with_homes(remote)
        if (not only or item in only) and item not in nobody
    )
    target = output or _unfinished(tools, name, workshop_id, only) or _new_folder(tools, name)
    if not wanted:
        return Backup(target, ())
    title = f"Bringing home the files of {count_people(len(wanted))}"
    with tools.step(name, "backup", title, kind=tools.provider.name) as shown:
        shown.update("asking how much there is")
        found = look_at(remote, wanted)
        manifest = _begun(target, name, workshop_id, only, finished_too=command == "teardown")
        here = {
            item: kept
            for item, kept in manifest.files.items()
            if _good(target, kept, found.get(item))
        }
        missing = [item for item in wanted if item not in here]
        needed = sum(found[item].bytes for item in missing if item in found)
        _must_have_room(target, needed, f"provision {command} {name}")
        names = _names(tools, name)
        run = Copying(remote, target, names, shown.update, total=len(wanted), done=len(here))
        # What is older than its home, or of somebody who left, is better than nothing.
        older = {item: kept for item, kept in manifest.files.items() if _whole(target, kept)}
        manifest, failed = run.all(manifest.but(files=older), missing, found)
        if failed:
            raise NotReady(
                f"The files of {count_people(len(failed))} of {len(wanted)} did not come: "
                f"{', '.join(failed)}",
                details=tuple(f"{who}: {why}" for who, why in failed.items()),
                hint=f"the same command goes on where it stopped; what came is in {target}",
                document={
                    "missing": list(failed),
                    "backup": str(target) if len(failed) < len(wanted) else None,
                },
            )
        for part in target.glob("*.part"):  # of somebody who left since an earlier attempt
            part.unlink()
        manifest = save(target, manifest.but(finished_at=datetime.now(UTC)))
    done = Backup(target, wanted, tuple((item, manifest.files[item]) for item in wanted))
    for username, paths in done.changed.items():
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        tools.reporter.warn(
            f"{username}: changed while it was copied: {', '.join(paths[:3])}{more}"
        )
    tools.reporter.note(f"their files are in {target}")
    return done


def count_people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"


def _unfinished(tools: Tools, name: str, workshop_id: str, only: tuple[str, ...]) -> Path | None:
    """The folder of an attempt at the same that did not come to its end."""
    for path in sorted(tools.store.backups.glob(f"{name}-*/{MANIFEST}"), reverse=True):
        try:
            manifest = load(path.parent)
        except UsageError:
            continue
        if manifest.id == workshop_id and _same(manifest, only) and not manifest.finished_at:
            return path.parent
    return None


def _new_folder(tools: Tools, name: str) -> Path:
    target = tools.store.backups / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    while target.exists():  # two in one second
        target = target.with_name(f"{target.name}+")
    return target


def _begun(
    target: Path, name: str, workshop_id: str, only: tuple[str, ...], *, finished_too: bool
) -> Manifest:
    """The manifest of what `target` has of this backup. Raises Refused for somebody else's folder.

    A manifest that is not finished is on the disk before the first archive is.
    """
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (target / MANIFEST).exists():
            manifest = load(target)
            if manifest.id == workshop_id and _same(manifest, only):
                if not manifest.finished_at:
                    return manifest
                if finished_too:
                    return save(target, manifest.but(finished_at=None))
            raise Refused(
                f"{target} holds a backup already, of {manifest.begun_at:%Y-%m-%d %H:%M} UTC",
                hint="give --output a folder that is not there yet",
            )
        if any(target.iterdir()):
            raise Refused(f"{target} is not empty", hint="give --output a folder of its own")
        now = datetime.now(UTC)
        chosen = tuple(sorted(only))
        return save(target, Manifest(workshop=name, id=workshop_id, begun_at=now, only=chosen))
    except OSError as error:
        raise Refused(f"{target} can't be written to: {error.strerror}") from None


def _same(manifest: Manifest, only: tuple[str, ...]) -> bool:
    return manifest.only == tuple(sorted(only))


def _good(target: Path, kept: Kept, home: Home | None) -> bool:
    """Whether the archive is here and its home is still what it was."""
    if home is None or not kept.state or kept.state != home.state:
        return False
    return _whole(target, kept)


def _whole(target: Path, kept: Kept) -> bool:
    path = target / kept.archive
    return path.is_file() and path.stat().st_size == kept.size


def _must_have_room(target: Path, needed: int, command: str) -> None:
    free = shutil.disk_usage(target).free
    if needed > free:
        raise Refused(
            f"Their files are {format_size(needed)}, packed perhaps less, and "
            f"{format_size(free)} are free in {target}",
            hint=f"{command} --output FOLDER takes another disk",
        )


def _guests(tools: Tools, name: str) -> set[str]:
    """Whom a rehearsal that was cut short left behind: their homes have nobody's work."""
    try:
        note = left_note(tools.store.folder(name))
    except (ValueError, TypeError, OSError):
        return set()  # rather too many files than too few
    return set(note.guests) - set(_names(tools, name)) if note else set()


def _names(tools: Tools, name: str) -> dict[str, str]:
    try:
        record = tools.store.load(name)
    except CorruptRecord:
        return {}
    return {person.username: person.name for person in record.people} if record else {}
