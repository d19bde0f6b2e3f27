"""Who plays the participants, and how everything of it is undone.

A note in the workshop's folder is written before anything is changed, so that whatever kills a
rehearsal, the next one (or `--clean-up`) undoes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioner import keys, sizing
from provisioner.errors import NotReady, NotYet, Refused
from provisioner.models import Credential, Limits, Person, Result, Size
from provisioner.protocols import Remote
from provisioner.render import commands, hub, people, rehearsal
from provisioner.settings import recorded
from provisioner.store import Folder, Record, read_credentials, write_private
from provisioner.workflow.hashes import known_hashes
from provisioner.workflow.hub import END_BUDGET, ask, end_sessions
from provisioner.workflow.tools import Tools
from provisioner.workflow.waiting import wait_for

GUEST = "rehearse"
"""Temporary participants are rehearse01 …"""


LOOKS = 4
"""How often, two seconds apart, somebody must be found at work to keep a server."""


@dataclass(frozen=True, slots=True)
class Note:
    """What has to be undone."""

    guests: tuple[str, ...] = ()  # temporary people
    starts: tuple[str, ...] = ()  # real ones whose server did not run before
    ran: tuple[str, ...] = ()  # real ones whose server did, and stays


@dataclass(frozen=True, slots=True)
class Cast:
    credentials: tuple[Credential, ...]
    guests: tuple[Credential, ...]  # the temporary ones among them
    warm: frozenset[str]  # whose server runs already
    busy: frozenset[str]  # people at work, who are not disturbed
    has: Size


def choose(tools: Tools, record: Record, remote: Remote, users: int | None) -> Cast:
    """As many as asked, or as there are participants. Nothing is changed.

    Nobody who is at work is played by somebody else: then all are temporary.
    Raises Refused when so many don't fit.
    """
    folder = tools.store.folder(record.name)
    sheet = read_credentials(folder.credentials, record.people)
    seats = [item for item in sheet if not item.person.admin]
    wanted = len(seats) if users is None else users
    running = _running(remote)
    busy = _at_work(remote) & running
    own = [] if busy else seats[:wanted]
    own_names = {item.person.username for item in own}
    has = people.measured(remote.run(people.MEASURE))
    temporary = wanted - len(own)
    # Whoever has a server keeps it meanwhile.
    _refuse_too_many(record, has, wanted + len(running - own_names), temporary)
    taken = {person.username for person in record.people}
    taken |= set(remote.run(commands.list_homes()).out.split())
    guests = keys.new_credentials(tuple(_guests(temporary, taken)), shared=False)
    return Cast((*own, *guests), guests, frozenset(running & own_names), busy, has)


def note_for(cast: Cast) -> Note:
    guests = tuple(item.person.username for item in cast.guests)
    own = [item.person.username for item in cast.credentials if item not in cast.guests]
    return Note(
        guests,
        tuple(name for name in own if name not in cast.warm),
        tuple(name for name in own if name in cast.warm),
    )


def admit(tools: Tools, record: Record, remote: Remote, cast: Cast) -> None:
    """Let the temporary ones in beside everybody else."""
    if cast.guests:
        _tell_hub(tools, record, remote, cast.guests)
        made = remote.run(commands.MAKE_HOMES, timeout=300)
        _must(made, "The temporary participants got no homes")


def undo(tools: Tools, record: Record, remote: Remote, note: Note) -> None:
    """Servers, logins and homes of a rehearsal go; the note goes last. Idempotent.

    Who has begun to work in a server that it started keeps it.
    Raises NotReady, NotYet when the server or its hub can't be asked: then the note stays.
    """
    remote.run(rehearsal.END_CROWD)
    if note.guests:
        _tell_hub(tools, record, remote, ())
        end_sessions(remote, note.guests, tools.clock)
        for username in note.guests:
            gone = remote.run(people.remove_home(username), timeout=300)
            _must(gone, f"The home of {username} could not be deleted on the server")
    if note.starts:
        kept = _stay_at_work(tools, remote, {*note.starts})
        _stop_servers(tools, remote, tuple(name for name in note.starts if name not in kept))
        if kept:
            tools.reporter.note(f"At work by now, so their servers stay: {', '.join(sorted(kept))}")
    if note.starts or note.ran:
        _keep_time(tools, record, remote)
    note_file(tools.store.folder(record.name)).unlink(missing_ok=True)


def note_file(folder: Folder) -> Path:
    return folder.path / "rehearsal.json"


def keep_note(folder: Folder, note: Note) -> None:
    write_private(note_file(folder), json.dumps(asdict(note)) + "\n")


def left_note(folder: Folder) -> Note | None:
    """Of a rehearsal that was cut short; None when there is nothing to undo."""
    try:
        values: dict[str, list[str]] = json.loads(note_file(folder).read_text(encoding="utf-8"))
        return Note(**{key: tuple(names) for key, names in values.items()})
    except FileNotFoundError:
        return None


def _guests(count: int, taken: set[str]) -> Iterable[Person]:
    width, number = max(2, len(str(count))), 0
    while count:
        number += 1
        username = f"{GUEST}{number:0{width}}"
        if username not in taken:
            count -= 1
            yield Person(seat=username, username=username)


def _running(remote: Remote) -> frozenset[str]:
    (answer,) = ask(remote, [hub.question("GET", "/users?state=active&limit=200")])
    if answer.status != 200:
        raise NotYet(f"The hub does not say whose servers run: {answer.words}")
    users: list[dict[str, Any]] = answer.body
    return frozenset(user["name"] for user in users if (user.get("servers") or {}).get(""))


def _at_work(remote: Remote) -> frozenset[str]:
    """Raises NotYet when that can't be told: nobody is taken for idle on a guess."""
    said = remote.run(rehearsal.AT_WORK, timeout=120)
    if not said.ok:
        raise NotYet("The server does not say who is at work", details=(said.err.strip(),))
    return frozenset(said.out.split())


def _stay_at_work(tools: Tools, remote: Remote, names: set[str]) -> frozenset[str]:
    """Those of `names` who are at work: what a kernel has begun may end a moment after it."""
    busy = _at_work(remote) & names
    for _ in range(LOOKS - 1):
        if busy:
            tools.clock.sleep(2)
            busy = _at_work(remote) & names
    return busy


def _keep_time(tools: Tools, record: Record, remote: Remote) -> None:
    """Whoever was there until now was a rehearsal: `status` counts from here."""
    said = remote.run(rehearsal.NOW).out.strip()
    at = datetime.fromtimestamp(int(said), UTC) if said.isdecimal() else datetime.now(UTC)
    now = tools.store.load(record.name) or record
    tools.store.save(now.but(rehearsed_at=at))


def _refuse_too_many(record: Record, has: Size, total: int, temporary: int) -> None:
    """Everybody's memory at once must fit, or a rehearsal does what it should warn of."""
    settings = recorded(record.settings)
    limits, planned = settings.limits(), len(settings.people())
    short = []
    if total > planned and _needs(total, limits) > has.memory:
        short.append(
            f"memory: {sizing.explain_memory(total, limits)}, but the machine has "
            f"{sizing.format_size(has.memory)}"
        )
    homes = len(record.people) + temporary
    if homes > planned and sizing.disk_for(homes, limits, record.data_bytes) > has.disk:
        short.append(
            f"disk: {sizing.explain_disk(homes, limits, record.data_bytes)}, but the machine has "
            f"{sizing.format_size(has.disk)}"
        )
    if short:
        fit = sizing.people_that_fit(has.memory, share=limits.memory, system=sizing.SYSTEM_MEMORY)
        raise Refused(
            f"{total} people at once don't fit on this machine; nothing was done",
            details=tuple(short),
            hint=f"provision rehearse {record.name} --users N, with at most {max(fit, planned)} "
            "people in all who have a server",
        )


def _needs(people: int, limits: Limits) -> int:
    return people * limits.memory + sizing.SYSTEM_MEMORY


def _tell_hub(tools: Tools, record: Record, remote: Remote, guests: tuple[Credential, ...]) -> None:
    """Everybody of the sheet may log in, and `guests`."""
    folder = tools.store.folder(record.name)
    sheet = (*read_credentials(folder.credentials, record.people), *guests)
    hashed = keys.hashes(sheet, known_hashes(remote))
    content = commands.users_json(hashed, sheet)
    taken = remote.run(commands.write_file(commands.USERS_FILE, len(content)), stdin=content)
    _must(taken, "The server did not take the password hashes")


def _stop_servers(tools: Tools, remote: Remote, usernames: tuple[str, ...]) -> None:
    left = list(usernames)

    def all_stopped() -> None:
        paths = [f"{hub.user_path(name)}/server" for name in left]
        answers = ask(remote, [hub.question("DELETE", path) for path in paths])
        pairs = list(zip(list(left), answers, strict=True))
        # 204: it has stopped or ran not at all; 202 and 400: it is stopping, or still starting
        left[:] = [name for name, answer in pairs if answer.status not in {204, 404}]
        if left:
            raise NotYet(f"the server of {left[0]} is still stopping")

    wait_for(all_stopped, budget=END_BUDGET, clock=tools.clock)


def _must(result: Result, words: str) -> None:
    if not result.ok:
        raise NotReady(words, details=(result.err.strip(),))
