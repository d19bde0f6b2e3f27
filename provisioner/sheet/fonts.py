"""Where letters come from: Noto, which pip has installed, then the fonts of this computer.

The password's own font, DejaVu Sans Mono, is part of Typst: it tells 0 from O and 1 from l and I.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import typst
import uharfbuzz

PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
"""Noto Sans for the scripts of the world, in two packages because CJK alone is 33 MB.

Without them (a distribution may leave them out) the computer's own fonts have to do.
"""

FIRST, LAST = "Noto Sans", ("Noto Sans CJK SC", "Noto Sans Symbols", "Noto Emoji")
MONO = "DejaVu Sans Mono"


def folders() -> list[Path]:
    found = []
    for package in PACKAGES:
        try:
            found.append(Path(str(files(package))))
        except ModuleNotFoundError:
            continue
    return found


def all_fonts(places: list[Path]) -> typst.Fonts:
    return typst.Fonts(
        include_system_fonts=True, include_embedded_fonts=True, font_paths=[*map(str, places)]
    )


def families(fonts: typst.Fonts, places: list[Path]) -> list[str]:
    """What text is set in, in the order in which families are asked for a character."""
    ours = {font.family for font in fonts.fonts() if _in(font.path, places)}
    middle = sorted(ours - {FIRST, *LAST} - {name for name in ours if "CJK" in name})
    ordered = [FIRST, *middle, *LAST]
    return [name for name in ordered if name in ours] or ["DejaVu Sans", MONO]


def uncovered(texts: Iterable[str], fonts: typst.Fonts, places: list[Path]) -> frozenset[str]:
    """The characters that no font here can draw."""
    missing = {letter for text in texts for letter in text if _visible(letter)}
    ordered = sorted(fonts.fonts(), key=lambda font: not _in(font.path, places))
    seen: set[tuple[str, int]] = set()
    for font in ordered:
        if not missing:
            break
        if font.path is not None and (font.path, font.index) not in seen:
            seen.add((font.path, font.index))
            missing -= {letter for letter in missing if ord(letter) in _drawn(font)}
    return frozenset(missing)


def _drawn(font: typst.FontInfo) -> frozenset[int]:
    """Code points; a broken font of somebody's computer draws nothing."""
    try:
        face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(font.path), font.index)
        return frozenset(face.unicodes)
    except (uharfbuzz.HarfBuzzError, OSError):
        return frozenset()


def _in(path: str | None, places: list[Path]) -> bool:
    return path is not None and any(Path(path).is_relative_to(place) for place in places)


def _visible(letter: str) -> bool:
    """Joiners and variation selectors have no picture of their own, and need none."""
    return not ("\ufe00" <= letter <= "\ufe0f") and unicodedata.category(letter) not in {"Cf", "Zs"}
