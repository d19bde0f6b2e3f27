"""A folder goes over SFTP to a real OpenSSH server on loopback."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, NotYet
from provisioner.models import Result
from provisioner.remote import sending, sftp, tree
from provisioner.remote.ssh import Shell
from tests.sshd import Sshd, sshd

MIB = 1024**2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("ssh") / "d") as made:
        yield made


@pytest.fixture
def shell(server: Sshd) -> Iterator[Shell]:
    made = server.connect()
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "sub" / "empty").mkdir(parents=True)
    (made / "sub" / "large").write_bytes(os.urandom(3 * MIB + 17))
    (made / "sub" / "ü 1.bin").write_bytes(bytes(range(256)) * 40)
    (made / "none").write_bytes(b"")
    (made / "-rf *").write_text("an option?")
    (made / "link").symlink_to("sub/large")
    (made / "run").write_text("#!/bin/sh\n")
    (made / "run").chmod(0o700)
    with open(os.fsencode(made) + b"/new\nline \xff", "wb") as file:
        file.write(b"odd")
    with open(os.fsencode(made) + b"/large\n\xfe", "wb") as file:
        file.write(os.urandom(MIB + 1))
    return made


def send(shell: Shell, source: Path, target: Path) -> list[tuple[int, int]]:
    """What was told on the way."""
    seen: list[tuple[int, int]] = []
    shell.send_tree(source, str(target), lambda there, total: seen.append((there, total)))
    return seen


def contents(folder: Path) -> dict[bytes, Any]:
    """Path → bytes of a file, target of a link, None for a folder; times of files, too."""
    found: dict[bytes, Any] = {}
    root = os.fsencode(folder)
    for place, folders, files in os.walk(root):
        for name in folders:
            found[os.path.relpath(os.path.join(place, name), root)] = None
        for name in files:
            path = os.path.join(place, name)
            if os.path.islink(path):
                found[os.path.relpath(path, root)] = os.readlink(path)
            else:
                with open(path, "rb") as file:
                    content = (file.read(), os.stat(path).st_mtime_ns)
                found[os.path.relpath(path, root)] = content
    return found


def beside(target: Path) -> list[str]:
    return [path.name for path in target.parent.iterdir() if path.name.startswith(target.name)]


def test_everything_arrives_with_its_times_and_can_be_read(
    shell: Shell, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "server data"
    seen = send(shell, source, target)
    assert contents(target) == contents(source)
    size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) - 3 * MIB - 17
    assert seen[-1] == (size, size), "the link is not counted as a file of its own"
    assert [there for there, _ in seen] == sorted(there for there, _ in seen)
    assert (target / "run").stat().st_mode & 0o777 == 0o755
    assert (target / "none").stat().st_mode & 0o777 == 0o644
    assert (target / "sub").stat().st_mode & 0o777 == 0o755
    assert beside(target) == [target.name]


def test_the_second_time_nothing_is_sent(shell: Shell, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    send(shell, source, target)
    assert send(shell, source, target) == []
    assert beside(target) == ["target"]


def test_a_change_sends_the_difference_and_the_folder_stays_the_same_one(
    shell: Shell, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    send(shell, source, target)
    before, kept = target.stat().st_ino, (target / "sub" / "large").stat().st_ino
    (source / "none").write_bytes(b"no longer")
    (source / "run").unlink()
    (source / "link").unlink()
    (source / "link").mkdir()
    (source / "link" / "now a folder").write_text("1")
    (source / "sub" / "empty").rmdir()
    (source / "sub" / "empty").write_text("now a file")
    seen = send(shell, source, target)
    assert contents(target) == contents(source)
    assert seen[-1] == (20, 20)
    assert target.stat().st_ino == before, "what has it mounted sees what is new"
    assert (target / "sub" / "large").stat().st_ino == kept


def test_a_file_that_became_a_program_is_one_there_too_and_back(
    shell: Shell, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    send(shell, source, target)
    for mode in (0o755, 0o644):
        for name in ("none", "sub/large"):
            (source / name).chmod(mode)
        send(shell, source, target)
        assert (target / "none").stat().st_mode & 0o777 == mode
        assert (target / "sub" / "large").stat().st_mode & 0o777 == mode
        assert send(shell, source, target) == []


class Dropped(Exception):
    pass


def dies_at(shell: Shell, source: Path, target: Path, size: int) -> int:
    """Send until `size` bytes are told; then the process is gone. How far it was."""
    last = 0

    def tell(there: int, total: int) -> None:
        nonlocal last
        last = there
        if there >= size:
            raise Dropped

    with pytest.raises(Dropped):
        shell.send_tree(source, str(target), tell)
    shell.close()
    return last


def test_a_killed_upload_goes_on_at_the_byte_where_it_stopped(server: Sshd, tmp_path: Path) -> None:
    source, target = tmp_path / "data", tmp_path / "target"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(24 * MIB))
    dies_at(server.connect(), source, target, 12 * MIB)
    assert not (target / "large").exists(), "participants never see half a file"
    (part,) = (tmp_path / "target.part").iterdir()
    there = part.stat().st_size
    assert there > 4 * MIB
    shell = server.connect()
    seen = send(shell, source, target)
    shell.close()
    assert there < seen[0][0] <= there + MIB
    assert contents(target) == contents(source)
    assert beside(target) == ["target"]


def test_small_files_that_have_arrived_are_not_sent_again(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PACK", MIB)
    source, target = tmp_path / "data", tmp_path / "target"
    source.mkdir()
    for number in range(30):
        (source / f"{number:02}").write_bytes(os.urandom(100_000))
    dies_at(server.connect(), source, target, 1_500_000)
    shell = server.connect()
    seen = send(shell, source, target)
    shell.close()
    assert seen[0][0] >= 1_000_000
    assert seen[-1] == (3_000_000, 3_000_000)
    assert contents(target) == contents(source)


def test_a_beginning_that_is_not_ours_is_not_built_upon(server: Sshd, tmp_path: Path) -> None:
    source, target = tmp_path / "data", tmp_path / "target"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(8 * MIB))
    dies_at(server.connect(), source, target, 4 * MIB)
    (part,) = (tmp_path / "target.part").iterdir()
    with part.open("r+b") as file:
        file.write(b"a disk that lost its power")
    shell = server.connect()
    send(shell, source, target)
    shell.close()
    assert contents(target) == contents(source)


def test_a_file_that_changed_between_two_attempts_is_sent_from_its_beginning(
    server: Sshd, tmp_path: Path
) -> None:
    source, target = tmp_path / "data", tmp_path / "target"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(8 * MIB))
    dies_at(server.connect(), source, target, 4 * MIB)
    (source / "large").write_bytes(os.urandom(8 * MIB))
    shell = server.connect()
    send(shell, source, target)
    shell.close()
    assert contents(target) == contents(source)


def test_holes_stay_holes(shell: Shell, tmp_path: Path) -> None:
    source, target = tmp_path / "data", tmp_path / "target"
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        file.seek(64 * MIB)
        file.write(b"end")
        file.truncate(80 * MIB)
    send(shell, source, target)
    assert contents(target) == contents(source)
    assert (target / "sparse").stat().st_blocks * 512 < 4 * MIB


def test_a_file_that_cannot_be_read_is_said_before_anything_is_sent(
    shell: Shell, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("/none"))
    with pytest.raises(NotReady) as error:
        send(shell, source, tmp_path / "target")
    assert error.value.details == (f"{source / 'none'} can't be read: permission denied",)
    assert not (tmp_path / "target").exists()


def test_a_disk_that_is_too_small_is_said_with_numbers(
    shell: Shell, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "RESERVE", 0)
    plain = shell.run

    def run(command: str, **more: Any) -> Result:
        return (
            Result(0, f"{2 * MIB}\n", "") if command.startswith("df ") else plain(command, **more)
        )

    monkeypatch.setattr(shell, "run", run)
    with pytest.raises(NotReady, match=r"needs 4\.0 MiB more on the server, which has 2\.0 MiB"):
        send(shell, source, tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []


def test_a_folder_that_cannot_be_made_says_why(shell: Shell, source: Path) -> None:
    with pytest.raises(NotReady) as error:
        send(shell, source, Path("/proc/nowhere"))
    assert "/proc/nowhere" in error.value.message
    assert error.value.details[0]


def test_a_disk_that_fills_up_is_not_a_lost_connection(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="could not be written on the server"):
        shell.put(
            io.BytesIO(bytes(range(256)) * 20_000),
            "/dev/full",
            at=0,
            size=256 * 20_000,
            progress=lambda there: None,
        )


def test_a_connection_that_is_lost_is_not_yet(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(24 * MIB))
    with sshd(tmp_path / "ssh") as server:
        shell = server.connect()

        def tell(there: int, total: int) -> None:
            if there >= 8 * MIB:
                for pid in children(server.pid):
                    os.kill(pid, 9)

        with pytest.raises(NotYet, match="connection was lost"):
            shell.send_tree(source, str(tmp_path / "target"), tell)
        with pytest.raises(NotYet, match="connection was lost"):
            shell.send_tree(source, str(tmp_path / "target"), tell)
        shell.close()


def children(pid: int) -> list[int]:
    """The processes of connections."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    direct = [one for one, parent in pairs if parent == pid]
    return [*direct, *(one for one, parent in pairs if parent in direct)]


def test_a_server_without_sftp_says_what_to_install(
    shell: Shell, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp, "SERVERS", ())
    with pytest.raises(NotReady) as error:
        send(shell, source, tmp_path / "target")
    assert re.search("apt-get install openssh-sftp-server", error.value.hint)
