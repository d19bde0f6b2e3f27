"""One sheet, three forms: rows for a table, CSV text, a JSON value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from provisioner.models import Credential

HEADINGS = ("Seat", "User name", "Password")


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is handed out. `url` is the same for all; the password never rides in it."""

    workshop: str
    url: str
    credentials: tuple[Credential, ...]

    def rows(self) -> list[tuple[str, str, str]]:
        return [
            (item.person.seat, item.person.username, str(item.password))
            for item in self.credentials
        ]

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
