"""cloud-init/make-homes, run by a shell in a folder: what needs root or a kernel is played."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.models import GIB, Credential, Person, Secret
from provisioner.render import commands
from provisioner.render.assets import asset

NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >> "$NOTES"\n'
PLAYED = {
    "mount": 'test ! -e "$HERE/broken" || exit 32\n'
    'for where; do :; done\nmkdir -p "$where"; echo "/dev/loop9 $where xfs rw" >> "$HERE/mounts"\n',
    "mkfs.xfs": "",
    "xfs_quota": 'case "$*" in *state*) cat "$HERE/state" 2> /dev/null;; *limit*)'
    ' test ! -e "$HERE/quotaless";; esac\n',
    "xfs_growfs": "",
    "losetup": "",
    "findmnt": "echo /dev/loop9\n",
    "chown": "",
    "sync": "",
    "fallocate": 'test ! -e "$HERE/full" && truncate --size "$2" "$3"\n',
    "df": 'echo Avail; if [ -e "$HERE/full" ]; then echo 1000; else echo 99999999999999; fi\n',
}
DISK = 5 * GIB


@dataclass
class Server:
    folder: Path

    def users(self, *names: str) -> None:
        people = tuple(Credential(Person(str(n), name), Secret("")) for n, name in enumerate(names))
        hashed = dict.fromkeys(names, "scrypt$1$1$1$a$b")
        target = self.folder / "root/secrets/users.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(commands.users_json(hashed, people))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        tools, bundle = self.folder / "bin", self.folder / "root/bundle"
        for made in (tools, bundle):
            made.mkdir(parents=True, exist_ok=True)
        for name, script in PLAYED.items():
            (tools / name).write_text(NOTE + script)
            (tools / name).chmod(0o755)
        (bundle / ".env").write_text(f"PROVISION_DISK='{DISK}'\n")
        (self.folder / "mounts").touch()
        (self.folder / "notes").write_text("")
        script = asset("cloud-init/make-homes").read_text()
        for real, here in {
            "root=/opt/provision": f"root={self.folder}/root",
            "/proc/self/mounts": f"{self.folder}/mounts",
        }.items():
            assert real in script
            script = script.replace(real, here)
        environment = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "NOTES": str(self.folder / "notes"),
            "HERE": str(self.folder),
        }
        return subprocess.run(
            ["sh", "-c", script, "make-homes", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def make(self) -> list[str]:
        """What was asked of others, in order."""
        done = self.run()
        assert done.returncode == 0, done.stderr
        return (self.folder / "notes").read_text().splitlines()

    def reboot(self) -> None:
        (self.folder / "mounts").write_text("")

    @property
    def homes(self) -> Path:
        return self.folder / "root/homes"

    @property
    def file(self) -> Path:
        return self.folder / "root/homes.img"

    def numbers(self) -> dict[str, str]:
        lines = (self.homes / ".projects").read_text().split()
        return {name: number for number, name in (line.split(":") for line in lines) if name}


@pytest.fixture
def server(tmp_path: Path) -> Server:
    made = Server(tmp_path)
    made.users("user01", "user02", "a-b_c")
    return made


def test_everybody_has_a_home_a_number_and_a_limit(server: Server) -> None:
    asked = server.make()
    assert server.numbers() == {"user01": "1000", "user02": "1001", "a-b_c": "1002"}
    for name, number in server.numbers().items():
        for folder in ("home", "tmp"):
            assert (server.homes / name / folder).stat().st_mode & 0o777 == 0o700
            assert f"chown 1000:100 {server.homes}/{name}/{folder}" in asked
        (line,) = (line for line in asked if f"-p {server.homes}/{name} {number}" in line)
        assert f"bhard={DISK} " in line
    first_folder = next(n for n, line in enumerate(asked) if line.startswith("chown"))
    assert "limit" in asked[first_folder - 1], "no folder before its limit"


def test_the_file_system_has_room_for_all_of_them(server: Server) -> None:
    asked = server.make()
    assert server.file.stat().st_size > 3 * DISK
    assert any("prjquota" in line for line in asked if line.startswith("mount "))


def test_what_is_there_is_never_formatted(server: Server) -> None:
    assert sum(line.startswith("mkfs") for line in server.make()) == 1
    (server.homes / "user01/home/work.ipynb").write_text("{}")
    assert not any(line.startswith(("mkfs", "mount")) for line in server.make())
    server.reboot()
    again = server.make()
    assert sum(line.startswith("mount") for line in again) == 1
    assert not any(line.startswith("mkfs") for line in again)
    assert (server.homes / "user01/home/work.ipynb").exists()


def test_one_that_cannot_be_mounted_is_left_alone_and_ends_everything(server: Server) -> None:
    server.make()
    server.reboot()
    (server.folder / "broken").touch()
    for words in ((), ("mount",)):
        done = server.run(*words)
        assert done.returncode == 1
        assert "left as it is" in done.stderr
        assert "mkfs" not in (server.folder / "notes").read_text()


def test_a_format_cut_short_is_begun_anew(server: Server) -> None:
    server.file.with_name("homes.img.new").parent.mkdir(parents=True, exist_ok=True)
    server.file.with_name("homes.img.new").write_text("half")
    server.make()
    assert not server.file.with_name("homes.img.new").exists()


def test_newcomers_get_room_and_others_keep_their_numbers(server: Server) -> None:
    server.make()
    before, size = server.numbers(), server.file.stat().st_size
    server.users("user02", "new", "user01", "newer")
    asked = server.make()
    assert before.items() <= server.numbers().items()
    assert len(set(server.numbers().values())) == 5
    assert server.file.stat().st_size > size
    for step in ("fallocate", "losetup --set-capacity /dev/loop9", "xfs_growfs"):
        assert any(line.startswith(step) for line in asked), step


def test_a_small_disk_is_told_of_and_used(server: Server) -> None:
    (server.folder / "full").touch()
    done = server.run()
    assert done.returncode == 0
    assert "WARNING: the disk is too small" in done.stdout


@pytest.mark.parametrize("sign", ["state", "quotaless"])
def test_without_quotas_there_are_no_homes(server: Server, sign: str) -> None:
    (server.folder / sign).write_text("  Enforcement: OFF\n")
    assert server.run().returncode != 0
    assert not (server.homes / "user01/home").exists()


def test_nobody_in_users_json_is_a_mistake(server: Server) -> None:
    (server.folder / "root/secrets/users.json").write_text(json.dumps({"users": {}}))
    done = server.run()
    assert done.returncode == 1
    assert "names nobody" in done.stderr


def test_to_read_homes_they_are_mounted_and_nothing_else(server: Server) -> None:
    done = server.run("mount")
    assert done.returncode == 0, "there are none yet"
    server.make()
    server.reboot()
    assert server.run("mount").returncode == 0
    assert (server.folder / "notes").read_text().count("\n") == 1
