"""`restore`: people's files from a backup, back into the homes of a workshop that runs.

Nothing is lost by it: what a home has already stays as it is, and what clashes with it comes into a
folder beside. Everything that can be refused is refused before anything is sent, and a repeat after
an interruption brings what is missing.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.errors import NotReady, NotYet, Refused, UsageError
from provisioner.models import Phase
from provisioner.protocols import Remote
from provisioner.render import homes
from provisioner.settings import recorded
from provisioner.sizing import format_size
from provisioner.store import Record
from provisioner.workflow.archive import Manifest, load, read_back
from provisioner.workflow.backup import count_people, reach
from provisioner.workflow.homes import SILENCE, last_words, look_at, people_with_homes
from provisioner.workflow.tools import Tools, quietly
from provisioner.workflow.waiting import wait_for

FULL = ("No space left", "Disk quota exceeded", "Wrote only")
"""How tar says that a disk, or a share of it, is full."""

PATIENCE = 60.0
"""Seconds until a connection that was lost must be there again."""

UNPACKED = 5e6
"""Bytes a second, at least, on the slowest machine; the server is silent meanwhile."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of one person's files, in numbers of files."""

    source: str  # user name in the backup
    username: str  # in the workshop
    restored: int  # they are where they were
    same: int  # they were there already
    replaced: int
    aside: int  # something else was in their place: they are in ~/`folder`
    folder: str
    failed: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As `--json` has it."""
        return {
            "source": self.source,
            "username": self.username,
            "restored": self.restored,
            "same": self.same,
            "replaced": self.replaced,
            "aside": self.aside,
            "folder": self.folder if self.aside else None,
        }


def restore(
    tools: Tools,
    record: Record,
    source: Path,
    *,
    only: tuple[str, ...] = (),
    mapping: dict[str, str] | None = None,
    replace: bool = False,
) -> tuple[Restored, ...]:
    """Give everybody of the backup in `source`, or `only` them, their files in this workshop.

    `mapping` is user name in the backup → user name here; who is not in it is who has the same
    user name here, else the same name. Raises UsageError and Refused before anything is changed,
    NotReady naming those whose files did not come.
    """
    manifest = load(source)
    if not manifest.files:
        raise UsageError(f"{source} has nobody's files")
    name = record.name
    with tools.store.lock(name, "restore"), tools.store.lock_homes(name, "restore"):
        if record.phase is not Phase.READY:
            raise Refused(
                f"Workshop {record.name!r} is not ready ({record.phase}); nothing was changed",
                hint=f"provision launch {record.name}",
            )
        pairs = pairs_of(manifest, record, only, mapping or {})
        _verify(tools, record.name, source, manifest, tuple(pairs))
        line = _Line(tools, record)
        try:
            _must_fit(line.remote, record, manifest, pairs)
            again = _repeat(name, source, pairs, mapping or {}, replace=replace)
            return _bring(line, source, manifest, pairs, again, replace=replace)
        finally:
            quietly(line.remote.close)


class _Line:
    """The connection to the server, made anew when it was lost."""

    def __init__(self, tools: Tools, record: Record) -> None:
        self.tools, self.record = tools, record
        self.remote = reach(tools, record)

    def again(self) -> None:
        """Raises NotReady."""
        quietly(self.remote.close)

        def connect() -> Remote:
            try:
                return reach(self.tools, self.record)
            except Refused as error:
                raise NotYet(error.message, details=error.details) from None

        self.remote = wait_for(connect, budget=PATIENCE, clock=self.tools.clock)


def pairs_of(
    manifest: Manifest, record: Record, only: tuple[str, ...], mapping: dict[str, str]
) -> dict[str, str]:
    """User name in the backup → user name in the workshop. Raises UsageError, Refused."""
    asked = dict.fromkeys((*only, *mapping))
    if unknown := [name for name in asked if name not in manifest.files]:
        raise UsageError(
            f"The backup has no files of {', '.join(unknown)}; nothing was changed",
            hint=f"it has those of {', '.join(sorted(manifest.files))}",
        )
    here = {person.username: _plain(person.name) for person in record.people}
    named = Counter(filter(None, here.values()))
    by_name = {who: username for username, who in here.items() if named[who] == 1}
    pairs, lost, others = {}, [], []
    for username in asked if only else sorted(manifest.files):
        target, was = mapping.get(username, username), _plain(manifest.files[username].name)
        stranger = bool(was and here.get(target)) and was != here[target]
        if username not in mapping and (stranger or target not in here):
            target = by_name.get(was, "")
        if target in here:
            pairs[username] = target
        elif stranger:
            others.append(username)
            (is_,) = (person.name for person in record.people if person.username == username)
            lost.append(f"{username} was {manifest.files[username].name}, is {is_} here")
        else:
            lost.append(f"{username}: there is no {mapping.get(username, username)} here")
    if lost:
        insist = ",".join(f"{username}={username}" for username in others)
        raise Refused(
            f"{count_people(len(lost))} of the backup are not in {record.name!r}; "
            "nothing was changed",
            details=tuple(lost),
            hint="say who they are: --map OLD=NEW,OLD=NEW; or leave them out: --only USER,USER"
            + (f"\nif they are who they were: --map {insist}" if insist else ""),
        )
    twice = [name for name, count in Counter(pairs.values()).items() if count > 1]
    if twice:
        raise UsageError(
            f"The files of several people would go to {', '.join(twice)}; nothing was changed",
            hint="one after the other: --only USER --map USER=NEW",
        )
    return pairs


def _plain(name: str) -> str:
    """However it was typed."""
    return " ".join(name.split()).casefold()


def _repeat(
    name: str, source: Path, pairs: dict[str, str], mapping: dict[str, str], *, replace: bool
) -> Callable[[list[str]], str]:
    """The command that brings the rest, once it is known whose files these are."""

    def command(rest: list[str]) -> str:
        words = ["provision", "restore", name, "--from", str(source), "--only", ",".join(rest)]
        mapped = [f"{username}={pairs[username]}" for username in rest if username in mapping]
        words += ["--map", ",".join(mapped)] if mapped else []
        return shlex.join([*words, "--replace"] if replace else words)

    return command


def _verify(
    tools: Tools, name: str, source: Path, manifest: Manifest, usernames: tuple[str, ...]
) -> None:
    """Read every archive before one is sent. Raises Refused naming those that are not whole."""
    bad = []
    title = f"Reading the archives of {count_people(len(usernames))}"
    with tools.step(name, "verify", title, kind="") as shown:
        for number, username in enumerate(usernames, 1):
            shown.update(f"{number} of {len(usernames)}: {username}")
            kept = manifest.files[username]
            try:
                if not read_back(source / Path(kept.archive).name).vouches_for(kept):
                    bad.append(f"{username}: {kept.archive} is not what was saved")
            except NotReady as error:
                bad.append(f"{username}: {error.message}")
    if bad:
        raise Refused(
            f"{source} has damaged archives; nothing was changed",
            details=tuple(bad),
            hint="copy the backup once more, or leave them out: --only USER,USER",
        )


def _must_fit(remote: Remote, record: Record, manifest: Manifest, pairs: dict[str, str]) -> None:
    """What comes and what is there, in each home. Raises Refused with numbers."""
    there = people_with_homes(remote)
    if homeless := [name for name in pairs.values() if name not in there]:
        raise Refused(
            f"There is no home on the server for {', '.join(homeless)}; nothing was changed",
            hint=f"provision launch {record.name} brings the server to what it should be",
        )
    limit = recorded(record.settings).limits().disk
    has = look_at(remote, tuple(pairs.values()))
    full = []
    for source, username in pairs.items():
        comes, there_is = manifest.files[source].disk_bytes, has.get(username)
        if there_is is None:
            full.append(f"{username}: the server can't say how much it holds")
        elif comes > (room := min(limit - there_is.bytes, there_is.free)):
            full.append(
                f"{username}: {format_size(comes)} come, and there is room for "
                f"{format_size(max(0, room))}: {format_size(there_is.bytes)} of "
                f"{format_size(limit)} are used"
            )
    if full:
        raise Refused(
            f"The homes of {count_people(len(full))} are too small; nothing was changed",
            details=tuple(full),
            hint="leave them out: --only USER,USER; or launch with a larger --disk",
        )


def _bring(
    line: _Line,
    source: Path,
    manifest: Manifest,
    pairs: dict[str, str],
    again: Callable[[list[str]], str],
    *,
    replace: bool,
) -> tuple[Restored, ...]:
    tools, record = line.tools, line.record
    # Named after the backup, not after today: a repeat finds there what it brought before.
    aside = f"restored-{manifest.begun_at:%Y%m%d-%H%M%S}"
    done: list[Restored] = []
    failed: dict[str, str] = {}
    title = f"Bringing back the files of {count_people(len(pairs))}"
    with tools.step(record.name, "restore", title, kind=tools.provider.name) as shown:
        _must(line.remote, homes.MAKE_RECEIVING)
        for number, (username, target) in enumerate(pairs.items(), 1):
            kept = manifest.files[username]
            one = _One(
                archive=source / Path(kept.archive).name,
                target=target,
                aside=aside,
                timeout=SILENCE + kept.disk_bytes / UNPACKED,
                replace=replace,
                begin=f"{number} of {len(pairs)}: {target}",
                tell=shown.update,
            )
            try:
                answer = _with_patience(line, one)
            except NotYet as error:
                failed[username] = " ".join((error.message, *error.details))
                break  # nor would it be there for the others
            except NotReady as error:
                failed[username] = " ".join((error.message, *error.details))
            else:
                done.append(Restored(source=username, username=target, **answer))
        if len(done) == len(pairs):
            _must(line.remote, homes.DROP_RECEIVED)
    tried = {item.source for item in done} | set(failed)
    failed |= {item.source: f"not {', '.join(item.failed)}" for item in done if item.failed}
    failed |= {username: "not tried" for username in pairs if username not in tried}
    if failed:
        raise NotReady(
            f"The files of {count_people(len(failed))} of {len(pairs)} did not all come back: "
            f"{', '.join(failed)}",
            details=tuple(f"{who}: {why}" for who, why in failed.items()),
            hint=f"{again(list(failed))}   brings what is missing",
            document={
                "name": record.name,
                "people": [item.document() for item in done],
                "failed": failed,
            },
        )
    return tuple(done)


@dataclass(frozen=True, slots=True)
class _One:
    """One person's archive on its way."""

    archive: Path
    target: str
    aside: str
    timeout: float
    replace: bool
    begin: str
    tell: Callable[[str], None]


def _with_patience(line: _Line, one: _One) -> dict[str, Any]:
    """Once more over a new connection when it was lost. Raises NotReady; NotYet: it is lost."""
    try:
        return _give(line.remote, one)
    except NotYet as lost:
        one.tell(f"{one.begin}, {lost.message}; connecting again")
        try:
            line.again()
        except NotReady as error:
            raise NotYet(error.message, details=error.details) from None
        return _give(line.remote, one)


def _give(remote: Remote, one: _One) -> dict[str, Any]:
    one.tell(one.begin)
    alone = remote.run(homes.may_restore(one.target))
    if alone.code == homes.AT_WORK:
        raise NotReady("an earlier restore of their files is still at work on the server")
    if not alone.ok:
        raise NotReady("the server did not take the files:", details=(last_words(alone.err),))
    _send(remote, one.archive, one.target, _telling(one.tell, one.begin))
    one.tell(f"{one.begin}, unpacking")
    command = homes.restore(one.target, one.archive.name, one.aside, replace=one.replace)
    return _unpack(remote, command, one.aside, one.timeout)


def _send(remote: Remote, archive: Path, target: str, progress: Callable[[int, int], None]) -> None:
    """The archive alone, though others lie beside it."""
    with tempfile.TemporaryDirectory(prefix="provision-") as folder:
        (Path(folder) / archive.name).symlink_to(archive.resolve())
        remote.send_tree(Path(folder), homes.receiving(target), progress)


def _unpack(remote: Remote, command: str, aside: str, timeout: float) -> dict[str, Any]:
    done = remote.run(command, timeout=timeout, stdin=homes.MERGING)
    if not done.ok:
        if done.code == homes.AT_WORK:
            raise NotReady("an earlier restore of their files is still at work on the server")
        if any(words in done.err for words in FULL):
            raise NotReady("there is no room for them in their home, which is as it was")
        raise NotReady("they could not be unpacked:", details=(last_words(done.err),))
    try:
        said = json.loads(done.out)
        numbers = {word: int(said[word]) for word in ("restored", "same", "replaced", "aside")}
        return {**numbers, "folder": aside, "failed": tuple(map(str, said["failed"]))}
    except (ValueError, KeyError, TypeError):
        raise NotReady("the server did not say what became of them") from None


def _telling(tell: Callable[[str], None], begin: str) -> Callable[[int, int], None]:
    def progress(there: int, total: int) -> None:
        tell(f"{begin}, {format_size(there)} of {format_size(total)} sent")

    return progress


def _must(remote: Remote, command: str) -> None:
    done = remote.run(command)
    if not done.ok:
        raise NotReady("The server did not take the files", details=(done.err.strip(),))
