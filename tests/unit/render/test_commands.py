"""Commands of the server, run by a shell in a folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from provisioner.render import commands


def sh(
    command: str, *, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["sh", "-c", command],
        input=stdin,
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("part", [0, 3, 4096])
def test_a_part_of_a_file_does_not_take_its_place(tmp_path: Path, part: int) -> None:
    """A connection that dies looks to the command like the end of what is sent."""
    target, new = tmp_path / "a folder/users.json", b"0123456789" * 1000
    target.parent.mkdir()
    target.write_bytes(b"old")
    command = commands.write_file(str(target), len(new))
    cut = sh(command, stdin=new[:part])
    assert (cut.returncode != 0, target.read_bytes()) == (True, b"old")
    assert b"only a part" in cut.stderr
    assert sh(command, stdin=new).returncode == 0
    assert target.read_bytes() == new
    assert target.stat().st_mode & 0o777 == 0o600


def test_images_are_those_of_the_machines_own_bundle(tmp_path: Path) -> None:
    """Another version of the program, with another bundle, may be installed by now."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/.env").write_text("PROVISION_TAG='of-the-machine'\n")
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/asked\n')
    docker.chmod(0o755)
    command = commands.have_images().replace(commands.ROOT, str(tmp_path))
    assert sh(command, PATH=f"{tmp_path}:{os.environ['PATH']}").returncode == 0
    asked = (tmp_path / "asked").read_text().split()
    assert asked[-4:] == [f"provision-{name}:of-the-machine" for name in commands.IMAGES]


def certificates(folder: Path, archive: bytes, size: int) -> bool:
    docker = folder / "docker"
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o755)
    (folder / "volume").mkdir(exist_ok=True)
    command = commands.put_certificates(size)
    for real, here in {commands.ROOT: folder, commands._CADDY_DATA: folder / "volume"}.items():
        assert real in command
        command = command.replace(real, str(here))
    return sh(command, stdin=archive, PATH=f"{folder}:{os.environ['PATH']}").returncode == 0


def test_half_a_certificate_is_not_left_where_a_whole_one_belongs(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "key").write_text("k" * 2000)
    whole = subprocess.run(
        ["tar", "--create", "--directory", source, "key"], capture_output=True, check=True
    ).stdout
    assert not certificates(tmp_path, whole[:1024], len(whole))
    assert list((tmp_path / "volume").iterdir()) == []
    assert certificates(tmp_path, whole, len(whole))
    assert (tmp_path / "volume/key").read_text() == "k" * 2000
    assert list((tmp_path / "secrets").iterdir()) == [], "there are keys in it"
