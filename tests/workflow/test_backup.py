from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import tarfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, NotYet, Refused, UsageError
from provisioner.models import Result
from provisioner.render import homes
from provisioner.settings import Settings
from provisioner.store import Record
from provisioner.workflow import archive
from provisioner.workflow import homes as copying
from provisioner.workflow.archive import MANIFEST, load, opened
from provisioner.workflow.backup import Backup, backup
from provisioner.workflow.launch import launch
from provisioner.workflow.teardown import TeardownOptions, tear_down
from provisioner.workflow.tools import Tools
from tests.doubles import fake_tools
from tests.homes_folder import HomesFolder, make_difficult, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture
def server(tmp_path: Path) -> HomesFolder:
    return HomesFolder(tmp_path / "server", "user01", "user02", "user03")


@pytest.fixture
def tools(tmp_path: Path, server: HomesFolder) -> Tools:
    tools = fake_tools(tmp_path / "operator")
    settings = Settings(name="tessera", users=3, provider="fake")
    launch(tools, settings, base_image="")
    return replace(tools, connect=lambda at, folder: server)


@pytest.fixture
def record(tools: Tools) -> Record:
    record = tools.store.load("tessera")
    assert record is not None
    return record


def names_in(done: Backup, username: str) -> list[str]:
    with opened(done.path / f"{username}.tar.zst") as tar:
        return tar.getnames()


def words(tools: Tools) -> str:
    return "\n".join(tools.reporter.words)  # type: ignore[attr-defined]


def test_everybodys_files_come_home_and_are_vouched_for(
    tools: Tools, record: Record, server: HomesFolder
) -> None:
    make_difficult(server.home("user01"))
    server.write("user02", work="x")
    done = backup(tools, record)
    assert done.people == ("user01", "user02", "user03")
    manifest = json.loads((done.path / MANIFEST).read_text())
    assert manifest["workshop"] == "tessera"
    assert manifest["finished_at"]
    for username in done.people:
        said = manifest["files"][username]
        path = done.path / said["archive"]
        assert f"{said['sha256']}  " in subprocess.check_output(["sha256sum", path], text=True)
        assert said["size"] == path.stat().st_size
        listed = subprocess.check_output(["tar", "--zstd", "-t", "-f", path])
        assert len(listed.splitlines()) == said["entries"]
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o700
    for path in done.path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert manifest["files"]["user01"]["content_bytes"] > 100 * 1024**2  # with holes
    assert done.size < 4 * 1024**2  # without


def test_what_can_be_had_again_stays_there(
    tools: Tools, record: Record, server: HomesFolder
) -> None:
    home = server.home("user01")
    for path in (
        *(".cache/pip/x", ".local/share/Trash/x", "pkg/__pycache__/x.pyc", ".provision-restore/x"),
        *("project/.cache/kept", "a/.ipynb_checkpoints/kept", "node_modules/kept"),
    ):
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text("x")
    names = names_in(backup(tools, record), "user01")
    kept = ["./a/.ipynb_checkpoints/kept", "./node_modules/kept", "./project/.cache/kept"]
    assert sorted(name for name in names if name.endswith(("/x", "x.pyc", "kept"))) == kept


def test_sockets_are_noted(tools: Tools, record: Record, server: HomesFolder) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(server.home("user01") / "s"))
        done = backup(tools, record, only=("user01",))
    assert dict(done.files)["user01"].left_out == ("./s",)
    assert names_in(done, "user01") == ["."]


def test_only_those_who_are_asked_for(tools: Tools, record: Record, tmp_path: Path) -> None:
    done = backup(tools, record, only=("user02",), output=tmp_path / "here" / "mine")
    assert done.path == tmp_path / "here" / "mine"
    assert sorted(path.name for path in done.path.iterdir()) == [MANIFEST, "user02.tar.zst"]
    with pytest.raises(UsageError, match="no files of nobody"):
        backup(tools, record, only=("nobody",))


def test_a_folder_that_is_somebody_elses_is_left_alone(
    tools: Tools, record: Record, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine")
    with pytest.raises(Refused, match="not empty"):
        backup(tools, record, output=taken)
    assert [path.name for path in taken.iterdir()] == ["thesis.txt"]
    done = backup(tools, record, output=tmp_path / "new")
    before = (done.path / MANIFEST).read_bytes()
    with pytest.raises(Refused, match="holds a backup already"):
        backup(tools, record, output=tmp_path / "new")
    assert (done.path / MANIFEST).read_bytes() == before


def lost(username: str) -> Any:
    def disturb(asked: str) -> None:
        if asked == username:
            raise NotYet("the SSH connection was lost: broken pipe")

    return disturb


def test_who_could_not_be_copied_is_named_and_a_repeat_copies_only_them(
    tools: Tools, record: Record, server: HomesFolder
) -> None:
    server.write("user03", work="first")
    server.disturb = lost("user02")
    with pytest.raises(NotReady, match="1 person of 3 did not come: user02") as failed:
        backup(tools, record)
    assert "connection was lost" in failed.value.details[0]
    server.disturb = lambda username: None
    server.fetched.clear()
    server.write("user03", work="second")  # people work on
    done = backup(tools, record)
    assert sorted(server.fetched) == ["user02", "user03"]
    assert done.people == ("user01", "user02", "user03")
    with opened(done.path / "user03.tar.zst") as tar:
        texts = {item.name: tar.extractfile(item) for item in tar if item.isfile()}
        assert texts["./work"] is not None
    assert len(list(tools.store.backups.iterdir())) == 1
    server.fetched.clear()
    assert backup(tools, record).path != done.path  # a finished one is not touched again
    assert len(server.fetched) == 3


def test_a_file_that_is_written_to_is_copied_once_more_and_named(
    tools: Tools, record: Record, server: HomesFolder
) -> None:
    path = server.home("user01") / "running.log"
    path.write_bytes(os.urandom(20 * 1024**2))
    stop = threading.Event()

    def keep_writing() -> None:
        with path.open("ab") as file:
            while not stop.wait(0.001):
                file.write(b"line\n")
                file.flush()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        done = backup(tools, record)
    finally:
        stop.set()
        writer.join()
    assert done.changed == {"user01": ("./running.log",)}
    assert sorted(server.fetched) == ["user01", "user01", "user02", "user03"]
    assert "user01: changed while it was copied: ./running.log" in words(tools)


def test_a_file_that_was_written_to_once_is_whole(
    tools: Tools, record: Record, server: HomesFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ["tar: ./a.txt: file changed as we read it\ncode 1\n"]
    receive = server.receive

    def changing(command: str, sink: Any, **options: Any) -> Result:
        done = receive(command, sink, **options)
        if command != homes.archive("user01") or not said:
            return done
        return Result(0, "", said.pop() + done.err.replace("code 0\n", ""))

    monkeypatch.setattr(server, "receive", changing)
    done = backup(tools, record)
    assert done.changed == {}
    assert server.fetched.count("user01") == 2


def test_damage_on_the_way_is_noticed(tools: Tools, record: Record, server: HomesFolder) -> None:
    server.write("user01", work="x" * 1000)
    server.spoil = lambda data: data[:-6]
    with pytest.raises(NotReady, match="3 people of 3"):
        backup(tools, record)
    assert not list(tools.store.backups.glob("*/*.tar.zst"))


def test_no_room_here_is_said_before_anything_comes(
    tools: Tools, record: Record, server: HomesFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (server.home("user01") / "large").write_bytes(b"x" * 5_000_000)
    full = shutil._ntuple_diskusage(10, 10, 4_000_000)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(Refused, match="free in") as refused:
        backup(tools, record)
    assert "--output" in refused.value.hint
    assert server.fetched == []


def test_a_disk_that_fills_up_loses_nothing(
    tools: Tools, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> Any:
        if path.name.startswith("user02"):
            return open("/dev/full", "wb")
        return archive.write_to(path)

    monkeypatch.setattr(copying, "write_to", full)
    with pytest.raises(NotReady, match="user02") as failed:
        backup(tools, record)
    assert "No space left on device" in failed.value.details[0]
    monkeypatch.undo()
    assert backup(tools, record).people == ("user01", "user02", "user03")


def test_a_killed_attempt_is_gone_on_with(
    tools: Tools, record: Record, server: HomesFolder
) -> None:
    def killed(username: str) -> None:
        if username == "user03":
            raise KeyboardInterrupt

    server.disturb = killed
    with pytest.raises(KeyboardInterrupt):
        backup(tools, record)
    (folder,) = tools.store.backups.iterdir()
    assert load(folder).finished_at is None
    came = set(load(folder).files)
    server.disturb = lambda username: None
    server.fetched.clear()
    assert backup(tools, record).path == folder
    assert set(server.fetched) == {"user01", "user02", "user03"} - came


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "secret-of-the-machine"
    path.write_text("root's own")
    return path


def test_who_reads_a_home_sees_nothing_of_the_machine(
    server: HomesFolder, outside: Path, tools: Tools, record: Record
) -> None:
    """However a participant may exchange a folder for a link at the wrong moment."""
    (server.home("user01") / "link").symlink_to(outside.parent)
    for attack in (
        f"cat {outside}",
        f"cat /home/link/{outside.name}",
        "cat /etc/shadow",
        "cat /proc/1/root/etc/shadow",
        "ls /home/../opt",
        "echo x > /home/written",
        "echo x > /written",
        "echo x > /usr/written",
        "mkdir /tmp/x",
        "mount -t tmpfs x /home",
    ):
        command = homes.seeing_home("user01", homes.READING, "sh", "-c", attack)
        done = server.run(command)
        assert not done.ok, attack
        assert "root" not in done.out
    seen = server.run(homes.seeing_home("user01", homes.READING, "ls", "/")).out.split()
    assert set(seen) <= {"home", "proc", "usr", "bin", "sbin", "lib", "lib64"}
    with opened(backup(tools, record).path / "user01.tar.zst") as tar:
        kinds = {item.name: item.type for item in tar}
    assert kinds == {".": tarfile.DIRTYPE, "./link": tarfile.SYMTYPE}


def test_a_folder_too_deep_for_any_path_does_not_keep_a_home_away(
    tools: Tools, record: Record, server: HomesFolder
) -> None:
    top = here = os.open(server.home("user01"), os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        here, before = os.open("d" * 200, os.O_RDONLY, dir_fd=here), here
        if before != top:
            os.close(before)
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    os.close(top)
    done = backup(tools, record)
    assert max(names_in(done, "user01"), key=len).endswith("/end")
    shutil.rmtree(server.home("user01"))  # pytest can't


@pytest.mark.parametrize("systemd", ["runs", "does not run"])
def test_people_at_work_come_first(
    tools: Tools, record: Record, server: HomesFolder, tmp_path: Path, systemd: str
) -> None:
    """Whatever reads and packs is in a group of its own that gets what others leave."""
    asked = tmp_path / "asked"
    refuse = "" if systemd == "runs" else "exit 1\n"
    server.program(
        "systemd-run",
        f'{refuse}while [ "${{1#-}}" != "$1" ]; do if [ "$1" = -p ]; then shift; fi; shift; done\n'
        f'echo "$1 $4 $5" >> {asked}\nexec "$@"\n',
    )
    server.write("user01", work="x")
    assert "./work" in names_in(backup(tools, record, only=("user01",)), "user01")
    lines = asked.read_text().splitlines() if asked.exists() else []
    wanted = ["nice env LC_ALL=C.UTF-8", "nice zstd -q", "true  "]
    assert sorted(lines) == (wanted if systemd == "runs" else [])


def test_a_room_of_hundreds_is_asked_about_in_one_command() -> None:
    names = [f"participant-with-a-long-name-{number}" for number in range(500)]
    assert len(homes.survey(names)) < 100_000  # of 131,072 that one argument may have


def end(tools: Tools) -> Any:
    return tear_down(tools, "tessera", TeardownOptions())


def test_teardown_stops_when_one_persons_files_did_not_come(
    tools: Tools, server: HomesFolder
) -> None:
    server.disturb = lost("user03")
    with pytest.raises(NotReady, match=r"Nothing was deleted.*user03"):
        end(tools)
    assert tools.provider.discover()  # type: ignore[attr-defined]
    server.disturb = lambda username: None
    server.fetched.clear()
    done = end(tools)
    assert server.fetched == ["user03"]
    assert done.backup.people == ("user01", "user02", "user03")
    assert not tools.provider.discover()  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_teardown_brings_the_files_without_a_record_and_after_a_backup(
    tools: Tools, record: Record, server: HomesFolder, damage: str
) -> None:
    earlier = backup(tools, record)
    server.write("user01", late="written after the backup")
    at = tools.store.folder("tessera").record
    at.unlink() if damage == "gone" else at.write_text("{")
    done = end(tools)
    assert done.backup.path != earlier.path
    assert "./late" in names_in(done.backup, "user01")


def test_teardown_says_where_else_to_put_them(
    tools: Tools, server: HomesFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write("user01", work="x")
    full = shutil._ntuple_diskusage(10, 10, 0)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(NotReady, match="Nothing was deleted") as refused:
        end(tools)
    assert "provision teardown tessera --output" in refused.value.hint
