"""The sheet on paper: cards to cut, then the organiser's own pages. Typst sets it in type.

Typst shapes every script, embeds what it uses of each font, and is one wheel without a system
library. What people typed reaches it as data, never as markup.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import typst

from provisioner.sheet import fonts
from provisioner.sheet.cards import Handout, handout, without
from provisioner.sheet.forms import Sheet

TEMPLATE = "handout.typ"


@dataclass(frozen=True, slots=True)
class Printed:
    """A file's content, and the characters in it that could only be marked as missing."""

    content: bytes
    missing: tuple[str, ...]


def pdf(sheet: Sheet) -> Printed:
    places = fonts.folders()
    known = fonts.all_fonts(places)
    made = handout(sheet)
    missing = fonts.uncovered(_texts(made), known, places)
    return Printed(
        _set(without(made, missing), known, fonts.families(known, places)), tuple(sorted(missing))
    )


def _texts(made: Handout) -> list[str]:
    own = [made.title, made.start, made.wifi, made.wifi_password]
    return own + [text for card in made.everybody for text in (card.seat, card.name, card.password)]


def _set(made: Handout, known: typst.Fonts, families: list[str]) -> bytes:
    data = {
        **asdict(made),
        "pages": _pages(made),
        "families": families,
        "mono": [fonts.MONO, *families],
        "named": any(card.name for card in made.everybody),
    }
    here = Path(str(files("provisioner.sheet")))
    compiler = typst.Compiler(root=here, font_paths=known)
    content = compiler.compile(
        input=(here / TEMPLATE).read_bytes(),
        format="pdf",
        sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
    )
    assert isinstance(content, bytes)  # noqa: S101 - a list is what PNG pages come in
    return content


def _pages(made: Handout) -> list[list[dict[str, object]]]:
    cards = [asdict(card) for card in made.cards]
    size = made.layout.cards
    return [cards[start : start + size] for start in range(0, len(cards), size)]
