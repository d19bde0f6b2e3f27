"""Who sits where, under which user name. Adding somebody at the end never changes the others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

from anyascii import anyascii

from provisioner.models import Person
from provisioner.roster import Entry

LONGEST = 32
RESERVED = frozenset(
    [
        *("admin", "caddy", "check", "gate", "hub", "jovyan"),
        *("provision", "proxy", "root", "shared", "system"),
    ]
)
"""Names that something else on the server has, or that would mislead."""

_NUMBERED = re.compile(r"(user|spare)[0-9]*")


def user_name(name: str) -> str:
    """A name in any script → what can be typed on any keyboard; "" when nothing is left of it."""
    letters = "".join(
        " " if unicodedata.category(char)[0] in "ZS" else char
        for char in name
        if char not in "'’ʼ`.\u200c\u200d"  # O'Brien is obrien, J. R. is j-r
    )
    words = re.sub(r"[^a-z0-9]+", "-", anyascii(letters).lower()).lstrip("-0123456789").rstrip("-")
    if len(words) <= LONGEST:
        return words
    whole = words[: LONGEST + 1].rpartition("-")[0]  # whole words, if there are some
    return (whole or words)[:LONGEST].strip("-")


def participants(count: int) -> tuple[Person, ...]:
    """user01 … where nobody has a name."""
    width = max(2, len(str(count)))
    return tuple(
        Person(seat=str(number), username=f"user{number:0{width}}")
        for number in range(1, count + 1)
    )


def seated(
    entries: Iterable[Entry], *, taken: Collection[str] = (), first_seat: int = 1
) -> tuple[Person, ...]:
    """Each entry with a seat and a user name of its own that is not among `taken`.

    User names that entries ask for are theirs, whoever stands above them in the list.
    Raises ValueError, one line a problem, for those that they can't have.
    """
    entries = tuple(entries)
    used, problems = set(taken) | RESERVED, []
    for entry in entries:
        if entry.username and entry.username in used:
            line = f"line {entry.line}: " if entry.line else ""
            problems.append(f"{line}{entry.name}: the user name {entry.username!r} is taken")
        elif entry.username:
            used.add(entry.username)
    if problems:
        raise ValueError("\n".join(problems))
    people = []
    for seat, entry in enumerate(entries, first_seat):
        name = entry.username or _free(entry.name, used, seat)
        used.add(name)
        people.append(Person(str(seat), name, name=entry.name, email=entry.email))
    return tuple(people)


def spares(count: int, *, first_seat: int, taken: Collection[str] = ()) -> tuple[Person, ...]:
    """Seats for people who just walk in: spare01 …, without a name."""
    free = (name for number in range(1, 10_000) if (name := f"spare{number:02}") not in taken)
    return tuple(
        Person(seat=str(seat), username=next(free))
        for seat in range(first_seat, first_seat + count)
    )


def matched(
    entries: Iterable[Entry], people: Iterable[Person]
) -> tuple[tuple[Entry, Person | None], ...]:
    """Each entry with the one of `people` whom it means; None for somebody who is not there.

    By address first, then by name where one of the two has no address: a walk-in who was added by
    name is in the list with an address the next time. Two who have different addresses are two
    people. Each person is found once, so two of one name need two entries.
    """
    entries, left = tuple(entries), [person for person in people if person.name]
    found: dict[int, Person] = {}
    for same in (_same_address, _same_name_alone, _same_name):
        for place, entry in enumerate(entries):
            if place in found:
                continue
            person = next((item for item in left if same(entry, item)), None)
            if person is not None:
                found[place] = person
                left.remove(person)
    return tuple((entry, found.get(place)) for place, entry in enumerate(entries))


def newcomers(entries: Iterable[Entry], people: Iterable[Person]) -> tuple[Entry, ...]:
    """The entries that are not among `people`."""
    return tuple(entry for entry, person in matched(entries, people) if person is None)


def next_seat(people: Iterable[Person], *, last: int = 0) -> int:
    """One after the last, and after `last`: a seat that somebody left has a printed card."""
    return max((last, *(int(item.seat) for item in people if item.seat.isdigit()))) + 1


def _same_address(entry: Entry, person: Person) -> bool:
    return bool(entry.email) and entry.email.casefold() == person.email.casefold()


def _same_name_alone(entry: Entry, person: Person) -> bool:
    return not entry.email and not person.email and _same_name(entry, person)


def _same_name(entry: Entry, person: Person) -> bool:
    named = entry.name.casefold() == person.name.casefold()
    return named and not (entry.email and person.email)


def _free(name: str, used: Collection[str], seat: int) -> str:
    wanted = user_name(name)
    if not wanted or _NUMBERED.fullmatch(wanted):
        wanted = f"user{seat:02}"
    found, number = wanted, 1
    while found in used:
        number += 1
        end = f"-{number}"
        found = wanted[: LONGEST - len(end)].rstrip("-") + end
    return found
