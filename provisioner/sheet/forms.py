"""One sheet: who logs in where with which password, and what its simple forms need of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from provisioner.models import Credential, SheetOptions

START = (
    "Type the address into a browser, or scan the code, which fills in your user name."
    " Log in, and open a notebook from the list on the left."
)
START_OWN_AUTHORITY = (
    "Your browser warns at first, because this workshop vouches for itself: ask for its"
    " certificate (ca.crt) and trust it, or choose Advanced and continue."
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is handed out. `url` is the same for all; the password never rides in it.

    `authority` is the SHA-256 fingerprint of the workshop's own certificate authority, "" where
    browsers know the authority. `ends` is the deadline in words. `complete` is False for a choice
    of cards that are printed again.
    """

    workshop: str
    url: str
    credentials: tuple[Credential, ...]
    options: SheetOptions = field(default_factory=SheetOptions)
    authority: str = ""
    ends: str = ""
    complete: bool = True

    @property
    def title(self) -> str:
        return self.options.title or self.workshop

    @property
    def start(self) -> str:
        if self.options.start:
            return self.options.start
        return f"{START} {START_OWN_AUTHORITY}" if self.authority else START

    def login_url(self, username: str) -> str:
        """Where JupyterHub's login form has the user name filled in already."""
        return f"{self.url}/hub/login?{urlencode({'username': username})}"

    def in_seat_order(self) -> tuple[Credential, ...]:
        """Seats 1, 2, … 10, then those without a number, in the order they came."""

        def place(item: Credential) -> tuple[bool, int]:
            seat = item.person.seat
            numbered = seat.isascii() and seat.isdigit()
            return (not numbered, int(seat) if numbered else 0)

        return tuple(sorted(self.credentials, key=place))

    def only(self, usernames: Iterable[str]) -> Sheet:
        """The sheet of these people alone. Raises KeyError with those that it does not have."""
        wanted = set(usernames)
        chosen = tuple(item for item in self.credentials if item.person.username in wanted)
        unknown = wanted - {item.person.username for item in chosen}
        if unknown:
            raise KeyError(*sorted(unknown))
        return replace(self, credentials=chosen, complete=False)

    def headings(self) -> tuple[str, ...]:
        """Of `rows`. Names stand there when somebody has one."""
        return ("Seat", *(("Name",) if self._named() else ()), "User name", "Password")

    def rows(self) -> list[tuple[str, ...]]:
        named = self._named()
        return [
            (
                item.person.seat,
                *((item.person.name,) if named else ()),
                item.person.username,
                str(item.password),
            )
            for item in self.credentials
        ]

    def _named(self) -> bool:
        return any(item.person.name for item in self.credentials)

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "seat": item.person.seat,
                "name": item.person.name,
                "username": item.person.username,
                "password": str(item.password),
                "url": self.url,
            }
            for item in self.credentials
        ]
