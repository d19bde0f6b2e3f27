"""Everybody on whatever screen there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from provisioner.cli.seats import full_lines, people
from provisioner.models import GIB, MIB
from provisioner.workflow.seats import Seat, State

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def room(count: int) -> list[Seat]:
    """All at work but for one whose server did not start and one whose memory is full."""
    made = [
        Seat(
            f"user{number:02}",
            State.RUNNING,
            last_activity=NOW - timedelta(minutes=number),
            memory_used=300 * MIB,
            memory_limit=GIB,
            cpu=12.0,
            disk_used=GIB,
            disk_limit=2 * GIB,
        )
        for number in range(1, count + 1)
    ]
    made[1] = Seat("user02", State.FAILED, why="no such image")
    made[2] = Seat("user03", State.RUNNING, memory_used=990 * MIB, memory_limit=GIB)
    return made


def shown(count: int, width: int, height: int) -> list[str]:
    return [line.plain for line in people(room(count), NOW, width, height)]


@pytest.mark.parametrize(
    ("count", "width", "height"),
    [(3, 80, 16), (30, 80, 16), (30, 120, 32), (100, 120, 32), (60, 80, 16)],
)
def test_everybody_is_on_the_screen(count: int, width: int, height: int) -> None:
    lines = shown(count, width, height)
    assert len(lines) <= height
    words = " ".join(lines).split()
    assert all(f"user{number:02}" in words for number in range(1, count + 1))


@pytest.mark.parametrize(("count", "height"), [(30, 16), (100, 16), (100, 32), (300, 6), (30, 3)])
def test_it_never_takes_more_room_than_there_is(count: int, height: int) -> None:
    lines = shown(count, 80, height)
    assert len(lines) <= height
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize(("count", "height"), [(3, 16), (30, 16), (30, 40), (300, 16)])
def test_who_needs_help_is_on_top_and_why(count: int, height: int) -> None:
    lines = shown(count, 120, height)
    assert "no such image" in next(line for line in lines if "user02" in line)
    assert "memory 97 % full" in next(line for line in lines if "user03" in line)
    assert all("user01" not in line for line in lines[:2])


def test_who_does_not_fit_is_counted() -> None:
    lines = shown(300, 80, 16)
    words = " ".join(lines).split()
    there = sum(f"user{number:02}" in words for number in range(1, 301))
    assert f"and {300 - there} more" in lines[-1]
    assert 60 < there < 300


def test_there_is_more_to_read_where_there_is_more_room() -> None:
    assert any("user01" in line and "29 %" in line for line in shown(30, 120, 40))
    assert any("user01" in line and "29%" in line for line in shown(30, 80, 16))


def test_the_whole_table() -> None:
    lines = [line.plain for line in full_lines(room(3), NOW)]
    assert lines[0].split() == ["User", "name", "State", "Active", "Memory", "CPU", "Disk"]
    assert lines[1].split() == [
        *("●", "user01", "running", "1", "min", "ago", "300M", "29", "%", "12", "%"),
        *("1.0G", "50", "%"),
    ]


def test_names_of_people_are_shown_where_there_are_any() -> None:
    ada = Seat("user01", State.NEVER, name="Ada [Countess] Lovelace")
    heading, line = (line.plain for line in full_lines([ada], NOW))
    assert "Name" in heading.split("User name")[1]
    assert "Ada [Countess] Lovelace" in line


def test_nobody_is_no_error() -> None:
    assert len(list(people([], NOW, 80, 10))) <= 1
