from __future__ import annotations

import pytest

from provisioner.models import Secret
from provisioner.visits import (
    Cause,
    Cell,
    Effort,
    Failure,
    Heard,
    Held,
    Script,
    Span,
    Stage,
    heard_from,
    heard_json,
    visits_of,
)

SCRIPT = Script(
    url="https://w.example.org",
    ca="PEM",
    guests=(("ada", Secret("tabi-reku")), ("bo", Secret("x"))),
    cells=(Cell(2, "1 + 1", may_fail=True),),
    hold=3,
    dial=("caddy", 443),
)


def test_a_script_travels_as_json_with_its_passwords_and_shows_none() -> None:
    again = Script.from_json(SCRIPT.as_json())
    assert again == SCRIPT
    assert str(again.guests[0][1]) == "tabi-reku"
    assert "tabi-reku" not in repr(again)


@pytest.mark.parametrize(
    "heard",
    [
        Span("ada", Stage.LOGIN, 0.5, 1.25),
        Span("ada", Stage.NOTEBOOK, 0.5, 1.25, Failure(Cause.CELL, "ValueError: ä\n", 3)),
        Held(4.5, 30),
        Effort(0.1, 0.5, 0.01),
    ],
)
def test_what_is_heard_travels_as_one_line(heard: Heard) -> None:
    line = heard_json(heard)
    assert "\n" not in line
    assert heard_from(line) == heard


@pytest.mark.parametrize("line", ["", "Traceback", "[]", "7", "{}", '{"Span": {"x": 1}}'])
def test_other_lines_are_passed_over(line: str) -> None:
    assert heard_from(line) is None


def test_a_visit_counts_from_the_login_page_and_knows_how_it_failed() -> None:
    failure = Failure(Cause.CELL, "no", 2)
    heard: list[Heard] = [
        Span("ada", Stage.LOGIN, 1, 2),
        Span("bo", Stage.LOGIN, 1, 3),
        Span("ada", Stage.CELL, 2, 7),
        Held(9, 1),
        Span("ada", Stage.NOTEBOOK, 2, 8, failure),
    ]
    ada, bo, late = visits_of(heard, ("ada", "bo", "late"))
    assert ada.until(Stage.CELL) == 6
    assert ada.until(Stage.NOTEBOOK) is None
    assert ada.failure == failure
    assert bo.failure is None
    assert bo.until(Stage.CELL) is None
    assert late.spans == []
