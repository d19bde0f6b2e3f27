"""People who come and go while a workshop runs, without a restart for the others.

The operator's side is written first: the record says who belongs to the workshop, and the sheet
with which password. Then the server is brought to it, so that the same command finishes what was
interrupted. A home on the server of somebody who is not in the record is the trace of a removal
that was not finished.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner import keys
from provisioner.errors import NotReady, ProvisionError, Refused, UsageError
from provisioner.models import Credential, Person, Phase, Result, Secret, ServerState
from provisioner.protocols import Remote
from provisioner.render import commands, people
from provisioner.roster import Entry
from provisioner.seating import matched, next_seat, seated
from provisioner.settings import recorded
from provisioner.store import Record, credentials_csv, read_credentials, write_private
from provisioner.workflow.backup import Backup, backup_homes
from provisioner.workflow.capacity import refuse_too_many
from provisioner.workflow.hashes import known_hashes
from provisioner.workflow.hub import end_sessions
from provisioner.workflow.launch import is_over, local_time
from provisioner.workflow.tools import Tools, quietly


@dataclass(frozen=True, slots=True)
class Added:
    record: Record
    credentials: tuple[Credential, ...]  # of the new ones
    already: tuple[Credential, ...]  # of those who were there before: their cards may be missing


@dataclass(frozen=True, slots=True)
class Removed:
    record: Record
    usernames: tuple[str, ...]
    backup: Backup | None  # None: nothing was to be kept


@dataclass(frozen=True, slots=True)
class Reset:
    record: Record
    credentials: tuple[Credential, ...]


def add(tools: Tools, name: str, entries: tuple[Entry, ...]) -> Added:
    """Give each of `entries` a seat, a password and a home; who is there already keeps theirs,
    and gets the address that was not known of them.

    Raises Refused when the machine does not run or is too small, UsageError for a user name that
    is taken, NotReady when the server did not take it.
    """
    with tools.store.lock(name, "users add"):
        record, remote = reach(tools, name)
        try:
            found = matched(entries, record.people)
            added = _seat(tools, record, remote, tuple(entry for entry, who in found if not who))
            known = {who.username: _reached_by(who, entry) for entry, who in found if who}
            there = tuple(known.get(person.username, person) for person in record.people)
            before, record = record, record.but(people=_with(there, added))
            if added:
                sheet = read_credentials(_sheet(tools, name), _but(record.people, added))
                fresh = _passwords(record, sheet, added)
                _write_sheet(tools, record, (*sheet, *fresh))  # first: a record needs passwords
            if record != before:
                tools.store.save(record)
            _converge(tools, record, remote)
        finally:
            quietly(remote.close)
    new = {person.username for person in added}
    sheet = read_credentials(_sheet(tools, name), record.people)
    return Added(
        record,
        tuple(item for item in sheet if item.person.username in new),
        tuple(item for item in sheet if item.person.username in known),
    )


def remove(tools: Tools, name: str, usernames: Iterable[str], *, discard_home: bool) -> Removed:
    """End people's logins and servers at once; their files come home, then leave the server.

    Raises UsageError for somebody who is not there, Refused for an admin and for the last one.
    """
    gone = tuple(dict.fromkeys(usernames))
    lock, lock_homes = tools.store.lock, tools.store.lock_homes
    with lock(name, "users remove"), lock_homes(name, "users remove"):
        record, remote = reach(tools, name)
        try:
            half_done = _homes(remote) - {person.username for person in record.people}
            _refuse_unknown(record, gone, half_done)
            _refuse_needed(record, gone)
            left = tuple(person for person in record.people if person.username not in gone)
            sheet = read_credentials(_sheet(tools, name), left)
            last = next_seat(record.people, last=record.last_seat) - 1
            record = tools.store.save(record.but(people=left, last_seat=last))
            _write_sheet(tools, record, sheet)
            _converge(tools, record, remote, ended=gone)
            backup = None
            if not discard_home:
                backup = backup_homes(tools, name, record.id, remote, only=gone)
            for username in gone:
                _must(
                    remote.run(people.remove_home(username), timeout=300),
                    f"the home of {username} could not be deleted on the server",
                )
        finally:
            quietly(remote.close)
    return Removed(record, gone, backup)


def reset(tools: Tools, name: str, usernames: Iterable[str]) -> Reset:
    """New passwords; whoever is logged in under the old ones is out. Files stay.

    Their servers are stopped: whoever had the old password may be at work in them.
    """
    wanted = tuple(dict.fromkeys(usernames))
    with tools.store.lock(name, "users reset"):
        record, remote = reach(tools, name)
        try:
            _refuse_unknown(record, wanted, set())
            sheet = tuple(
                Credential(item.person, keys.new_password())
                if item.person.username in wanted
                else item
                for item in read_credentials(_sheet(tools, name), record.people)
            )
            _write_sheet(tools, record, sheet)
            _converge(tools, record, remote, ended=wanted)
        finally:
            quietly(remote.close)
    return Reset(record, tuple(item for item in sheet if item.person.username in wanted))


def reach(tools: Tools, name: str) -> tuple[Record, Remote]:
    """The record and an open connection, or Refused before anything is changed."""
    record = tools.store.load(name)
    if record is None:
        raise UsageError(f"There is no workshop {name!r}", hint=f"provision launch {name}")
    if record.phase is not Phase.READY:
        hint = {Phase.STOPPED: "start", Phase.EXPIRED: "teardown"}.get(record.phase, "launch")
        raise Refused(
            f"Workshop {name!r} is not ready ({record.phase}); nothing was changed",
            hint=f"provision {hint} {name}",
        )
    server = tools.provider.find(record.id)
    if server is None or server.state is not ServerState.RUNNING or is_over(record):
        raise Refused(
            f"The machine of {name!r} does not run; its deadline is "
            f"{local_time(record.expires_at)}. Nothing was changed",
            hint=f"provision status {name}",
        )
    try:
        return record, tools.connect(server, tools.store.folder(name))
    except ProvisionError as error:
        raise Refused(
            f"The machine of {name!r} can't be reached; nothing was changed: {error.message}",
            hint=f"provision status {name}",
            details=error.details,
        ) from None


def _seat(
    tools: Tools, record: Record, remote: Remote, new: tuple[Entry, ...]
) -> tuple[Person, ...]:
    if not new:
        return ()
    refuse_too_many(record, remote, len(new))
    # A home without a person is somebody's whose removal is not finished: not for a new one.
    taken = {person.username for person in record.people} | _homes(remote)
    try:
        first = next_seat(record.people, last=record.last_seat)
        return seated(new, taken=taken, first_seat=first)
    except ValueError as error:
        raise UsageError("Nobody was added:", details=tuple(str(error).splitlines())) from None


def _with(there: tuple[Person, ...], added: tuple[Person, ...]) -> tuple[Person, ...]:
    """In the order of the sheet: admins are last."""
    participants = tuple(person for person in there if not person.admin)
    return (*participants, *added, *(person for person in there if person.admin))


def _but(all_of: tuple[Person, ...], without: tuple[Person, ...]) -> tuple[Person, ...]:
    return tuple(person for person in all_of if person not in without)


def _passwords(
    record: Record, sheet: tuple[Credential, ...], added: tuple[Person, ...]
) -> tuple[Credential, ...]:
    """In a workshop with one password for all, the newcomers have that one."""
    if recorded(record.settings).login.mode != "shared":
        return keys.new_credentials(added, shared=False)
    others = [str(item.password) for item in sheet if not item.person.admin]
    common = Secret(max(others, key=others.count))  # one or the other was reset since
    return tuple(Credential(person, common) for person in added)


def _reached_by(person: Person, entry: Entry) -> Person:
    return person if person.email else replace(person, email=entry.email)


def _refuse_unknown(record: Record, usernames: tuple[str, ...], half_done: set[str]) -> None:
    known = {person.username for person in record.people}
    unknown = [name for name in usernames if name not in known | half_done]
    if not unknown:
        return
    near = [name for name in sorted(known) if name.startswith(unknown[0])]
    near += difflib.get_close_matches(unknown[0], known, n=1)
    raise UsageError(
        f"There is nobody called {', '.join(unknown)} in {record.name!r}; nothing was changed",
        hint=(f"did you mean {near[0]}? " if near else "")
        + f"provision users list --workshop {record.name}",
    )


def _refuse_needed(record: Record, gone: tuple[str, ...]) -> None:
    for person in record.people:
        if person.admin and person.username in gone:
            raise Refused(
                f"{person.username} is an admin of {record.name!r}; nothing was changed",
                hint=f"provision users reset {person.username} gives them a new password",
            )
    if not any(not item.admin and item.username not in gone for item in record.people):
        raise Refused(
            "That would be everybody; nothing was changed",
            hint=f"provision teardown {record.name} ends the workshop",
        )


def _converge(tools: Tools, record: Record, remote: Remote, *, ended: tuple[str, ...] = ()) -> None:
    """Bring the server to what the record and the sheet say; `ended` are logged out as well."""
    sheet = read_credentials(_sheet(tools, record.name), record.people)
    title = "Telling the hub who may log in"
    with tools.step(record.name, "users", title, kind=record.provider) as shown:
        users = commands.users_json(keys.hashes(sheet, known_hashes(remote)), sheet)
        _must(
            remote.run(commands.write_file(commands.USERS_FILE, len(users)), stdin=users),
            "the server did not take the password hashes",
        )
        made = remote.run(commands.MAKE_HOMES, timeout=300)
        _must(made, "the new homes could not be made")
        _pass_on_warnings(tools, made)
        left = _homes(remote) - {person.username for person in record.people}
        shown.update("ending sessions")
        end_sessions(remote, sorted({*ended, *left}), tools.clock)


def _pass_on_warnings(tools: Tools, made: Result) -> None:
    """Of a disk that is too small for all shares at once: it is found out now, or in the room."""
    for line in (made.out + made.err).splitlines():
        before, warning, words = line.partition("WARNING: ")
        if warning:
            tools.reporter.warn(f"{before}{words}")


def _homes(remote: Remote) -> set[str]:
    listed = remote.run(commands.list_homes())
    _must(listed, "the server did not say whose homes it has")
    return set(listed.out.split())


def _sheet(tools: Tools, name: str) -> Path:
    return tools.store.folder(name).credentials


def _write_sheet(tools: Tools, record: Record, sheet: tuple[Credential, ...]) -> None:
    """Rows in the order of the record, whoever else is in `sheet` last."""
    places = {person.username: place for place, person in enumerate(record.people)}
    rows = sorted(sheet, key=lambda item: places.get(item.person.username, len(places)))
    write_private(_sheet(tools, record.name), credentials_csv(tuple(rows), record.url))


def _must(result: Result, words: str) -> None:
    if not result.ok:
        raise NotReady(
            f"{words[0].upper()}{words[1:]}",
            details=(result.err.strip(),),
            hint="the same command again finishes it",
        )
