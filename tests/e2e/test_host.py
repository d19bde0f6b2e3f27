"""Somebody's own server, with Docker on it: a workshop comes, runs, ends, and leaves no trace.

The server is a golden image booted as a plain machine, with a user and a key of its owner's.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner import keys
from provisioner.cli.wiring import image_folder
from provisioner.errors import NotYet
from provisioner.models import GIB, HostOptions, Size
from provisioner.providers.local import accel, ports, qemu
from provisioner.providers.local.arch import host_arch
from provisioner.providers.local.image import Golden
from provisioner.providers.local.running import run
from provisioner.providers.local.seed import seed_files, write_seed
from provisioner.remote.own import connect_own
from provisioner.remote.ssh import Shell
from provisioner.render import commands
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.e2e.machine import measured

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

OWNER = """\
#cloud-config
users:
  - name: owner
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    shell: /bin/bash
    ssh_authorized_keys: ["{key}"]
ssh_keys:
  ed25519_private: |
{private}
  ed25519_public: "{public}"
"""

MEMORY, DISK = 4 * GIB, 24 * GIB

WORKSHOP = """\
name = "guest"
users = 1
provider = "host"
[participant]
memory = "512M"
disk = "1G"
[environment]
python = ["geotessera"]
[host]
address = "server"
"""
"""The environment of the other end-to-end tests, so that their images are there already."""

STATE = """\
docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | sort
docker volume ls --quiet
docker network ls --format '{{.Name}}'
docker ps --all --quiet
docker buildx du
find /opt /etc/systemd/system /var/log/provision* -not -path '/opt/containerd/*' 2> /dev/null | sort
dpkg-query --show
iptables-save | sed '/^#/d; s/ \\[.*\\]//'
ss --no-header --listening --tcp --udp --numeric | awk '{print $1, $5}' | sort
systemctl list-unit-files --no-legend --state=enabled | sort
"""
"""What an owner could compare."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Server:
    """Somebody's machine, and the operator's home with the key to it."""

    home: Path
    options: HostOptions

    def connect(self) -> Shell:
        return connect_own(self.options.address, self.options.port, home=self.home)

    def say(self, command: str) -> str:
        shell = self.connect()
        try:
            done = shell.run(command, timeout=180)
        finally:
            shell.close()
        assert done.ok, done.err
        return done.out


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if ports.problem("127.0.0.1", 443):
        pytest.skip("port 443 of this computer is taken, or not ours to take")
    (tmp_path / "local.toml").write_text(WORKSHOP.replace('"host"', '"local"', 1))
    baked = subprocess.run(
        [sys.executable, "-m", "provisioner.cli.app", "bake", "--config", "local.toml", "--json"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    golden = Golden(Path(json.loads(baked.stdout)["path"]))
    own, host = keys.new_key_pair(), keys.new_key_pair()
    found = Server(tmp_path, HostOptions("owner@127.0.0.1", free_port()))
    folder = tmp_path / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "id_ed25519").touch(mode=0o600)
    (folder / "id_ed25519").write_text(str(own.private))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{found.options.port} {host.public}\n")
    private = "\n".join(f"    {line}" for line in str(host.private).splitlines())
    (folder / "config").write_text(
        f"Host server\n  HostName 127.0.0.1\n  Port {found.options.port}\n  User owner\n"
    )
    (tmp_path / "workshop.toml").write_text(WORKSHOP)
    text = OWNER.format(key=own.public, private=private, public=host.public)
    files = seed_files(workshop_id="owned", name="owned", user_data=text.encode())
    write_seed(tmp_path / "seed.iso", files)
    assert run(qemu.overlay(tmp_path / "disk.qcow2", golden.disk, DISK)).ok
    machine = qemu.Machine(
        id=str(uuid.uuid4()),
        name="owned",
        size=Size(MEMORY, 2, DISK),
        arch=host_arch(),
        accel=accel.choose("auto", host_arch(), run, kernel=golden.kernel).settled(),
        kernel=golden.kernel,
        initrd=golden.initrd,
        disk=tmp_path / "disk.qcow2",
        seed=tmp_path / "seed.iso",
        serial=tmp_path / "serial.log",
        pidfile=tmp_path / "pid",
        bind="127.0.0.1",
        ports=qemu.Ports(found.options.port, 443),
    )
    assert run(qemu.boot(machine)).ok
    try:
        yield found
    finally:
        os.kill(int(machine.pidfile.read_text()), signal.SIGKILL)


def booted(server: Server) -> None:
    """Up, with its owner's Docker, and settled."""
    say = wait_for(lambda: server.connect(), budget=400, clock=SystemClock(), every=2)
    say.close()

    def settled() -> None:
        words = server.say("cloud-init status || true; docker version > /dev/null && echo engine")
        if "done" not in words or "engine" not in words:
            raise NotYet(words)

    wait_for(settled, budget=400, clock=SystemClock(), every=2)


@dataclass
class Operator:
    """Who types `provision`: a home of their own with a key, and the folder of a workshop."""

    server: Server

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "provisioner.cli.app", *words],
            cwd=self.server.home,
            env={
                **os.environ,
                "HOME": str(self.server.home),
                "PROVISION_HOME": str(self.server.home / "provision"),
                "PROVISION_CACHE": str(image_folder().parent),
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=1200,
            check=False,
        )
        print(f"$ provision {' '.join(words)}\n{done.stderr}{done.stdout}", flush=True)
        assert done.returncode == code, f"{done.returncode}\n{done.stderr}"
        return done.stdout


def test_a_workshop_on_somebody_s_server_leaves_no_trace(server: Server) -> None:
    begin = time.monotonic()
    booted(server)
    server.say("rmdir /opt/provision")  # of the image; an owner's server has none
    before = server.say(STATE)
    provision = Operator(server)

    launched = json.loads(provision("launch", "--yes", "--json"))
    measured(host_ready_seconds=round(time.monotonic() - begin, 1))
    assert (launched["phase"], launched["url"]) == ("ready", "https://localhost")
    again = json.loads(provision("launch", "--yes", "--json"))
    assert again["credentials"] == launched["credentials"]
    seen = json.loads(provision("status", "--json"))
    assert all(item["ok"] for item in seen["checks"]), seen["checks"]

    server.say(commands.set_deadline(datetime.now(UTC) - timedelta(seconds=1)))

    def over() -> None:
        if running := server.say("docker ps --format '{{.Names}}'"):
            raise NotYet(running)

    wait_for(over, budget=200, clock=SystemClock(), every=2)
    assert "user01" in server.say("ls /opt/provision/homes"), "work is kept"

    start = time.monotonic()
    done = json.loads(provision("teardown", "--yes", "--json"))
    measured(host_teardown_seconds=round(time.monotonic() - start, 1))
    assert done["leftovers"] == []
    assert any(word.startswith("container") for word in done["deleted"])
    assert list((server.home / "provision" / "backups").glob("guest-*/user01.tar.zst"))
    after = server.say(STATE)
    assert set(after.splitlines()) ^ set(before.splitlines()) == set(), "as it was found"
