"""The sheet as one HTML file, for a browser to print: it asks nothing of the network."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from provisioner.sheet.cards import Handout, handout
from provisioner.sheet.forms import Sheet

TEMPLATE = "handout.html.j2"
PT_PER_MM = 72 / 25.4
LINE = 1.25
"""Height of a line of text, in its size."""

GAP = 0.8
"""Millimetres between the parts of a card."""

SANS_BOLD, SANS, MONO = 0.68, 0.6, 0.61
"""Width of a usual letter, in its size, in the widest font that a browser may choose."""


@dataclass(frozen=True, slots=True)
class Zones:
    """Millimetres of a card's parts, from its top; each keeps to its own place."""

    pad: float
    width: float
    head: float
    url: float
    wifi: float
    foot: float
    body: float

    @property
    def beside(self) -> bool:
        """Whether labels stand beside what they name: there is no room above it."""
        return self.body < 19

    @property
    def code(self) -> float:
        return min(self.body, 31.0)

    @property
    def value(self) -> tuple[float, float]:
        """Width and height for a user name or a password."""
        free = self.width - self.code - 3
        return (free - 16, self.body / 2) if self.beside else (free, self.body / 2 - 3.2)


def html(sheet: Sheet) -> str:
    made = handout(sheet)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = Markup  # drawn by cards.code, which puts no text into it
    environment.globals.update(points=points, mono=MONO, sans=SANS, bold=SANS_BOLD, line=LINE)
    template = environment.from_string(
        (files("provisioner.sheet") / TEMPLATE).read_text(encoding="utf-8")
    )
    size = made.layout.cards
    pages = [made.cards[start : start + size] for start in range(0, len(made.cards), size)]
    return template.render(
        made=made,
        layout=made.layout,
        pages=pages,
        zones=_zones(made),
        named=any(card.name for card in made.everybody),
    )


def _zones(made: Handout) -> Zones:
    roomy = made.layout.card_height > 60
    pad, head, url, foot = (5.5, 11.5, 9.0, 8.5) if roomy else (4.0, 9.5, 7.0, 8.0)
    wifi = 0.0
    if made.wifi:
        wifi = 4.4 if len(made.wifi + made.wifi_password) < 40 else 6.5
    width, height = made.layout.card_width - 2 * pad, made.layout.card_height - 2 * pad
    body = height - head - url - wifi - foot - 4 * GAP
    return Zones(pad, width, head, url, wifi, foot, body)


def points(text: str, width: float, height: float, largest: float, em: float) -> float:
    """The size in points at which `text` fits into `width` × `height` millimetres.

    Style sheets can't measure, so letters are counted: one takes `em` of the size, a wide or
    capital one more. A line may break anywhere, but one line is better than two a little larger.
    """
    ems = sum(_ems(letter, em) for letter in text) or em
    wide, high = width * PT_PER_MM, height * PT_PER_MM
    one_line = min(largest, high / LINE, wide / ems)
    if one_line >= 0.6 * largest:
        return _down(one_line)
    size = largest
    while size > one_line:
        lines = math.ceil(ems * size / (wide - size))  # a broken line loses up to a letter
        if lines * size * LINE <= high:
            return _down(size)
        size -= 0.25
    return _down(one_line)


def _down(size: float) -> float:
    return math.floor(size * 10) / 10


def _ems(letter: str, em: float) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    return em + 0.2 if letter.isupper() and em != MONO else em
