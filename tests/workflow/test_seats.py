from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioner.models import GIB, Limits, Person
from provisioner.workflow.health import Container, Health, Known, Machine, Usage
from provisioner.workflow.seats import Seat, State, by_trouble, seats

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
READY = NOW - timedelta(hours=3)
LIMITS = Limits(memory=GIB, cpu=1.0, disk=2 * GIB)
ADA = Person("1", "ada_l-2", name="Ada Lovelace")
NAME = ADA.username


def minutes(count: float) -> datetime:
    return NOW - timedelta(minutes=count)


RUNS = {NAME: Container("running", memory_limit=GIB)}
SERVED = Known("", serving=True, ready=True, started=minutes(60), used=minutes(2))
GONE = Known(activity=minutes(40).isoformat())
LOGGED_IN = {NAME: minutes(59)}


def seat(
    known: Known | None,
    *,
    reasons: dict[str, str] | None = None,
    since: datetime = READY,
    **of: Any,
) -> Seat:
    people = {} if known is None else {NAME: known}
    values: dict[str, Any] = {"people": people, "containers": {}, "logins": LOGGED_IN, **of}
    seen = Health(NOW, Machine(), {}, **values)
    (made,) = seats([ADA], seen, limits=LIMITS, since=since, reasons=reasons or {})
    return made


def test_who_was_never_there() -> None:
    assert seat(None).state is State.NEVER


def test_who_is_at_work() -> None:
    made = seat(SERVED, containers=RUNS, usage={NAME: Usage(GIB // 2, 12.5)})
    assert made.state is State.RUNNING
    assert made.last_activity == minutes(2)
    assert made.memory == "512.0 MiB / 1.0 GiB"
    assert made.cpu == 12.5
    assert not made.troubles


def test_who_does_nothing_for_a_while_is_idle_since_then() -> None:
    made = seat(replace(SERVED, used=minutes(25)), containers=RUNS)
    assert (made.state, made.last_activity) == (State.IDLE, minutes(25))


def test_a_server_that_was_started_ahead_is_nobody_at_work() -> None:
    prewarmed = replace(SERVED, used=minutes(59))
    made = seat(prewarmed, containers=RUNS, logins={})
    assert (made.state, made.server, made.last_activity) == (State.NEVER, "running", None)
    assert seat(prewarmed, containers=RUNS, logins=LOGGED_IN).state is State.IDLE
    assert seat(SERVED, containers=RUNS, logins={}).state is State.RUNNING, "somebody uses it"


def test_the_launch_that_tried_it_out_is_nobody_either() -> None:
    tried = replace(SERVED, used=minutes(59))
    made = seat(tried, containers=RUNS, since=minutes(58))
    assert made.state is State.NEVER


def test_a_rehearsal_that_played_them_is_nobody_either() -> None:
    """Whether it stopped their server, or found it running and left it."""
    over = minutes(30)
    stopped = Known(activity=minutes(31).isoformat())
    assert seat(stopped, since=over).state is State.NEVER
    left = replace(SERVED, started=minutes(90), used=minutes(29))
    assert seat(left, containers=RUNS, since=over).state is State.NEVER
    came = seat(replace(left, used=minutes(2)), containers=RUNS, since=over)
    assert came.state is State.RUNNING, "somebody uses it since"


def test_a_server_that_starts() -> None:
    starting = Known(serving=True, pending="spawn", started=minutes(1))
    assert seat(starting).state is State.STARTING


@pytest.mark.parametrize(
    "known", [GONE, replace(SERVED, ready=False, pending="stop")], ids=["stopped", "stopping"]
)
def test_a_server_that_was_stopped(known: Known) -> None:
    assert seat(known).state is State.STOPPED


def test_a_start_that_failed_says_why() -> None:
    made = seat(replace(GONE, why="No such image"))
    assert made.state is State.FAILED
    assert made.troubles == ("failed: No such image",)


def test_a_reason_that_an_earlier_look_has_heard_stays() -> None:
    known = replace(GONE, why=None)
    assert seat(known, reasons={NAME: "No such image"}).why == "No such image"
    assert seat(known, reasons={NAME: ""}).state is State.STOPPED


@pytest.mark.parametrize(
    ("container", "why"),
    [
        (None, "has ended"),
        (Container("exited", code=137, out_of_memory=True), "for want of memory"),
        (Container("exited", code=1), "exited (code 1)"),
    ],
)
def test_a_server_that_died_a_moment_ago(container: Container | None, why: str) -> None:
    made = seat(SERVED, containers={NAME: container} if container else {})
    assert made.state is State.FAILED
    assert why in made.why


def test_without_the_hub_docker_says_what_it_can() -> None:
    assert seat(None, people=None, containers=RUNS).state is State.RUNNING
    assert seat(None, people=None).state is State.UNKNOWN


def test_without_the_list_of_logins_whoever_has_a_server_was_there() -> None:
    assert seat(SERVED, containers=RUNS, logins=None).state is State.RUNNING


def test_what_is_nearly_full_is_trouble() -> None:
    made = seat(
        SERVED,
        containers=RUNS,
        usage={NAME: Usage(int(0.95 * GIB))},
        disk={NAME: (int(1.9 * GIB), 2 * GIB)},
    )
    assert made.troubles == ("memory 95 % full", "disk 95 % full")
    assert made.as_json()["troubles"] == list(made.troubles)


def test_a_kernel_that_was_killed_is_told_but_over() -> None:
    made = seat(SERVED, containers=RUNS, usage={NAME: Usage(0, killed=1)})
    assert "want of memory" in made.note
    assert not made.troubles


def test_the_disk_has_the_limit_of_the_settings_where_there_is_no_quota() -> None:
    made = seat(SERVED, containers=RUNS, disk={NAME: (GIB, 0)})
    assert made.disk == "1.0 GiB / 2.0 GiB"


def test_whoever_needs_help_comes_first() -> None:
    everybody = [
        Seat("never", State.NEVER),
        Seat("stopped", State.STOPPED),
        Seat("idle", State.IDLE),
        Seat("running", State.RUNNING),
        Seat("starting", State.STARTING),
        Seat("killed", State.RUNNING, killed=1),
        Seat("full", State.RUNNING, disk_used=99, disk_limit=100),
        Seat("failed", State.FAILED, why="x"),
    ]
    names = [item.username for item in by_trouble(everybody)]
    assert names == [
        *("failed", "full", "killed", "starting", "running", "idle", "stopped", "never"),
    ]
