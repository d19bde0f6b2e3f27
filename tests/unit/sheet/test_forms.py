from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from provisioner.models import Credential, Person, Secret, SheetOptions
from provisioner.sheet.forms import Sheet
from tests.unit.sheet.samples import URL, sheet


def seats(made: Sheet) -> list[str]:
    return [item.person.seat for item in made.in_seat_order()]


def test_seats_are_counted_and_not_spelt() -> None:
    people = [Person(seat, f"user-{seat}") for seat in ("10", "instructor", "2", "1", "²")]
    made = Sheet("tessera", URL, tuple(Credential(one, Secret("x")) for one in people))
    assert seats(made) == ["1", "2", "10", "instructor", "²"]


def test_the_link_fills_in_who_it_is_and_nothing_else() -> None:
    made = sheet(1)
    link = urlsplit(made.login_url("user01"))
    assert link.path == "/hub/login"
    assert parse_qs(link.query) == {"username": ["user01"]}


def test_a_choice_of_people() -> None:
    made = sheet(9).only(["user07", "user03"])
    assert [item.person.username for item in made.credentials] == ["user03", "user07"]
    assert not made.complete
    with pytest.raises(KeyError) as unknown:
        sheet(2).only(["user01", "user08", "nobody"])
    assert unknown.value.args == ("nobody", "user08")


def test_what_stands_on_cards_unless_the_organiser_says_otherwise() -> None:
    plain = sheet(1)
    assert plain.title == "tessera"
    assert "certificate" not in plain.start
    assert "certificate" in replace(plain, authority="AB:CD").start
    own = SheetOptions(title="Maps of the world", start="Wait for us.")
    said = replace(plain, options=own, authority="AB:CD")
    assert (said.title, said.start) == ("Maps of the world", "Wait for us.")
