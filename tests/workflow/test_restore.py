from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, NotYet, Refused, UsageError
from provisioner.models import Person, Phase
from provisioner.render import homes
from provisioner.settings import Settings
from provisioner.store import Record
from provisioner.workflow.archive import MANIFEST, load
from provisioner.workflow.backup import backup
from provisioner.workflow.launch import launch
from provisioner.workflow.restore import Restored, pairs_of, restore
from provisioner.workflow.tools import Tools
from tests.doubles import fake_tools
from tests.homes_folder import HomesFolder, disk_bytes, fingerprint, make_difficult, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture
def server(tmp_path: Path) -> HomesFolder:
    return HomesFolder(tmp_path / "server", "user01", "user02")


@pytest.fixture
def tools(tmp_path: Path, server: HomesFolder) -> Tools:
    tools = fake_tools(tmp_path / "operator")
    settings = Settings(
        name="tessera", users=2, provider="fake", participant={"disk": "64M", "memory": "512M"}
    )
    launch(tools, settings, base_image="")
    return replace(tools, connect=lambda at, folder: server)


@pytest.fixture
def record(tools: Tools) -> Record:
    record = tools.store.load("tessera")
    assert record is not None
    return record


def wipe(home: Path) -> None:
    for path in home.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def one(tools: Tools, record: Record, source: Path, **options: Any) -> Restored:
    """What became of user01's files."""
    return restore(tools, record, source, only=("user01",), **options)[0]


def test_to_the_byte(tools: Tools, record: Record, server: HomesFolder) -> None:
    home = server.home("user01")
    make_difficult(home)
    before = fingerprint(home)
    saved = backup(tools, record)
    wipe(home)
    first, second = restore(tools, record, saved.path)
    assert fingerprint(home) == before
    assert disk_bytes(home / "sparse") < 2 * 1024**2
    assert first.restored == sum(1 for facts in before.values() if facts[0] != 0o040000)
    assert (first.same, first.replaced, first.aside) == (0, 0, 0)
    assert (second.username, second.restored) == ("user02", 0)
    assert not list(server.root.glob("restoring"))


def test_what_is_there_already_stays_and_what_clashes_comes_beside(
    tools: Tools, record: Record, server: HomesFolder
) -> None:
    home = server.home("user01")
    server.write("user01", same="same", changed="old", gone="gone")
    (home / "folder").mkdir()
    (home / "folder/a").write_text("a")
    (home / "was-folder").mkdir()
    (home / "was-folder/b").write_text("b")
    saved = backup(tools, record)
    server.write("user01", changed="new!", new="new")
    (home / "gone").unlink()
    (home / "folder/a").unlink()
    shutil.rmtree(home / "was-folder")
    server.write("user01", **{"was-folder": "a file now"})
    done = one(tools, record, saved.path)
    assert (done.restored, done.same, done.aside) == (2, 1, 2)
    texts = {name: (home / name).read_text() for name in ("same", "changed", "gone", "new")}
    assert texts == {"same": "same", "changed": "new!", "gone": "gone", "new": "new"}
    assert (home / "folder/a").read_text() == "a"
    assert (home / "was-folder").read_text() == "a file now"
    assert (home / done.folder / "changed").read_text() == "old"
    assert (home / done.folder / "was-folder/b").read_text() == "b"
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in home.rglob("restored*")}
    assert owners == {(1000, 100)}
    before = fingerprint(home)
    again = one(tools, record, saved.path)
    assert (again.restored, again.aside, again.same) == (0, 0, 5)
    assert fingerprint(home) == before


def test_replaced_only_when_that_is_asked_for(
    tools: Tools, record: Record, server: HomesFolder
) -> None:
    server.write("user01", changed="old", later="x")
    saved = backup(tools, record)
    server.write("user01", changed="new", new="new")
    done = one(tools, record, saved.path, replace=True)
    assert (done.replaced, done.same, done.aside) == (1, 1, 0)
    assert (server.home("user01") / "changed").read_text() == "old"
    assert (server.home("user01") / "new").read_text() == "new"


def test_to_somebody_else(tools: Tools, record: Record, server: HomesFolder) -> None:
    server.write("user01", work="user01's")
    saved = backup(tools, record)
    (done,) = restore(tools, record, saved.path, only=("user01",), mapping={"user01": "user02"})
    assert (done.source, done.username, done.restored) == ("user01", "user02", 1)
    assert (server.home("user02") / "work").read_text() == "user01's"


def test_who_is_who(tools: Tools, record: Record) -> None:
    saved = load(backup(tools, record).path)
    ada, bob = saved.files["user01"], saved.files["user02"]
    named = saved.but(
        files={"ada": ada.model_copy(update={"name": "Ada"}), "user02": bob, "user09": bob}
    )
    here = record.but(people=(Person("1", "user02"), Person("2", "ada-lovelace", name="Ada")))
    assert pairs_of(named, here, ("user02", "ada"), {}) == {
        "user02": "user02",
        "ada": "ada-lovelace",
    }
    with pytest.raises(Refused, match="1 person of the backup") as refused:
        pairs_of(named, here, (), {})
    assert refused.value.details == ("user09: there is no user09 here",)
    assert "--map" in refused.value.hint
    with pytest.raises(UsageError, match="several people would go to user02"):
        pairs_of(named, here, (), {"user09": "user02"})
    with pytest.raises(UsageError, match="no files of eve"):
        pairs_of(named, here, ("eve",), {})
    twins = here.but(people=(*here.people, Person("3", "ada2", name="Ada")))
    with pytest.raises(Refused, match="1 person of the backup"):
        pairs_of(named, twins, ("ada",), {})


def test_nobody_gets_the_files_of_who_had_their_seat(tools: Tools, record: Record) -> None:
    saved = load(backup(tools, record).path)
    ada, bob = (
        saved.files[username].model_copy(update={"name": name})
        for username, name in (("user01", "Ada  Lovelace"), ("user02", "Bob"))
    )
    saved = saved.but(files={"user01": ada, "user02": bob})
    swapped = record.but(
        people=(Person("1", "user01", name="Bob"), Person("2", "user02", name="ada lovelace"))
    )
    assert pairs_of(saved, swapped, (), {}) == {"user01": "user02", "user02": "user01"}
    same = record.but(
        people=(Person("1", "user01", name="ada lovelace"), Person("2", "user02", name="BOB"))
    )
    assert pairs_of(saved, same, (), {}) == {"user01": "user01", "user02": "user02"}
    others = record.but(people=(Person("1", "user01", name="Eve"), Person("2", "user02")))
    with pytest.raises(Refused, match="1 person of the backup") as refused:
        pairs_of(saved, others, (), {})
    assert refused.value.details == ("user01 was Ada  Lovelace, is Eve here",)
    assert "--map user01=user01" in refused.value.hint
    assert pairs_of(saved, others, (), {"user01": "user01"})["user01"] == "user01"


@pytest.mark.parametrize("damage", ["byte", "cut", "gone", "other"])
def test_a_damaged_archive_changes_nothing(
    tools: Tools, record: Record, server: HomesFolder, damage: str
) -> None:
    server.write("user01", work="x" * 1000)
    saved = backup(tools, record)
    path = saved.path / "user01.tar.zst"
    data = bytearray(path.read_bytes())
    if damage == "byte":
        data[len(data) // 2] ^= 1
    path.write_bytes(data[:-10] if damage == "cut" else data)
    if damage == "gone":
        path.unlink()
    if damage == "other":
        path.write_bytes((saved.path / "user02.tar.zst").read_bytes())
    wipe(server.home("user01"))
    with pytest.raises(Refused, match="damaged") as refused:
        restore(tools, record, saved.path)
    assert "user01" in refused.value.details[0]
    assert len(refused.value.details) == 1
    assert list(server.home("user01").iterdir()) == []


def test_more_than_a_home_may_hold_is_refused(
    tools: Tools, record: Record, server: HomesFolder
) -> None:
    (server.home("user01") / "large").write_bytes(os.urandom(40 * 1024**2))
    saved = backup(tools, record)
    shutil.copy(server.home("user01") / "large", server.home("user02") / "mine")
    with pytest.raises(Refused, match="too small") as refused:
        restore(tools, record, saved.path, only=("user01",), mapping={"user01": "user02"})
    assert "room for 24.0 MiB: 40.0 MiB of 64.0 MiB are used" in refused.value.details[0]
    assert [path.name for path in server.home("user02").iterdir()] == ["mine"]


def test_a_link_that_leads_out_of_the_home_leads_nowhere(
    tools: Tools, record: Record, server: HomesFolder, tmp_path: Path
) -> None:
    home, outside = server.home("user01"), tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (home / "folder").mkdir()
    (home / "folder/a").write_text("a")
    saved = backup(tools, record)
    shutil.rmtree(home / "folder")
    (home / "folder").symlink_to(outside)
    (home / f"restored-{load(saved.path).begun_at:%Y%m%d-%H%M%S}").symlink_to(outside)
    (home / ".provision-restore").symlink_to(outside)
    with pytest.raises(NotReady, match="user01"):  # it can't go aside either
        one(tools, record, saved.path)
    assert list(outside.iterdir()) == []
    (home / f"restored-{load(saved.path).begun_at:%Y%m%d-%H%M%S}").unlink()
    done = one(tools, record, saved.path)
    assert (home / done.folder / "folder/a").read_text() == "a"
    assert list(outside.iterdir()) == []


def test_what_a_killed_attempt_left_is_no_hindrance(
    tools: Tools, record: Record, server: HomesFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write("user01", work="x")
    saved = backup(tools, record)
    wipe(server.home("user01"))
    send = server.send_tree

    def lost(*args: Any) -> None:
        send(*args)
        raise NotYet("the SSH connection was lost: broken pipe")

    monkeypatch.setattr(server, "send_tree", lost)
    with pytest.raises(NotReady, match="user01"):
        one(tools, record, saved.path)
    monkeypatch.undo()
    staged = server.home("user01") / Path(homes.STAGED).name
    (staged / "half").mkdir(parents=True)
    (staged / "half").chmod(0)
    assert one(tools, record, saved.path).restored == 1
    assert [path.name for path in server.home("user01").iterdir()] == ["work"]


def test_the_servers_disk_need_not_hold_everybodys_archive_at_once(
    tools: Tools, record: Record, server: HomesFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write("user01", work="x")
    server.write("user02", work="y")
    saved = backup(tools, record)
    send, seen = server.send_tree, []

    def watched(*args: Any) -> None:
        seen.append(sorted(path.name for path in (server.root / "restoring").rglob("*.tar.zst")))
        send(*args)

    monkeypatch.setattr(server, "send_tree", watched)
    assert len(restore(tools, record, saved.path)) == 2
    assert seen == [[], []]


def test_a_lost_connection_is_made_anew(
    tools: Tools, record: Record, server: HomesFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write("user01", work="x")
    saved = backup(tools, record)
    wipe(server.home("user01"))
    send, lost = server.send_tree, [True]

    def flaky(*args: Any) -> None:
        send(*args)
        if lost:
            lost.pop()
            raise NotYet("the SSH connection was lost: broken pipe")

    monkeypatch.setattr(server, "send_tree", flaky)
    first, second = restore(tools, record, saved.path)
    assert (first.restored, second.restored) == (1, 0)


def test_a_connection_that_stays_away_names_who_is_left_and_what_brings_them(
    tools: Tools, record: Record, server: HomesFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write("user01", work="x")
    server.write("user02", work="y")
    saved = backup(tools, record)
    three = load(saved.path)
    three = three.but(files={**three.files, "zoe": three.files["user01"]})
    (saved.path / MANIFEST).write_text(three.model_dump_json())
    server.home("zoe").mkdir(parents=True)
    os.chown(server.home("zoe"), 1000, 100)
    record = tools.store.save(record.but(people=(*record.people, Person("3", "zoe"))))
    send, tries = server.send_tree, []

    def broken(source: Path, target: str, progress: Any) -> None:
        tries.append(target.rpartition("/")[2])
        if tries[-1] != "user01":
            raise NotYet("the SSH connection was lost: broken pipe")
        send(source, target, progress)

    monkeypatch.setattr(server, "send_tree", broken)
    with pytest.raises(NotReady, match="2 people of 3 did not all come back: user02, zoe") as end:
        restore(tools, record, saved.path, replace=True, mapping={"zoe": "zoe"})
    assert sorted(set(tries)) == ["user01", "user02"]
    command = f"provision restore tessera --from {saved.path} --only user02,zoe --map zoe=zoe"
    assert f"{command} --replace " in end.value.hint
    assert [item["username"] for item in end.value.document["people"]] == ["user01"]  # type: ignore[attr-defined]
    assert set(end.value.document["failed"]) == {"user02", "zoe"}  # type: ignore[call-overload]


def test_two_never_write_into_one_home(
    tools: Tools, record: Record, server: HomesFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier connection began may still be at work when the next one comes."""
    server.write("user01", work="x")
    server.write("user02", work="y")
    saved = backup(tools, record)
    wipe(server.home("user01"))
    monkeypatch.setattr(homes, "PATIENCE", 1)
    lock = server.root / "restoring" / "user01.lock"
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(NotReady, match="1 person of 2") as refused:
            restore(tools, record, saved.path)
        assert "still at work" in refused.value.details[0]
        assert list(server.home("user01").iterdir()) == []
    free = server.root / "free"
    zstd = shutil.which("zstd")
    server.program("zstd", f'flock -n {lock} touch {free}\nexec {zstd} "$@"\n')
    assert one(tools, record, saved.path).restored == 1
    assert not free.exists()  # while it unpacked


def test_what_is_no_backup(tools: Tools, record: Record, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no backup"):
        restore(tools, record, tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(UsageError, match="can't be read"):
        restore(tools, record, tmp_path)
    saved = backup(tools, record)
    manifest = json.loads((saved.path / MANIFEST).read_text())
    (saved.path / MANIFEST).write_text(json.dumps({**manifest, "version": 99}))
    with pytest.raises(UsageError, match="newer provision"):
        restore(tools, record, saved.path)


def test_a_workshop_that_is_not_ready(tools: Tools, record: Record) -> None:
    saved = backup(tools, record)
    stopped = record.but(phase=Phase.STOPPED)
    with pytest.raises(Refused, match="not ready"):
        restore(tools, stopped, saved.path)
