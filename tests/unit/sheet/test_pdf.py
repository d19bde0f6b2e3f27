"""The PDF is read back: its words where they stand, its codes as a phone sees them."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pypdf
import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.models import Person, SheetOptions
from provisioner.sheet import fonts
from provisioner.sheet.cards import PAPERS
from provisioner.sheet.forms import Sheet
from provisioner.sheet.pdf import pdf
from tests.unit.sheet.samples import NAMES, Box, Paper, cells, sheet

WIFI = SheetOptions(title="Maps of the world", wifi="guests", wifi_password="Sommer-2026!")


def printed(made: Sheet) -> Paper:
    return Paper(pdf(made).content)


def without_spaces(text: str) -> str:
    return "".join(text.split())


def test_each_card_has_what_its_person_needs() -> None:
    made = sheet(8, options=WIFI)
    paper = printed(made)
    for item, cell in zip(made.credentials, cells("A4", 8), strict=False):
        words = paper.text(0, cell)
        for word in (
            "Maps of the world",
            made.url,
            item.person.username,
            str(item.password),
            f"Seat {item.person.seat}",
            "guests",
            "Sommer-2026!",
            "Log in",
        ):
            assert word in words
        others = {str(other.password) for other in made.credentials} - {str(item.password)}
        assert not [password for password in others if password in words]


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("cards", [8, 10])
def test_phones_read_every_code_and_find_no_password_in_it(paper: str, cards: int) -> None:
    made = sheet(cards, options=SheetOptions(paper=paper, cards=cards))
    read = printed(made).codes(0)
    assert sorted(read) == [made.login_url(f"user{seat:02}") for seat in range(1, cards + 1)]
    for item in made.credentials:
        assert not [text for text in read if str(item.password) in text]


def test_the_code_of_a_very_long_address_can_still_be_read() -> None:
    url = "https://" + "a-long-label." * 12 + "example.org:8443"
    made = sheet(10, url=url, options=SheetOptions(paper="Letter", cards=10))
    assert len(set(printed(made).codes(0))) == 10


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 45), st.sampled_from(sorted(PAPERS)), st.sampled_from([8, 10]))
def test_pages(users: int, paper: str, cards: int) -> None:
    read = printed(sheet(users, options=SheetOptions(paper=paper, cards=cards)))
    pages = -(-users // cards)
    assert len(read) > pages
    assert (
        len(
            printed(
                sheet(users, options=SheetOptions(paper=paper, cards=cards)).only(
                    f"user{seat:02}" for seat in range(1, users + 1)
                )
            )
        )
        == pages
    )
    for page in range(len(read)):
        assert read.size(page) == pytest.approx(PAPERS[paper], abs=0.1)


def test_the_organisers_pages_have_everybody_and_the_instructors_card() -> None:
    made = sheet(40, names=NAMES, admins=("ada", "grace"), authority="AB:CD:EF")
    paper = printed(made)
    cards, own = "", ""
    for page in range(len(paper)):
        if page < 5:
            cards += paper.text(page)
        else:
            own += paper.text(page)
    for item in made.credentials:
        assert str(item.password) in own
        assert (str(item.password) in cards) is not item.person.admin
    assert own.count("User namePassword") + own.count("Instructor") >= 2
    for word in ("not to hand out", "AB:CD:EF", "Tue 24 Nov 20:11", "page 6 of"):
        assert word in own


def test_only_some_cards_bring_no_list_of_everybody() -> None:
    made = sheet(30).only(["user07", "user21"])
    paper = printed(made)
    assert len(paper) == 1
    assert "user07" in paper.text(0)
    assert "user08" not in paper.text(0)
    assert "not to hand out" not in paper.text(0)


def embedded(page: pypdf.PageObject) -> dict[str, bool]:
    """Font name → whether its outlines are in the file."""
    found = {}
    resources: Any = page["/Resources"]
    for font in resources["/Font"].get_object().values():
        font = font.get_object()
        for part in font.get("/DescendantFonts", [font]):
            description = part.get_object()["/FontDescriptor"].get_object()
            name = str(font["/BaseFont"]).split("+")[-1]
            found[name] = any(f"/FontFile{kind}" in description for kind in ("", "2", "3"))
    return found


def test_names_in_any_script_are_drawn_with_fonts_that_are_in_the_file() -> None:
    made = sheet(len(NAMES), names=NAMES, options=SheetOptions(cards=10))
    done = pdf(made)
    assert done.missing == ()
    file = pypdf.PdfReader(io.BytesIO(done.content))
    fonts_there: dict[str, bool] = {}
    for page in file.pages:
        fonts_there |= embedded(page)
    assert all(fonts_there.values())
    for script in ("Hebrew", "Arabic", "Devanagari", "Thai", "CJK", "Emoji"):
        assert any(script in name for name in fonts_there), script
    words = "".join(Paper(done.content).text(page) for page in (0, 1))
    for name in ("José Ñandú", "Łukasz Żółć", "李小龙", "אברהם", "Σωκράτης", "Дмитрий Иванов"):
        assert name in words


def test_hebrew_runs_from_right_to_left() -> None:
    made = sheet(1, names=("אבג",))
    places = {letter: box.left for letter, box in printed(made).letters(0) if letter in "אבג"}
    assert places["א"] > places["ב"] > places["ג"]


def test_passwords_tell_zero_from_o_and_one_from_l() -> None:
    page = pypdf.PdfReader(io.BytesIO(pdf(sheet(1)).content)).pages[0]
    set_in: set[str] = set()

    def visit(text: str, _: Any, __: Any, font: Any, ___: Any) -> None:
        if "user01" in text:
            set_in.add(str(font["/BaseFont"]).split("+")[-1])

    page.extract_text(visitor_text=visit)
    assert set_in == {"DejaVuSansMono-Bold"} or set_in == {"DejaVuSansMono"}


def test_a_character_that_no_font_has_is_marked_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def own_only(places: list[Path]) -> typst.Fonts:
        return typst.Fonts(include_system_fonts=False, font_paths=[*map(str, places)])

    monkeypatch.setattr(fonts, "all_fonts", own_only)
    done = pdf(sheet(1, names=("An\U00012f90a",)))
    assert done.missing == ("\U00012f90",)
    assert "An\ufffda" in Paper(done.content).text(0)


ASCII = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789-_"), max_size=28)
LABELS = st.lists(st.from_regex(r"[a-z]([a-z-]{0,50}[a-z])?", fullmatch=True), max_size=5)


@settings(max_examples=20, deadline=None)
@given(
    name=st.text(max_size=120),
    username=ASCII,
    title=st.text(max_size=80),
    start=st.text(max_size=200),
    wifi=st.tuples(ASCII, ASCII),
    labels=LABELS,
    size=st.tuples(st.sampled_from(sorted(PAPERS)), st.sampled_from([8, 10])),
)
def test_nothing_leaves_its_card(
    name: str,
    username: str,
    title: str,
    start: str,
    wifi: tuple[str, str],
    labels: list[str],
    size: tuple[str, int],
) -> None:
    paper, cards = size
    options = SheetOptions(title, start, *wifi, paper=paper, cards=cards)
    url = f"https://{'.'.join([*labels, 'example.org'])}:8443"
    made = sheet(cards, names=(name,), username="u" + username, url=url, options=options)
    read = printed(made)
    places = cells(paper, cards)
    for letter, box in read.letters(0):
        assert any(cell.holds(box) for cell in places), (letter, box)
    first = without_spaces(read.text(0, places[0]))
    person = made.credentials[0].person
    for word in (url, person.username, str(made.credentials[0].password)):
        assert word in first


@pytest.mark.parametrize("cards", [8, 10])
def test_the_longest_that_may_be_asked_for(cards: int) -> None:
    options = SheetOptions("W" * 80, "Wort " * 40, "W" * 80, "P" * 80, "Letter", cards)
    url = "https://" + ".".join(["m" * 60] * 4) + ".org:8443"
    made = sheet(cards, names=("M" * 200,), username="m" * 30, url=url, options=options)
    read = printed(made)
    places = cells("Letter", cards)
    for letter, box in read.letters(0):
        assert any(cell.holds(box) for cell in places), (letter, box)
    first = without_spaces(read.text(0, places[0]))
    for word in (url, "m" * 30 + "01", str(made.credentials[0].password), "W" * 80, "P" * 80):
        assert word in first


def test_lines_of_a_card_do_not_run_into_each_other() -> None:
    made = sheet(10, names=NAMES, options=SheetOptions(paper="Letter", cards=10, wifi="guests"))
    read = printed(made)
    cell = cells("Letter", 10)[0]
    person, password = made.credentials[0].person, str(made.credentials[0].password)
    inside = [(letter, box) for letter, box in read.letters(0) if cell.holds(box)]
    text = "".join(letter for letter, _ in inside)

    def span(word: str) -> Box:
        start = text.index(without_spaces(word))
        boxes = [box for _, box in inside[start : start + len(without_spaces(word))]]
        return Box(0, min(box.top for box in boxes), 0, max(box.bottom for box in boxes))

    spans = [span(word) for word in (person.name, made.url, person.username, password, "Wi-Fi")]
    for upper, lower in pairwise(spans):
        assert upper.bottom < lower.top


def test_what_people_typed_is_never_markup() -> None:
    names = ('#panic("x")', "*bold* $x$ @ref <label>", '"); #read("/etc/passwd")', "\\u{41}")
    made = sheet(4, names=names)
    words = printed(made).text(0)
    for name in names:
        assert name in words


def test_a_seat_need_not_be_a_number() -> None:
    made = sheet(1)
    odd = Person("front row, by the window", "user77")
    credentials = (made.credentials[0].__class__(odd, made.credentials[0].password),)
    paper = printed(Sheet("tessera", made.url, credentials))
    assert "user77" in paper.text(0, cells("A4", 8)[0])
