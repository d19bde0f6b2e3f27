from __future__ import annotations

from pathlib import Path

import pytest
import typst

from provisioner.sheet import fonts
from tests.unit.sheet.samples import NAMES


def bundled() -> tuple[typst.Fonts, list[Path]]:
    places = fonts.folders()
    return typst.Fonts(include_system_fonts=False, font_paths=[*map(str, places)]), places


@pytest.mark.parametrize("name", NAMES)
def test_pip_has_brought_what_names_are_written_with(name: str) -> None:
    known, places = bundled()
    assert fonts.uncovered([name], known, places) == frozenset()


def test_what_no_font_has_is_said() -> None:
    known, places = bundled()
    assert fonts.uncovered(["a\U00012f90b", "\ufe0f"], known, places) == {"\U00012f90"}


def test_noto_is_asked_first_and_pictures_last() -> None:
    ordered = fonts.families(*bundled())
    assert (ordered[0], ordered[-1]) == ("Noto Sans", "Noto Emoji")
    assert "Noto Sans Hebrew" in ordered


def test_without_the_packages_the_computers_own_fonts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "PACKAGES", ("no_such_fonts",))
    assert fonts.folders() == []
    assert fonts.families(fonts.all_fonts([]), []) == ["DejaVu Sans", fonts.MONO]


def test_a_broken_font_is_passed_over(tmp_path: Path) -> None:
    class Broken:
        path = str(tmp_path / "broken.ttf")
        index = 0
        family = "Broken"

    class Fonts:
        def fonts(self) -> list[Broken]:
            return [Broken()]

    (tmp_path / "broken.ttf").write_bytes(b"\x00\x01\x00\x00" + b"\xff" * 60)
    assert fonts.uncovered(["a"], Fonts(), []) == {"a"}  # type: ignore[arg-type]
