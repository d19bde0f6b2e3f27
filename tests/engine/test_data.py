"""Shared data over the real connection: the operator's key, sudo, Debian's own sshd and tools."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.cli.output import ConsoleReporter
from provisioner.models import Download, Link, Secret
from provisioner.remote.ssh import Shell
from tests.engine import network
from tests.engine.machine import Engine
from tests.engine.workshop import Workshop, launched, settings, why_not

MIB = 1024**2
TARGET = "/opt/provision/data/trial"

SEND = """
import sys
from pathlib import Path
from provisioner.remote.ssh import Shell
host, port, key, pin, source, target = sys.argv[1:]
shell = Shell.connect(host, int(port), key=Path(key), pins=[pin])
shell.send_tree(Path(source), target, lambda there, total: print(there, flush=True))
"""


@pytest.fixture
def shell(workshop: Workshop) -> Iterator[Shell]:
    made = connect(workshop)
    yield made
    made.run(f"rm -rf {TARGET} {TARGET}.new {TARGET}.part {TARGET}.tar")
    made.close()


def connect(workshop: Workshop) -> Shell:
    assert workshop.record.server is not None
    made = workshop.tools.connect(workshop.record.server, workshop.folder)
    assert isinstance(made, Shell)
    return made


def sums(folder: Path) -> str:
    listed = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"
    done = subprocess.run(
        ["sh", "-c", listed], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def sums_there(shell: Shell) -> str:
    listed = f"cd {TARGET} && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"
    return shell.run(listed, timeout=120).out


def test_an_upload_that_is_killed_goes_on_and_is_exact_to_the_byte(
    workshop: Workshop, shell: Shell, tmp_path: Path
) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(100 * MIB))
    for number in range(200):
        (source / f"small {number}").write_bytes(os.urandom(5000))
    server = workshop.record.server
    assert server is not None
    words = [server.ssh_host, str(server.ssh_port), str(workshop.folder.ssh_key)]
    with subprocess.Popen(
        [sys.executable, "-c", SEND, *words, shell.host_key(), str(source), TARGET],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) > 40 * MIB:
                process.send_signal(signal.SIGKILL)
                break
    assert shell.run(f"ls {TARGET}").out == "", "nothing is half there"
    seen: list[int] = []
    shell.send_tree(source, TARGET, lambda there, total: seen.append(there))
    assert seen[0] > 20 * MIB
    assert sums_there(shell) == sums(source)
    owner = shell.run(f"stat --format '%U %a' {TARGET} {TARGET}/large").out
    assert owner == "root 755\nroot 644\n"


@pytest.mark.parametrize(("files", "size"), [(2, 25 * MIB), (5000, 10_000)])
def test_it_is_about_as_quick_as_a_plain_stream(
    shell: Shell, tmp_path: Path, files: int, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "data"
    source.mkdir()
    for number in range(files):
        (source / str(number)).write_bytes(os.urandom(size))
    start = time.monotonic()
    with (
        subprocess.Popen(["tar", "-c", "-C", source, "."], stdout=subprocess.PIPE) as tar,
        shell._channel(f"mkdir {TARGET}.tar && tar -x -C {TARGET}.tar && sync", 120) as channel,
    ):
        assert tar.stdout is not None
        while chunk := tar.stdout.read(65536):
            channel.sendall(chunk)
        channel.shutdown_write()
        assert channel.recv_exit_status() == 0
    plain = time.monotonic() - start
    start = time.monotonic()
    shell.send_tree(source, TARGET, lambda there, total: None)
    ours = time.monotonic() - start
    start = time.monotonic()
    shell.send_tree(source, TARGET, lambda there, total: None)
    again = time.monotonic() - start
    with capsys.disabled():
        print(f"\n{files} files of {size:,} bytes: {ours:.1f} s; a tar stream: {plain:.1f} s;")
        print(f"nothing has changed: {again:.1f} s")
    assert sums_there(shell) == sums(source)
    assert ours < 5 * plain + 5


def test_the_server_fetches_with_what_it_has(shell: Shell) -> None:
    address, port = network.SERVICES["public"]
    link = Link(Secret(f"http://{address}:{port}/file"))
    wanted = [Download("file", len(b"public\n"), version="1")]
    shell.fetch_tree(wanted, TARGET, lambda items: [link for _ in items], lambda *_: None)
    assert shell.run(f"cat {shlex.quote(TARGET)}/file").out == "public\n"


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A workshop with a folder that all share."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("maps")
    (folder / "sub").mkdir()
    (folder / "sub" / "tile").write_text("a tile")
    (folder / "tool").write_text("#!/bin/sh\necho it runs\n")
    (folder / "tool").chmod(0o755)
    data = [{"source": str(folder), "path": "/maps", "variable": "MAPS_DIR"}]
    with Engine("sharing") as engine:
        asked = settings(users=1, data=data)
        yield Workshop(engine, *launched(engine, asked, ConsoleReporter()))


READ = """
import os, pathlib, subprocess
maps = pathlib.Path(os.environ["MAPS_DIR"])
print(maps, (maps / "sub" / "tile").read_text())
print(subprocess.run([maps / "tool"], capture_output=True, text=True).stdout)
for change in ((maps / "mine").touch, (maps / "sub" / "tile").unlink):
    try:
        change()
    except OSError as error:
        print(error.strerror)
"""


def test_a_participant_finds_the_data_by_its_variable_and_cannot_change_it(
    sharing: Workshop,
) -> None:
    with sharing.serving("user01") as visitor:
        lines = visitor.run(READ, 60).split("\n")
    assert [line for line in lines if line] == [
        "/maps a tile",
        "it runs",
        "Read-only file system",
        "Read-only file system",
    ]
