from __future__ import annotations

import json
import multiprocessing
import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.errors import Busy, UsageError
from provisioner.models import Credential, Person, Phase, Secret, Server, ServerState
from provisioner.settings import Settings
from provisioner.store import (
    CorruptRecord,
    Record,
    Store,
    credentials_csv,
    read_credentials,
    read_events,
    write_private,
)
from provisioner.workflow.launch import launch
from tests.doubles import fake_tools

PEOPLE = (Person("1", "user01"), Person("instructor", "instructor", admin=True))


@pytest.fixture
def store(own_home: Path) -> Store:
    return Store(own_home)


def record(name: str = "tessera") -> Record:
    now = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    return Record(
        id="0-1",
        name=name,
        provider="fake",
        phase=Phase.PREPARING,
        created_at=now,
        expires_at=now,
        people=PEOPLE,
        site="localhost",
    )


def test_a_record_reads_back_as_it_was_written(store: Store) -> None:
    made = store.create(record(), {"ssh_key": "secret"})
    server = Server("0-1", ServerState.RUNNING, "127.0.0.1", "127.0.0.1", 2222, 8443, slow=True)
    saved = store.save(made.but(server=server, phase=Phase.READY))
    assert store.load("tessera") == saved
    assert saved.url == "https://localhost:8443"
    assert store.names() == ["tessera"]


def test_only_the_owner_can_read(store: Store) -> None:
    store.create(record(), {"ssh_key": "secret", "credentials.csv": "x"})
    folder = store.folder("tessera")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    for path in (folder.ssh_key, folder.credentials, folder.record):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_record_holds_no_password(own_home: Path) -> None:
    """Nor does anything else that a launch leaves, but for the sheet that is made of them."""
    tools = fake_tools(own_home)
    cards = {"wifi": "Room", "wifi_password": "quiet-otter-9"}
    asked = Settings(name="tessera", provider="fake", users=3, sheet=cards)
    launched = launch(tools, asked, base_image="")
    folder = tools.store.folder("tessera")
    passwords = [str(item.password) for item in launched.credentials]
    assert len(set(passwords)) == 4
    assert all(password in folder.credentials.read_text() for password in passwords)
    passwords.append("quiet-otter-9")
    for path in own_home.rglob("*"):
        if path.is_file() and path != folder.credentials:
            content = path.read_bytes()
            assert not [word for word in passwords if word.encode() in content], path


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 99}', "\x00"])
def test_a_record_that_cannot_be_used_says_how_to_go_on(store: Store, text: str) -> None:
    store.create(record(), {})
    store.folder("tessera").record.write_text(text)
    with pytest.raises(CorruptRecord) as error:
        store.load("tessera")
    assert "teardown tessera" in error.value.hint


def _hold(home: str, held: object, release: object) -> None:
    with Store(Path(home)).lock("tessera", "launch"):
        held.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_two_commands_at_once_on_one_workshop(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(store.home), held, release))
    other.start()
    assert held.wait(30)
    busy = pytest.raises(Busy, match=f"provision launch .process {other.pid}")
    with busy, store.lock("tessera", "teardown"):
        pass
    with store.lock("another", "launch"):
        pass
    other.kill()
    other.join()
    with store.lock("tessera", "teardown"):
        pass  # a killed command's lock is gone with it


def test_a_command_waits_for_another_and_says_for_which(store: Store) -> None:
    told: list[str] = []
    patient = Store(store.home, patience=30, tell=told.append)
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(store.home), held, release))
    other.start()
    assert held.wait(30)
    threading.Timer(0.5, release.set).start()
    with patient.lock("tessera", "users add"):
        pass
    other.join()
    (said,) = told
    assert "waiting up to 30 s for: provision launch (process" in said


def test_who_is_not_to_wait_is_refused_at_once(store: Store) -> None:
    patient = Store(store.home, patience=3600)
    with (
        patient.lock("tessera", "backup"),
        pytest.raises(Busy, match="provision backup"),
        patient.lock("tessera", "status", wait=0),
    ):
        pass


def test_homes_are_held_apart_from_the_workshop(store: Store) -> None:
    with store.lock_homes("tessera", "backup"):
        with store.lock("tessera", "users add"):
            pass
        with (
            pytest.raises(Busy, match=r"provision backup .process"),
            store.lock_homes("tessera", "teardown"),
        ):
            pass


def test_a_write_that_dies_halfway_leaves_the_old_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(record(), {})
    path = store.folder("tessera").record
    before = path.read_text()

    def die(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(KeyboardInterrupt):
        write_private(path, "half")
    assert path.read_text() == before


def test_events_survive_a_torn_line(store: Store) -> None:
    store.create(record(), {})
    store.event("tessera", step="ssh", event="end", seconds=3.0)
    events = store.folder("tessera").events
    with events.open("a") as file:
        file.write('{"step": "do')
    assert [event["step"] for event in read_events(events)] == ["ssh"]


def test_usual_times_are_the_median_of_the_same_kind_of_machine(store: Store) -> None:
    store.create(record(), {})
    assert store.usual("ssh", "local") is None
    for seconds in (5.0, 60.0, 7.0):
        store.remember("ssh", "local", seconds)
    store.remember("ssh", "local (emulated)", 100.0)
    assert store.usual("ssh", "local") == 7.0


def test_the_csv_has_the_columns_that_others_rely_on(store: Store, tmp_path: Path) -> None:
    credentials = (Credential(Person("1", "user01", name="Zoë, Ł."), Secret("tabi")),)
    text = credentials_csv(credentials, "https://localhost:8443")
    assert text.splitlines() == [
        "seat,name,username,password,url",
        '1,"Zoë, Ł.",user01,tabi,https://localhost:8443',
    ]
    path = tmp_path / "c.csv"
    path.write_text(text)
    people = (credentials[0].person,)
    assert read_credentials(path, people) == credentials
    with pytest.raises(UsageError, match="has no password for user02"):
        read_credentials(path, (Person("2", "user02"),))


def test_a_sheet_that_a_spreadsheet_saved(tmp_path: Path) -> None:
    path, people = tmp_path / "c.csv", (Person("1", "user01", name="Zoë"),)
    text = credentials_csv((Credential(people[0], Secret("tabi")),), "https://localhost")
    for content in (text.encode("utf-8-sig"), text.replace(",", ";").encode("utf-8-sig")):
        path.write_bytes(content)
        assert str(read_credentials(path, people)[0].password) == "tabi"
    path.write_bytes(text.encode("cp1252"))
    with pytest.raises(UsageError, match="not UTF-8") as error:
        read_credentials(path, people)
    assert "CSV UTF-8" in error.value.hint


def test_a_home_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be made"), Store(tmp_path / "file").lock("x", "y"):
        pass


def test_removing_leaves_no_half_of_a_workshop(store: Store) -> None:
    store.create(record(), {})
    (store.home / ".new-tessera-abc").mkdir()
    store.remove("tessera")
    store.remove("tessera")
    assert store.names() == []
    assert [path.name for path in store.home.iterdir() if "tessera" in path.name] == []
    assert json.dumps(store.names()) == "[]"
