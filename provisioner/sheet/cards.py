"""What stands on each card and how large a card is, the same for paper and for a browser."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace

import segno

from provisioner.models import Credential
from provisioner.sheet.forms import Sheet

MARGIN = 10.0
"""Millimetres around the cards: more than any printer leaves white, and room for cut marks."""

PAPERS = {"A4": (210.0, 297.0), "Letter": (215.9, 279.4)}
COLUMNS = 2

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
"""Marks that turn the reading direction of what comes after them, on somebody else's line too."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A page of cards; millimetres."""

    width: float
    height: float
    columns: int
    rows: int
    margin: float = MARGIN

    @property
    def card_width(self) -> float:
        return (self.width - 2 * self.margin) / self.columns

    @property
    def card_height(self) -> float:
        return (self.height - 2 * self.margin) / self.rows

    @property
    def cards(self) -> int:
        return self.columns * self.rows


@dataclass(frozen=True, slots=True)
class Card:
    """One person's. All text is clean; `code` is an SVG picture of `login`."""

    seat: str
    name: str
    username: str
    password: str
    login: str
    code: str
    admin: bool


@dataclass(frozen=True, slots=True)
class Handout:
    """Everything that is printed, apart from how it looks."""

    title: str
    url: str
    start: str
    wifi: str
    wifi_password: str
    ends: str
    authority: str
    layout: Layout
    participants: tuple[Card, ...]
    admins: tuple[Card, ...]
    complete: bool

    @property
    def everybody(self) -> tuple[Card, ...]:
        return self.participants + self.admins

    @property
    def cards(self) -> tuple[Card, ...]:
        """Those on pages to cut. Admins' stay with the organiser, unless they were asked for."""
        return self.participants if self.complete else self.everybody


def layout(paper: str, cards: int) -> Layout:
    width, height = PAPERS[paper]
    return Layout(width, height, COLUMNS, cards // COLUMNS)


def handout(sheet: Sheet) -> Handout:
    options = sheet.options
    cards = tuple(_card(sheet, item) for item in sheet.in_seat_order())
    return Handout(
        title=clean(sheet.title),
        url=clean(sheet.url),
        start=clean(sheet.start),
        wifi=clean(options.wifi),
        wifi_password=clean(options.wifi_password),
        ends=clean(sheet.ends),
        authority=clean(sheet.authority),
        layout=layout(options.paper, options.cards),
        participants=tuple(card for card in cards if not card.admin),
        admins=tuple(card for card in cards if card.admin),
        complete=sheet.complete,
    )


def _card(sheet: Sheet, item: Credential) -> Card:
    person = item.person
    login = sheet.login_url(person.username)
    return Card(
        seat=clean(person.seat),
        name=clean(person.name),
        username=clean(person.username),
        password=str(item.password),
        login=login,
        code=code(login),
        admin=person.admin,
    )


def code(text: str) -> str:
    """A QR code as an SVG picture that grows to the space it is given."""
    made = segno.make(text, micro=False, error="m")
    return str(made.svg_inline(omitsize=True, border=2, lineclass=None, svgclass=None))


def clean(text: str) -> str:
    """One line of what can be printed: names come from other people's spreadsheets."""
    kept = []
    for character in text:
        kind = unicodedata.category(character)
        if character in _TURNING or kind == "Cs" or _no_character(ord(character)):
            continue
        kept.append(" " if kind in {"Cc", "Zl", "Zp"} else character)
    return " ".join("".join(kept).split())


def _no_character(code: int) -> bool:
    """Unicode's own list. What this Python does not know yet is a character all the same."""
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def without(made: Handout, missing: frozenset[str]) -> Handout:
    """The same with a visible mark in place of each character in `missing`."""
    marks = dict.fromkeys(map(ord, missing), "\ufffd")

    def marked(card: Card) -> Card:
        return replace(
            card,
            seat=card.seat.translate(marks),
            name=card.name.translate(marks),
            password=card.password.translate(marks),
        )

    return replace(
        made,
        title=made.title.translate(marks),
        start=made.start.translate(marks),
        wifi=made.wifi.translate(marks),
        wifi_password=made.wifi_password.translate(marks),
        participants=tuple(map(marked, made.participants)),
        admins=tuple(map(marked, made.admins)),
    )
