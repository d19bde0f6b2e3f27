"""`push`: corrected or new materials, to who is at work and to who comes later."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, cast

from provisioner.errors import NotReady, NotYet, ProvisionError, Refused, UsageError
from provisioner.models import MaterialsSource, Phase, ServerState
from provisioner.protocols import Remote
from provisioner.render import materials
from provisioner.store import Record, read_credentials
from provisioner.workflow.checks import Climb
from provisioner.workflow.launch import is_over, kind_of, local_time
from provisioner.workflow.lines import Lines
from provisioner.workflow.materials import Gathered, gather, last_source, on_server, send
from provisioner.workflow.tools import Tools

SILENCE = 2.0 * materials.LONGEST
"""Seconds without word of anybody: more than one person's copy may take."""

WHAT = ("added", "updated", "kept", "both", "left")
LINES = 1000
"""Paths of one person that are listened to: a container may say anything."""


@dataclass(frozen=True, slots=True)
class Change:
    """What differs from what the server has."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.added) + len(self.changed) + len(self.removed)


@dataclass(frozen=True, slots=True)
class Got:
    """What one person got: paths, the first thousand of each kind.

    `state`: "now"; "in part", where `failed` says which path could not be brought, and why;
    "next start"; or "failed" with `why`. `both`: theirs was kept, and the new one is beside it.
    `left`: theirs, no longer upstream. `counts`: how many there are of each kind in all.
    """

    username: str
    state: str
    why: str = ""
    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    both: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, word: str) -> int:
        return max(len(getattr(self, word)), self.counts.get(word, 0))

    @property
    def trouble(self) -> str:
        """Why there is something that they don't have; "" when they have all."""
        if self.state == "failed":
            return self.why
        for path, why in self.failed.items():
            more = self.count("failed") - 1
            return f"{path}: {why}" + (f" (and {more} more)" if more else "")
        return ""


@dataclass(frozen=True, slots=True)
class Pushed:
    record: Record
    folder: str
    change: Change
    people: tuple[Got, ...]  # nobody on a dry run
    open_link: str
    pull_link: str  # "" where participants can't reach a repository
    branch: str = ""
    commit: str = ""


def push(
    tools: Tools, name: str, asked: MaterialsSource | None = None, *, dry_run: bool = False
) -> Pushed:
    """Gather, send, switch, and give it to everybody whose server runs. Repeatable at any time.

    `asked` says what differs from the last time; "" is "as before". A person who could not be
    given theirs is in the answer. A dry run leaves nothing for a later push. Raises Refused and
    UsageError before anything is changed, NotReady when the server could not be brought to it.
    """
    with tools.store.lock(name, "push"):
        record = _record(tools, name)
        source = _source(tools, record, asked)
        with _reach(tools, record) as climb:
            kind = kind_of(record, climb.server)
            before = on_server(climb)
            if not (asked and asked.folder) and before.get("folder"):
                source = replace(source, folder=str(before["folder"]))
            title = f"Gathering {materials.folder_of(MaterialsSource(source.source))}"
            with tools.step(name, "materials", title, kind="") as step:
                found = gather(tools, record, source, step.update, keep=not dry_run)
            change = _change(before.get("files", {}), found.files)
            people: tuple[Got, ...] = ()
            if not dry_run:
                people = _bring_all(climb, found, before, kind=kind)
    link = ""
    if found.url:
        link = materials.pull_link(record.url, found.url, found.branch, found.folder)
    opened = materials.open_link(record.url, found.folder)
    return Pushed(record, found.folder, change, people, opened, link, found.branch, found.commit)


def refuse_failures(pushed: Pushed, document: dict[str, object] | None = None) -> None:
    """Raises NotReady with `document`, naming everybody who could not be given all of it."""
    states = [got.state for got in pushed.people]
    failed, part = states.count("failed"), states.count("in part")
    if not failed + part:
        return
    words = [f"{failed} of {len(states)} people could not be given the materials"] if failed else []
    words += [f"{part} of {len(states)} have them only in part"] if part else []
    raise NotReady(
        "; ".join(words),
        details=tuple(f"{got.username}: {got.trouble}" for got in pushed.people if got.trouble),
        hint=f"provision push {pushed.record.name}   tries again",
        document=document,
    )


def _record(tools: Tools, name: str) -> Record:
    record = tools.store.load(name)
    if record is None:
        raise UsageError(f"There is no workshop {name!r}", hint=f"provision launch {name}")
    if record.phase is not Phase.READY or is_over(record):
        hint = {Phase.STOPPED: "start", Phase.EXPIRED: "teardown"}.get(record.phase, "launch")
        raise Refused(
            f"Workshop {name!r} is not ready ({record.phase}, until "
            f"{local_time(record.expires_at)}); nothing was changed",
            hint=f"provision {hint} {name}",
        )
    return record


def _source(tools: Tools, record: Record, asked: MaterialsSource | None) -> MaterialsSource:
    last = last_source(tools, record)
    if asked and asked.source:
        return asked
    if last is None:
        raise UsageError(
            f"Workshop {record.name!r} has no materials",
            hint=f"provision push {record.name} --source FOLDER-OR-REPOSITORY",
        )
    if asked is None:
        return last
    return replace(last, branch=asked.branch or last.branch, folder=asked.folder or last.folder)


def _reach(tools: Tools, record: Record) -> Climb:
    """An open connection, or Refused before anything is changed."""
    server = tools.provider.find(record.id)
    folder = tools.store.folder(record.name)
    look = f"provision status {record.name}"
    if server is None or server.state is not ServerState.RUNNING:
        raise Refused(f"The machine of {record.name!r} does not run", hint=look)
    sheet = read_credentials(folder.credentials, record.people)
    climb = Climb(tools, record, folder, server, sheet[0])
    try:
        climb.remote  # noqa: B018 - opens it
    except ProvisionError as error:
        raise Refused(
            f"The machine of {record.name!r} can't be reached; nothing was changed: "
            f"{error.message}",
            hint=look,
        ) from None
    return climb


def _change(before: dict[str, str], now: dict[str, str]) -> Change:
    return Change(
        tuple(sorted(set(now) - set(before))),
        tuple(sorted(path for path in set(now) & set(before) if now[path] != before[path])),
        tuple(sorted(set(before) - set(now))),
    )


def _bring_all(
    climb: Climb, found: Gathered, before: dict[str, Any], *, kind: str
) -> tuple[Got, ...]:
    record = climb.record
    again = f"provision push {record.name}   goes on from there"
    try:
        if before.get("id") != found.key:
            send(climb, found, kind=kind)
        with climb.tools.step(record.name, "deliver", "Giving them out", kind=kind) as step:
            got = _deliver(climb.remote, step.update)
    except NotReady as error:
        raise NotReady(error.message, details=error.details, hint=again) from None
    later = [Got(person.username, "next start") for person in record.people]
    return tuple(got.get(item.username, item) for item in later)


def _deliver(remote: Remote, say: Callable[[str], None]) -> dict[str, Got]:
    """By user name, everybody whose server runs."""
    got: dict[str, Got] = {}
    total = -1

    def hear(line: str) -> None:
        nonlocal total
        word, _, rest = line.partition(" ")
        if word == "total" and rest.isdigit():
            total = int(rest)
        elif word.startswith("jupyter-"):
            username = word.removeprefix("jupyter-")
            got[username] = _heard(username, rest.split())
        say(f"{len(got)} of {max(0, total)}")

    done = remote.receive(materials.DELIVER, cast("BinaryIO", Lines(hear)), timeout=SILENCE)
    if not done.ok or len(got) < total:
        raise NotYet(
            "The materials are on the server, but not everybody was given theirs",
            details=tuple(done.err.splitlines()[-3:]),
        )
    return got


TIMED_OUT, NO_SUCH_FILE = "124", "2"


def _heard(username: str, words: list[str]) -> Got:
    """What came out of a container is its owner's to say: nothing of it is taken on trust."""
    code, said, err = (*words, "", "", "")[:3]
    if code == TIMED_OUT:
        return Got(username, "failed", f"it took longer than {materials.LONGEST} s")
    try:
        found = json.loads(_text(said))
        added, updated, kept, both, left = (_paths(found.get(key, [])) for key in WHAT)
        wrong = list(dict(found["failed"]).items())[:LINES]
        failed = {_plain(path): _plain(why) for path, why in wrong}
        counts = _counts(dict(found.get("counts", {})))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        if code == NO_SUCH_FILE:
            return Got(username, "failed", "the server is too old for this: stop and start it")
        why = _plain(_text(err).strip()) or f"it ended with code {code}"
        return Got(username, "failed", why)
    state = "in part" if failed else "now"
    nothing = [f"{path}: {why}" for path, why in failed.items() if path.startswith("~/")]
    if nothing:  # the folder itself, or what has to be noted down
        state = "failed"
    why = "; ".join(nothing)
    return Got(username, state, why, added, updated, kept, both, left, failed, counts)


def _counts(said: dict[Any, Any]) -> dict[str, int]:
    """How many there are of each kind; more than a million of anything is nobody's."""
    words = (*WHAT, "failed")
    return {
        word: said[word]
        for word in words
        if type(said.get(word)) is int and 0 <= said[word] <= 1_000_000
    }


def _text(word: str) -> str:
    try:
        return base64.b64decode(word, validate=True).decode(errors="replace")
    except binascii.Error:
        return ""


def _paths(found: Any) -> tuple[str, ...]:
    return tuple(_plain(path) for path in list(found)[:LINES])


def _plain(said: Any) -> str:
    """One short line that no terminal acts upon."""
    text = "".join(letter if letter.isprintable() else "�" for letter in str(said)[-300:])
    return text.strip()
