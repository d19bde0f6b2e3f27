from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.models import SheetOptions
from provisioner.sheet.cards import PAPERS, clean, handout, layout
from tests.unit.sheet.samples import sheet


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("cards", [8, 10])
def test_cards_fill_the_page_and_leave_what_printers_leave(paper: str, cards: int) -> None:
    made = layout(paper, cards)
    assert made.cards == cards
    assert made.columns * made.card_width + 2 * made.margin == pytest.approx(PAPERS[paper][0])
    assert made.rows * made.card_height + 2 * made.margin == pytest.approx(PAPERS[paper][1])
    assert made.margin >= 5


@given(st.text())
def test_whatever_a_name_holds_it_is_one_line_that_leaves_its_neighbours_alone(text: str) -> None:
    made = clean(text)
    assert made == made.strip()
    assert len(made.splitlines()) <= 1
    assert not [one for one in made if unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not set(made) & set("\u202e\u202d\u2067\u2066")
    assert clean(made) == made


@pytest.mark.parametrize("name", ["👩‍🔬", "क्षितिज", "می‌خواهم", "O’Neill-Žižek"])
def test_what_joins_letters_is_kept(name: str) -> None:
    assert clean(f"  {name}\n") == name


def test_instructors_get_no_card_among_those_to_hand_out_unless_asked_for() -> None:
    made = sheet(3, options=SheetOptions(cards=10))
    assert [card.username for card in handout(made).cards] == ["user01", "user02", "user03"]
    again = handout(made.only(["instructor", "user02"]))
    assert [card.username for card in again.cards] == ["user02", "instructor"]
