"""What a workshop costs, told from its record and from what happened to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.models import Person, Phase, Quote
from provisioner.settings import Settings
from provisioner.store import Record, Store, append_line
from provisioner.workflow.cost import cost_at, cost_of, cost_so_far, forecast, pauses_in

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def workshop(store: Store, *, hours: float = 10, hourly: float | None = 2.0) -> Record:
    people = (*(Person(str(n), f"user{n:02}") for n in range(1, 5)), Person("i", "i", admin=True))
    record = Record(
        id="1",
        name="tessera",
        provider="aws",
        phase=Phase.READY,
        created_at=START,
        expires_at=START + hours * HOUR,
        people=people,
        settings=Settings(users=4).model_dump(mode="json"),
        hourly=hourly,
    )
    if not store.folder(record.name).path.exists():
        store.create(record, {})
    return record


def happened(store: Store, step: str, hours: float, event: str = "end", outcome: str = "") -> None:
    at = (START + hours * HOUR).isoformat()
    line = {"at": at, "step": step, "event": event} | ({"outcome": outcome} if outcome else {})
    append_line(store.folder("tessera").events, json.dumps(line))


def test_hours_times_price(store: Store) -> None:
    record = workshop(store)
    assert cost_of(store, record, START + 3 * HOUR) == pytest.approx(6.0)
    assert cost_of(store, record, START - HOUR) == 0.0


def test_a_machine_that_ended_itself_costs_no_more(store: Store) -> None:
    record = workshop(store, hours=4)
    assert cost_of(store, record, START + 40 * HOUR) == pytest.approx(8.0)


def test_what_costs_nothing_has_no_price(store: Store) -> None:
    assert cost_of(store, workshop(store, hourly=None)) is None
    assert cost_so_far(None, START) is None
    assert cost_at(2.0, None, START) is None


def test_a_night_off_costs_the_disk_alone(store: Store) -> None:
    record = workshop(store, hours=24)
    happened(store, "stop", 2, outcome="ok")
    happened(store, "start", 12, event="start")
    through = cost_of(store, record, START + 14 * HOUR)
    assert through is not None
    assert 4 * 2.0 < through < 4 * 2.0 + 1.0
    asleep = cost_of(store, record, START + 10 * HOUR)
    assert asleep is not None
    assert 2 * 2.0 < asleep < 2 * 2.0 + 1.0


def test_a_stop_that_failed_was_no_pause() -> None:
    events = [
        {"at": START.isoformat(), "step": "stop", "event": "end", "outcome": "failed"},
        {"at": START.isoformat(), "step": "start", "event": "start"},
        {"at": "torn", "step": "stop", "event": "end", "outcome": "ok"},
    ]
    assert list(pauses_in(events)) == []


def test_a_pause_costs_never_more_than_running() -> None:
    pauses = ((START, None),)
    assert cost_at(0.01, START, START + HOUR, pauses=pauses, idle=5.0) == pytest.approx(0.01)


def test_settings_that_cannot_be_read_do_not_stop_a_teardown(store: Store) -> None:
    record = workshop(store).but(settings={"nonsense": 1})
    happened(store, "stop", 1, outcome="ok")
    assert cost_of(store, record, START + 2 * HOUR) == pytest.approx(2.0)


def test_a_forecast_is_shared_by_the_participants_alone(store: Store) -> None:
    made = forecast(Quote("m7i", 0.5, "2026-11-01"), workshop(store, hours=8), now=START)
    assert (made.hourly, made.daily, made.total, made.each) == (0.5, 12.0, 4.0, 1.0)
