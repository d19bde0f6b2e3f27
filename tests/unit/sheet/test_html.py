from __future__ import annotations

import io
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.models import SheetOptions
from provisioner.sheet.html import MONO, html, points
from tests.unit.sheet.samples import NAMES, sheet

VOID = {"meta", "path", "br", "link", "img", "input", "hr"}


class Read(HTMLParser):
    """Elements in order with their attributes, and all text; tags must close as they opened."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str, **having: str) -> list[dict[str, str | None]]:
        return [
            values
            for name, values in self.elements
            if name == tag and having.items() <= values.items()
        ]


def test_everybody_has_a_card_and_a_row() -> None:
    made = sheet(12, names=NAMES, options=SheetOptions(wifi="guests", wifi_password="Sommer"))
    read = Read(html(made))
    assert len(read.all("article")) == 13
    assert len(read.all("section", **{"class": "page"})) == 2
    text = "".join(read.words)
    for item in made.credentials:
        assert text.count(str(item.password)) == 2
        assert item.person.name in text
    assert "Sommer" in text


def test_it_asks_nothing_of_the_network() -> None:
    document = html(sheet(3))
    read = Read(document)
    assert not [name for name, _ in read.elements if name in {"script", "link", "img", "iframe"}]
    addresses = [values["href"] for values in read.all("a")]
    assert set(addresses) == {sheet(3).login_url(f"user{seat:02}") for seat in (1, 2, 3)} | {
        sheet(3).login_url("instructor")
    }
    assert "url(" not in document
    assert "@import" not in document
    (policy,) = read.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'" in str(policy["content"])


def test_no_address_holds_a_password() -> None:
    made = sheet(3)
    for _, values in Read(html(made)).elements:
        for item in made.credentials:
            assert not [value for value in values.values() if str(item.password) in str(value)]


def test_those_who_cannot_see_it_are_told_what_is_where() -> None:
    read = Read(html(sheet(2)))
    assert read.all("html", lang="en")
    codes = read.all("div", role="img")
    assert [str(code["aria-label"]).endswith(("user01", "user02")) for code in codes[:2]]
    assert {values["aria-label"] for values in read.all("article")} == {
        *("Seat 1", "Seat 2", "Instructor")
    }
    assert read.all("th", scope="col")
    assert read.all("caption") == [{}]


def test_only_some_cards_bring_no_list_of_everybody() -> None:
    read = Read(html(sheet(30).only(["user07"])))
    assert len(read.all("article")) == 1
    assert not read.all("table")


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60))
def test_names_are_text_and_nothing_else(name: str) -> None:
    hostile = f"<script>alert(1)</script>\"'><img src=x onerror=y>{name}"
    made = sheet(1, names=(hostile,), options=SheetOptions(title=hostile, start=hostile))
    read = Read(html(made))
    assert {tag for tag, _ in read.elements}.isdisjoint({"script", "img"})
    assert not [1 for _, values in read.elements for key in values if key.startswith("on")]
    assert "<script>alert(1)</script>" in "".join(read.words)


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=300))
def test_letters_get_smaller_until_they_fit(text: str) -> None:
    size = points(text, 60, 8, 15, MONO)
    assert 0 < size <= 15
    wide, high = 60 * 72 / 25.4, 8 * 72 / 25.4
    per_line = wide // (MONO * size)
    assert -(-len(text) // per_line) * size * 1.25 <= high + size * 0.1
    assert points(text * 2, 60, 8, 15, MONO) <= size


def test_a_browser_prints_one_page_for_each_page_of_cards(tmp_path: Path) -> None:
    if not shutil.which("chromium"):
        pytest.skip("chromium is not installed")
    made = sheet(10, names=NAMES, options=SheetOptions(paper="Letter", cards=10))
    (tmp_path / "sheet.html").write_text(html(made), encoding="utf-8")
    words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    folder = f"--user-data-dir={tmp_path / 'profile'}"
    to = tmp_path / "sheet.pdf"
    subprocess.run(
        [*words, folder, f"--print-to-pdf={to}", (tmp_path / "sheet.html").as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    file = pypdf.PdfReader(io.BytesIO(to.read_bytes()))
    assert len(file.pages) == 2
    width, height = file.pages[0].mediabox.width, file.pages[0].mediabox.height
    assert (float(width), float(height)) == pytest.approx((612, 792), abs=1)
    cards = file.pages[0].extract_text()
    for item in made.credentials:
        assert (str(item.password) in cards) is not item.person.admin
