from __future__ import annotations

import pytest

from provisioner.models import GIB
from provisioner.visits import Cause, Effort, Failure, Span, Stage, Visit
from provisioner.workflow.rehearsal.verdict import Verdict, judge
from tests.workflow.rehearsal.scenes import evidence, load, visit, visits


def only(verdict: Verdict) -> str:
    """The one reason, with what to change."""
    (reason,) = verdict.reasons
    return f"{reason.what} → {reason.change}"


def failing(cause: Cause, words: str, cell: int = 0, *, of: int = 4, all_: bool = True) -> object:
    failure = Failure(cause, words, cell)
    fine = () if all_ else visits(of)[1:]
    return evidence((*(visits(of, failure=failure) if all_ else visits(1, failure=failure)), *fine))


def test_a_healthy_room_passes_without_a_word() -> None:
    verdict = judge(evidence())
    assert verdict.passed
    assert verdict.word == "PASS"
    assert not verdict.reasons


@pytest.mark.parametrize("cause", list(Cause))
def test_no_failure_of_anybody_passes(cause: Cause) -> None:
    """Whatever it is, and for however few."""
    failure = Failure(cause, "so it is", 3)
    verdict = judge(evidence((*visits(29), visit("user30", failure=failure))))
    assert verdict.word == "FAIL"
    assert "user30 of 30" in only(verdict)
    assert "so it is" in only(verdict)
    assert "{" not in only(verdict)


def test_cold_servers_may_take_a_minute_and_prewarmed_ones_a_quarter() -> None:
    assert judge(evidence(visits(4, first_cell=59))).passed
    assert not judge(evidence(visits(4, first_cell=70))).passed
    warm = frozenset(item.username for item in visits(4))
    assert judge(evidence(visits(4, first_cell=14), warm=warm)).passed
    verdict = judge(evidence(visits(4, first_cell=18), warm=warm))
    assert not verdict.passed
    assert "prewarmed" in only(verdict)


def test_a_notebook_that_is_slow_itself_is_not_the_workshops_fault() -> None:
    """A kernel after 8 s, and then a cell that trains a model for 90 s."""
    found = visits(4)
    for item in found:
        item.spans[3:] = [
            Span(item.username, Stage.CELL, 8, 98),
            Span(item.username, Stage.NOTEBOOK, 8, 99),
            Span(item.username, Stage.AGAIN, 110, 111),
        ]
    verdict = judge(evidence(found, lines={2: "train()", 4: "plot()"}))
    assert verdict.passed
    assert "Cell 2 of mine.ipynb itself takes 90 s → let it do less" in only(verdict)


def test_what_was_not_done_in_time_is_a_cell_or_a_stage() -> None:
    late = Failure(Cause.TIME, "not done after 600 s", 7)
    cell = only(judge(evidence(visits(4, failure=late))))
    assert cell == (
        "Cell 7 of mine.ipynb was not done after 600 s (all 4) → let it do less, or more --cpu"
    )
    never = Failure(Cause.TIME, "not done after 330 s")
    stuck = tuple(
        Visit(f"user{number}", [Span(f"user{number}", Stage.SERVER, 1, 331, never)])
        for number in range(2)
    )
    said = only(judge(evidence(stuck, held=0)))
    assert "“server” was not done after 330 s (all 2)" in said
    assert "logs geo hub" in said


def test_one_in_thirty_may_be_slow() -> None:
    assert judge(evidence((*visits(29), visit("late", first_cell=200)))).passed
    assert not judge(evidence((*visits(18), *visits(2, first_cell=200)))).passed


def test_an_emulated_machine_has_more_time_and_that_is_said() -> None:
    assert judge(evidence(visits(4, first_cell=300), patience=6.0)).passed
    assert "emulated" in only(judge(evidence(visits(4, first_cell=410), patience=6.0)))


def test_slow_on_busy_cores_wants_servers_before_or_more_cores() -> None:
    slow = only(judge(evidence(visits(4, first_cell=90), load=load(busy=0.99))))
    assert "provision prewarm geo" in slow
    assert "more cores than 4" in slow
    warm = frozenset(item.username for item in visits(4))
    hot = only(judge(evidence(visits(4, first_cell=90), load=load(busy=0.99), warm=warm)))
    assert "more cores than 4" in hot
    assert "prewarm geo" not in hot


def test_slow_from_here_on_an_idle_machine_suspects_the_network() -> None:
    slow = evidence(visits(4, first_cell=90), load=load(busy=0.1), where="here")
    assert "--from server" in only(judge(slow))


def test_a_crowd_that_was_the_bottleneck_says_so() -> None:
    busy = Effort(cpu_mean=0.9, cpu_peak=0.99, late=3.0)
    fast = judge(evidence(effort=busy))
    assert fast.passed, "a warning fails nothing"
    assert "busy itself" in only(fast)
    assert "--from here" in only(fast)
    slow = judge(evidence(visits(4, first_cell=90), effort=busy, where="here"))
    assert not slow.passed
    assert "--from server" in slow.reasons[0].change


def test_memory_of_each() -> None:
    died = Failure(Cause.KERNEL, "the kernel died and is started again", 7)
    seen = evidence((visit("ada", failure=died), *visits(3)), killed={"jupyter-ada": 2})
    said = only(judge(seen))
    assert "more memory than the 1.0 GiB that each has" in said
    assert "ada of 4, in cell 7" in said
    assert "--memory 2G" in said
    assert "4 × 2.0 GiB + 2.0 GiB = 10.0 GiB, and has 8.0 GiB" in said


def test_memory_of_the_machine() -> None:
    assert judge(evidence(load=load(used=7 * GIB))).passed
    said = only(judge(evidence(visits(30), load=load(used=int(7.6 * GIB)))))
    assert "7.6 GiB of 8.0 GiB" in said
    assert "30 × 1.0 GiB + 2.0 GiB = 32.0 GiB" in said
    assert "--memory 192M" in said
    hub = only(judge(evidence(killed={"provision-hub-1": 1})))
    assert "provision-hub-1" in hub


def test_a_kernel_that_died_of_something_else_is_not_called_memory() -> None:
    died = Failure(Cause.KERNEL, "the kernel died", 2)
    said = only(judge(evidence(visits(2, failure=died))))
    assert "memory" not in said
    assert "cell 2 (all 2)" in said


def test_a_notebook_that_fails_for_all_and_one_that_fails_for_some() -> None:
    wrong = Failure(Cause.CELL, "NameError: x", 5)
    everybody = judge(evidence(visits(4, failure=wrong), lines={5: "x + 1"}))
    assert "Cell 5 of mine.ipynb fails (all 4): NameError: x" in only(everybody)
    assert "mend the notebook" in only(everybody)
    assert everybody.reasons[0].evidence == ("the cell begins: x + 1",)
    some = judge(evidence((visit("ada", failure=wrong), *visits(3))))
    assert "for some only" in only(some)
    assert "mend" not in only(some)


@pytest.mark.parametrize("words", ["No space left on device", "Disk quota exceeded"])
def test_a_full_home(words: str) -> None:
    full = Failure(Cause.CELL, f"OSError: [Errno 122] {words}", 2)
    assert "--disk 4G" in only(judge(evidence(visits(2, failure=full))))


def test_a_full_disk_of_the_machine() -> None:
    assert "/ is full: 95.0 GiB of 100.0 GiB" in only(judge(evidence(load=load(full=0.95))))


def test_a_blocked_websocket_depends_on_where_from() -> None:
    blocked = visits(3, failure=Failure(Cause.WEBSOCKET, "server rejected: HTTP 403"))
    assert "--from server" in only(judge(evidence(blocked, where="here")))
    assert "logs geo proxy" in only(judge(evidence(blocked, where="server")))


def test_equal_failures_are_one_reason_whoever_had_them() -> None:
    found = tuple(
        visit(name, failure=Failure(Cause.SPAWN, f"no home for {name}"))
        for name in ("ada", "bo", "cy", "di")
    )
    said = only(judge(evidence(found)))
    assert said.startswith("A server does not start (all 4): no home for ada")


def test_a_host_that_takes_its_cores_back_is_a_warning() -> None:
    verdict = judge(evidence(load=load(busy=0.3, stolen=0.3)))
    assert verdict.passed
    assert "burstable" in only(verdict)


def test_nobody_there_is_no_pass() -> None:
    nothing = tuple(Visit(f"user{number:02}") for number in range(3))
    assert not judge(evidence(nothing, held=0)).passed
