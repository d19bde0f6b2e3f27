from __future__ import annotations

import pytest

from provisioner.errors import NotReady, NotYet
from provisioner.workflow.waiting import wait_for
from tests.doubles import FakeClock


def later(answers: list[object]) -> object:
    answer = answers.pop(0) if len(answers) > 1 else answers[0]
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_it_asks_until_there_is_an_answer() -> None:
    clock, told = FakeClock(), list[str]()
    answers: list[object] = [NotYet("one"), NotYet("two"), "there"]
    assert wait_for(lambda: later(answers), budget=10, clock=clock, tell=told.append) == "there"
    assert told == ["one", "two"]
    assert clock.now == 2


def test_out_of_time_says_what_was_last_not_so() -> None:
    clock = FakeClock()
    with pytest.raises(NotReady, match="not so after 60 s: no banner"):
        wait_for(lambda: later([NotYet("no banner")]), budget=60, clock=clock)
    assert 60 <= clock.now <= 62


def test_a_definite_failure_ends_the_wait_at_once() -> None:
    clock = FakeClock()
    with pytest.raises(NotReady, match="wrong password"):
        wait_for(lambda: later([NotReady("wrong password")]), budget=60, clock=clock)
    assert clock.now == 0


def test_a_dead_machine_ends_the_wait_at_once() -> None:
    clock = FakeClock()

    def alive() -> None:
        if clock.now >= 3:
            raise NotReady("The machine has powered itself off")

    with pytest.raises(NotReady, match="powered itself off"):
        wait_for(lambda: later([NotYet("no answer")]), budget=600, clock=clock, alive=alive)
    assert clock.now == 3


def test_bugs_are_not_waited_for() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: 1 / 0, budget=60, clock=FakeClock())
