"""Who gets in, decided without a hub: the upper half of stack/authenticator.py."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from provisioner import keys
from provisioner.models import Credential, Person, Secret
from provisioner.render import commands
from tests.doubles import FakeClock

STACK = Path(__file__).parents[2] / "stack"
PARTICIPANT = {"name": "user01", "admin": False, "groups": []}
INSTRUCTOR = {"name": "instructor", "admin": False, "groups": ["instructors"]}
"""Nobody is an admin of the hub itself: an instructor's rights are those of a group."""


@pytest.fixture(scope="module")
def authenticator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("authenticator", STACK / "authenticator.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["authenticator"] = module
    spec.loader.exec_module(module)
    return module


def users_file(path: Path, **passwords: str) -> Path:
    """As a launch writes it."""
    credentials = tuple(
        Credential(Person(name, name, admin=name == "instructor"), Secret(password))
        for name, password in passwords.items()
    )
    hashed = {name: keys.hash_password(password) for name, password in passwords.items()}
    path.write_bytes(commands.users_json(hashed, credentials))
    return path


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def door(authenticator: ModuleType, tmp_path: Path, clock: FakeClock) -> Any:
    path = users_file(tmp_path / "users.json", user01="tabi-reku", instructor="mofa-selu")
    return authenticator.Door(
        authenticator.Users(str(path)), authenticator.Throttle(clock=clock.monotonic)
    )


def test_the_password_of_the_sheet_opens(door: Any) -> None:
    assert door.admits("user01", "tabi-reku") == PARTICIPANT
    assert door.admits("instructor", "mofa-selu") == INSTRUCTOR


@pytest.mark.parametrize("name", ["User01", " user01 ", "USER01"])
def test_names_as_a_phone_types_them(door: Any, name: str) -> None:
    assert door.admits(name, "tabi-reku ") == PARTICIPANT


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("user01", "mofa-selu"),
        ("user01", ""),
        ("user99", "tabi-reku"),
        ("", ""),
        ("user01\0", "tabi-reku"),
        ("../etc", "x" * 10_000),
    ],
)
def test_everything_else_stays_shut(door: Any, name: str, password: str) -> None:
    assert door.admits(name, password) is None


def test_an_unknown_name_is_hashed_too(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it costs the same time; counted, because time can't be asserted."""
    import authenticator

    counted: list[str] = []
    whole: Callable[[str, str], bool] = authenticator.matches
    monkeypatch.setattr(
        authenticator, "matches", lambda *args: (counted.append("one"), whole(*args))[1]
    )
    door.admits("user01", "wrong")
    door.admits("nobody", "wrong")
    assert len(counted) == 2


def test_guessing_at_one_name_slows_down_and_harms_no_other(
    authenticator: ModuleType, door: Any, clock: FakeClock
) -> None:
    for _ in range(5):
        assert door.admits("user01", "wrong") is None
    with pytest.raises(authenticator.TooSoon, match=r"Try again in 1 second\."):
        door.admits("user01", "tabi-reku")  # must wait, even with the right one
    assert door.admits("instructor", "mofa-selu"), "the same classroom, the same address"
    clock.sleep(1.1)
    assert door.admits("user01", "tabi-reku"), "the pause is over"
    assert door.admits("user01", "wrong") is None
    assert door.admits("user01", "tabi-reku"), "success has cleared the count"


def test_the_pause_doubles_up_to_a_minute(authenticator: ModuleType, clock: FakeClock) -> None:
    throttle = authenticator.Throttle(clock=clock.monotonic)
    pauses = []
    for _ in range(15):
        throttle.failed("user01")
        pauses.append(throttle.wait("user01"))
        clock.sleep(throttle.wait("user01"))
    assert pauses[:4] == [0, 0, 0, 0]
    assert pauses[4:11] == [1, 2, 4, 8, 16, 32, 60]
    assert max(pauses) == 60


def test_who_has_to_wait_is_told_how_long_whether_or_not_there_is_such_a_name(
    authenticator: ModuleType, door: Any, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    said = {}
    for name in ("user01", "tabi-reku"):  # the second is a password in the wrong field
        for _ in range(8):
            with suppress(authenticator.TooSoon):
                door.admits(name, "wrong")
            clock.sleep(1.5)
        with pytest.raises(authenticator.TooSoon) as raised:
            door.admits(name, "wrong")
        said[name] = str(raised.value)
    assert said["user01"] == said["tabi-reku"]
    assert re.search(r"Try again in \d seconds?\.", said["user01"])
    assert "throttled: user01, for " in caplog.text
    assert "tabi-reku" not in caplog.text


def test_guesses_at_the_same_moment_are_counted_one_by_one(
    authenticator: ModuleType, door: Any
) -> None:
    """Else a hundred at once would be a hundred free tries."""

    def guess(_: int) -> None:
        with suppress(authenticator.TooSoon):
            door.admits("user01", "wrong")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(guess, range(20)))
    with pytest.raises(authenticator.TooSoon):
        door.admits("user01", "tabi-reku")


def test_made_up_names_do_not_fill_the_memory(authenticator: ModuleType) -> None:
    throttle = authenticator.Throttle()
    for number in range(25_000):
        throttle.failed(f"name{number}")
    assert len(throttle.failures) <= 10_000


def test_made_up_names_do_not_wash_away_what_was_just_counted(authenticator: ModuleType) -> None:
    throttle = authenticator.Throttle()
    for number in range(9_999):
        throttle.failed(f"name{number}")
    for _ in range(6):
        throttle.failed("user01")
    for number in range(5_000):
        throttle.failed(f"other{number}")
    assert throttle.wait("user01") > 0


def test_a_replaced_users_file_counts_at_once(door: Any, tmp_path: Path) -> None:
    assert door.admits("user01", "tabi-reku")
    users_file(tmp_path / "new.json", user01="other-word", user02="walk-in")
    os.replace(tmp_path / "new.json", tmp_path / "users.json")
    assert door.admits("user01", "tabi-reku") is None
    assert door.admits("user01", "other-word")
    assert door.admits("user02", "walk-in")


def test_who_is_taken_out_of_the_file_has_no_standing_any_more(door: Any, tmp_path: Path) -> None:
    """JupyterHub asks this again while a session lasts."""
    assert door.standing("user01") == {"admin": False, "groups": []}
    users_file(tmp_path / "users.json", instructor="mofa-selu")
    assert door.standing("user01") is None
    assert door.standing("instructor") == {"admin": False, "groups": ["instructors"]}


@pytest.mark.parametrize(
    ("typed", "logged"),
    [
        ("tabi-reku", "Failed login for 'a name that nobody has'"),
        ("user01", "Failed login for 'user01'"),
    ],
)
def test_a_password_typed_as_a_name_stays_out_of_the_log(
    authenticator: ModuleType, door: Any, typed: str, logged: str
) -> None:
    """The record is as JupyterHub makes it (handlers/base.py)."""
    made = logging.LogRecord("hub", logging.WARNING, "", 1, "Failed login for %r", (typed,), None)
    assert authenticator.KnownNamesOnly(door.users).filter(made)
    assert made.getMessage() == logged


def test_the_users_file_holds_no_password(tmp_path: Path) -> None:
    text = users_file(tmp_path / "users.json", user01="tabi-reku").read_text()
    assert "tabi" not in text
    assert json.loads(text)["version"] == 1
