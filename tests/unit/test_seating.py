from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.models import Person
from provisioner.roster import Entry
from provisioner.seating import (
    RESERVED,
    matched,
    newcomers,
    next_seat,
    seated,
    spares,
    user_name,
)
from provisioner.sections.workshop import USERNAME

TYPED = [
    ("Ada Lovelace", "ada-lovelace"),
    ("José Ñuñez", "jose-nunez"),
    ("Łukasz Wałęsa", "lukasz-walesa"),
    ("Jürgen Groß", "jurgen-gross"),
    ("Siobhán O’Brien", "siobhan-obrien"),
    ("J. R. R. Tolkien", "j-r-r-tolkien"),
    ("Anne-Marie  Slaughter", "anne-marie-slaughter"),
    ("李小龙", "lixiaolong"),
    ("محمد", "mhmd"),
    ("Ἀλέξανδρος", "alexandros"),
    ("4 Non Blondes", "non-blondes"),
    ("Maximiliane Friederike von Hohenzollern", "maximiliane-friederike-von"),
    ("Llanfairpwllgwyngyllgogerychwyrndrobwllllantysilio", "llanfairpwllgwyngyllgogerychwyrn"),
    ("😀", ""),
    ("42", ""),
]


@pytest.mark.parametrize(("name", "username"), TYPED)
def test_names_that_any_keyboard_has(name: str, username: str) -> None:
    assert user_name(name) == username


def usernames(*names: str, **options: object) -> list[str]:
    people = seated([Entry(name) for name in names], **options)  # type: ignore[arg-type]
    return [person.username for person in people]


def test_two_of_one_name_are_told_apart() -> None:
    assert usernames("Ada", "Ada", "Ada 2", "ada") == ["ada", "ada-2", "ada-2-2", "ada-3"]


def test_nobody_is_called_like_an_admin_or_a_part_of_the_server() -> None:
    assert usernames("Instructor", "Hub", "Root", taken=("instructor",)) == [
        "instructor-2",
        "hub-2",
        "root-2",
    ]


def test_who_has_no_name_that_can_be_typed_is_called_by_seat() -> None:
    assert usernames("Ada", "😀", "User 7", "user01") == ["ada", "user02", "user-7", "user04"]


def test_a_user_name_that_is_taken_is_refused_and_every_such_one_is_named() -> None:
    asked = [
        Entry("Bo", username="ada"),
        Entry("Cy", username="instructor", line=3),
        Entry("Di", username="ada", line=4),
    ]
    with pytest.raises(ValueError, match=r"line 3: Cy: .*'instructor' is taken\nline 4: Di: .*ada"):
        seated(asked, taken=("instructor",))


def test_a_user_name_that_is_asked_for_is_kept_from_who_stands_above() -> None:
    people = seated([Entry("Ada"), Entry("Bo", username="ada")])
    assert [person.username for person in people] == ["ada-2", "ada"]


entries = st.lists(
    st.builds(Entry, st.one_of(st.text(min_size=1, max_size=60), st.sampled_from(["Ada", "李"]))),
    max_size=40,
)
taken = st.lists(st.sampled_from(["ada", "instructor", "li", "user01"]), max_size=4)


@given(entries, taken)
def test_user_names_are_plain_and_nobody_elses(people: list[Entry], there: list[str]) -> None:
    found = [person.username for person in seated(people, taken=there)]
    assert len(set(found)) == len(found) == len(people)
    for username in found:
        assert USERNAME.fullmatch(username)
        assert username not in there
        assert username not in RESERVED


@given(entries, entries, taken)
def test_somebody_more_at_the_end_changes_nobody_else(
    first: list[Entry], more: list[Entry], there: list[str]
) -> None:
    assert seated([*first, *more], taken=there)[: len(first)] == seated(first, taken=there)


@given(st.permutations([Entry("Ada Lovelace"), Entry("Bo Li"), Entry("李小龙"), Entry("Zoë")]))
def test_the_order_does_not_matter_where_names_differ(people: list[Entry]) -> None:
    found = {person.name: person.username for person in seated(people)}
    assert found["Ada Lovelace"] == "ada-lovelace"
    assert found["Zoë"] == "zoe"


def test_spare_seats_go_on_from_the_last() -> None:
    found = spares(2, first_seat=4, taken={"spare01"})
    assert [(item.seat, item.username) for item in found] == [("4", "spare02"), ("5", "spare03")]
    assert next_seat([*found, Person("instructor", "instructor", admin=True)]) == 6


def test_who_is_there_already_is_known_by_address_else_by_name() -> None:
    there = (
        Person("1", "ada", name="Ada", email="ada@example.org"),
        Person("2", "jo", name="Jo"),
        Person("3", "user03"),
    )
    asked = (
        Entry("Ada L.", "ADA@example.org"),
        Entry("Jo"),
        Entry("Jo"),  # another one of that name
        Entry("Ada", "other@example.org"),
    )
    assert newcomers(asked, there) == asked[2:]


def test_a_walk_in_without_an_address_is_who_the_list_names_with_one() -> None:
    there = (Person("1", "jo", name="Jo"), Person("2", "ada", name="Ada", email="ada@example.org"))
    assert newcomers([Entry("jo", "jo@example.org"), Entry("Ada")], there) == ()
    two = (Entry("Jo", "jo@example.org"), Entry("Jo", "other@example.org"))
    assert newcomers(two, there) == two[1:]


def test_addresses_are_looked_at_before_names() -> None:
    there = (Person("1", "jo", name="Jo"), Person("2", "jo-2", name="Jo", email="jo@example.org"))
    asked = (Entry("Jo"), Entry("Jo", "jo@example.org"))
    found = [person.username if person else None for _, person in matched(asked, there)]
    assert found == ["jo", "jo-2"]


def test_a_seat_that_was_given_out_is_not_given_again() -> None:
    people = [Person("1", "ada"), Person("2", "jo")]
    assert next_seat(people, last=5) == 6
    assert next_seat(people, last=1) == 3
