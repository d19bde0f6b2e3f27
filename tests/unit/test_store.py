from __future__ import annotations

import json
import multiprocessing
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.errors import Busy, UsageError
from provisioner.models import Credential, Person, Phase, Secret, Server, ServerState
from provisioner.store import (
    CorruptRecord,
    Record,
    Store,
    credentials_csv,
    read_credentials,
    read_events,
    write_private,
)

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


def test_a_record_holds_no_password(store: Store) -> None:
    store.create(record(), {"credentials.csv": "tabi-reku-mofa-87"})
    assert "tabi" not in store.folder("tessera").record.read_text()


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
