from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from provisioner.cli.dashboard import Dashboard, bar, show_status
from provisioner.models import GIB, Person, Phase, Server, ServerState
from provisioner.store import Record
from provisioner.workflow.health import Container, Disk, Machine
from provisioner.workflow.seats import Seat, State
from provisioner.workflow.status import Check, Status

NOW = datetime.now(UTC)
MACHINE = Machine(
    load=(3.1, 2.0, 1.0),
    cores=8,
    cpu=63.0,
    memory=34 * GIB,
    memory_used=20 * GIB,
    disks=(
        Disk("/", 80 * GIB, 60 * GIB, 20 * GIB),
        Disk("/opt/provision/homes", 62 * GIB, 9 * GIB, 53 * GIB),
    ),
)
SERVICES = {
    "caddy": Container("running", "healthy"),
    "hub": Container("running", "unhealthy", restarts=3),
    "proxy": Container("running", "starting"),
}


def record(**changes: Any) -> Record:
    values: dict[str, Any] = {
        "id": "x",
        "name": "tessera",
        "provider": "aws",
        "phase": Phase.READY,
        "created_at": NOW - timedelta(hours=3),
        "expires_at": datetime.now(UTC) + timedelta(hours=5, minutes=12, seconds=30),
        "people": (),
        "site": "tessera.example.org",
        "server": Server("i-1", ServerState.RUNNING, "192.0.2.1", "192.0.2.1", 22),
    }
    return Record(**values | changes)


def status(count: int = 3, **changes: Any) -> Status:
    values: dict[str, Any] = {
        "record": record(),
        "phase": Phase.READY,
        "checks": (
            Check("machine", True, "running"),
            Check("https", True, "answers"),
            Check("hub", False, "running, unhealthy, restarted 3 times"),
            Check("proxy", True, "running, starting"),
        ),
        "seats": tuple(Seat(f"user{n:02}", State.RUNNING) for n in range(1, count + 1)),
        "machine": MACHINE,
        "services": SERVICES,
        "at": NOW,
        "cost": 1.2,
        "cost_at_end": 3.28,
    }
    return Status(**values | changes)


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def drawn(board: Dashboard, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    console.print(board)
    return console.export_text().splitlines()


def shown(seen: Status, width: int = 80, height: int = 24) -> str:
    board = Dashboard(5, Time())
    board.show(seen)
    return "\n".join(drawn(board, width, height))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 12), (200, 60)])
@pytest.mark.parametrize("count", [3, 30, 100])
def test_it_fits_the_screen(width: int, height: int, count: int) -> None:
    lines = shown(status(count), width, height).splitlines()
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


def test_what_is_at_the_top_of_it() -> None:
    text = shown(status())
    assert "https://tessera.example.org" in text
    assert "5 h 12 min" in text
    assert "1.20 USD so far, 3.28 USD until then" in text
    assert "✗ hub ↻3" in text
    assert "✗ hub: running, unhealthy, restarted 3 times" in text
    assert "✓ proxy starting" in text
    assert "3 running" in text


def test_bars_of_the_machine() -> None:
    text = shown(status(), width=120)
    for words in ("CPU █", "63 %", "memory █", "59 %", "/ █", "75 %", "homes █", "15 %"):
        assert words in text
    assert bar("CPU", 250.0, 10).plain == "CPU ██████████ 250 %"
    assert bar("CPU", 50.0, 3).plain == "CPU  50 %"


def test_each_participants_share_of_it() -> None:
    people = tuple(Person(f"{n}", f"user{n:02}") for n in range(4))
    seen = status(record=record(people=(*people, Person("t", "ada", admin=True))))
    words = "1.20 USD so far, 3.28 USD until then: 0.30 and 0.82 USD for each of 4 participants"
    assert words in shown(seen, width=140)


def test_a_machine_that_costs_nothing_says_nothing_of_money() -> None:
    assert "USD" not in shown(status(cost=None, cost_at_end=None))


def test_a_lost_connection_is_told_with_its_time_and_what_was_seen_stays() -> None:
    time = Time()
    board = Dashboard(5, time)
    board.show(status())
    time.now += 9
    assert "no connection" not in "\n".join(drawn(board)), "a look takes its time"
    time.now += 12
    board.show(status(checks=(Check("ssh", False, "the SSH connection was lost"),)))
    text = "\n".join(drawn(board))
    assert "no connection for 21 s" in text
    assert "the SSH connection was lost" in text
    assert "user03" in text
    board.show(status(at=NOW + timedelta(seconds=21)))
    assert "no connection" not in "\n".join(drawn(board))


def test_before_the_first_answer_it_says_that_it_looks() -> None:
    time = Time()
    board = Dashboard(5, time)
    time.now += 4
    assert drawn(board) == ["Looking …  4 s"]


def test_a_machine_that_is_gone_is_all_there_is() -> None:
    gone = status(0, checks=(Check("machine", False, "does not exist"),), machine=None, at=None)
    text = shown(gone)
    assert "✗ machine: does not exist" in text


def test_printed_it_leaves_nothing_out() -> None:
    seats = (
        Seat("user01", State.FAILED, why="a reason that is [far] too long " * 5),
        Seat("user02", State.NEVER),
    )
    console = Console(width=80, file=io.StringIO(), soft_wrap=True)
    show_status(status(seats=seats, record=record(failure="It [failed].")), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "a reason that is [far] too long " * 4 in text
    assert "It [failed]." in text
    assert "8 cores, 63 % busy (load 3.1); memory 20.0 of 34.0 GiB" in text
    assert "1 in trouble  1 failed  1 never logged in" in text
