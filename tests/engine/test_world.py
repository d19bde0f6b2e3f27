"""The engine itself: other tests stand on it, so what they take for granted is proven here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from provisioner.models import Phase
from provisioner.protocols import Bootstraps, Provider
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.engine import cache, network
from tests.engine.machine import ROOT, Engine
from tests.engine.workshop import Workshop, why_not

MIB = 1024**2
NAME = f"end-{os.getpid()}"


def test_the_real_ladder_was_climbed(workshop: Workshop) -> None:
    assert workshop.record.phase is Phase.READY
    provider: Provider = workshop.tools.provider
    assert isinstance(provider, Bootstraps)
    seen = provider.find(workshop.record.id)
    assert seen is not None
    assert seen.ssh_port == workshop.engine.ssh_port


def test_the_machine_is_reached_over_pinned_ssh_as_the_operator_would(workshop: Workshop) -> None:
    server = workshop.record.server
    assert server is not None
    shell = workshop.tools.connect(server, workshop.folder)
    assert shell.run("id -un; cat", stdin=b"said").out == "root\nsaid"
    origin = shell.run("who -m --ips 2> /dev/null; ss -Htn 'sport = 22'").out
    assert network.ROUTER in origin, "visitors come from the router, as with QEMU's forwards"
    shell.close()


def test_it_is_debian_13_with_its_own_processes_and_docker(workshop: Workshop) -> None:
    assert "VERSION_CODENAME=trixie" in workshop.run("cat /etc/os-release").out
    assert workshop.run("docker info --format '{{.Driver}}'").out.strip() == "overlay2"
    assert len(workshop.run("ps -e -o pid=").out.split()) < 60
    assert "DOCKER-USER" in workshop.run("iptables -S FORWARD").out


@pytest.mark.parametrize("service", network.SERVICES)
def test_everything_outside_is_reached_from_the_machine(workshop: Workshop, service: str) -> None:
    before = len(workshop.engine.visits())
    assert workshop.reaches(service)
    assert workshop.engine.visits()[before:][0]["service"] == service


def test_a_participant_reaches_the_web_by_name_and_not_what_the_server_guards(
    workshop: Workshop,
) -> None:
    with workshop.serving("user01") as visitor:
        assert visitor.run("6 * 7", timeout=60).strip() == "42"
    assert workshop.in_container("user01", "curl -sS http://any.example.org").out == "public\n"
    assert not workshop.reaches("metadata", "user01", timeout=2)
    assert not workshop.reaches("router", "user01", timeout=2)


def test_a_memory_hog_ends_at_its_limit_and_nobody_else_does(workshop: Workshop) -> None:
    with workshop.serving("user01"):
        hog = "python3 -c 'import os; list(os.urandom(2**20) for _ in range(1500))'"
        assert workshop.in_container("user01", hog, timeout=120).code == 137
    limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2> /dev/null"
    assert int(workshop.in_container("user01", limit).out) == 512 * MIB


def test_a_fork_bomb_ends_at_its_limit(workshop: Workshop) -> None:
    with workshop.serving("user01"):
        bomb = (
            'python3 -c \'import subprocess as s\nfor _ in range(2000): s.Popen(["sleep", "5"])\''
        )
        done = workshop.in_container("user01", bomb, timeout=120)
        assert not done.ok
        assert "temporarily unavailable" in done.err
    wanted = "docker inspect --format '{{.HostConfig.PidsLimit}}' jupyter-user01"
    assert int(workshop.run(wanted).out) > 0


def test_units_are_what_the_program_types(workshop: Workshop) -> None:
    engine = workshop.engine
    assert engine.must("systemctl is-active provision-stack docker").split() == ["active"] * 2
    shown = engine.must("systemctl show --property=ActiveState,Result docker.service")
    assert shown == "ActiveState=active\nResult=success\n"
    assert not engine.run("systemctl start no-such-thing").ok
    engine.must("xfs_quota -x -c 'limit -p bhard=1g 7' /opt/provision/homes")
    assert (
        engine.must("cat /var/log/xfs_quota.log")
        .splitlines()[-1]
        .endswith("-c limit -p bhard=1g 7 /opt/provision/homes")
    )
    assert engine.must("findmnt -no FSTYPE /opt/provision/homes").strip() == "xfs"


def test_a_unit_that_fails_says_so_and_where(workshop: Workshop) -> None:
    unit = "[Service]\nType=oneshot\nExecStartPre=/bin/echo before\nExecStart=/bin/false\n"
    engine = workshop.engine
    put = "mkdir -p /run/systemd/system && cat > /run/systemd/system/bad.service"
    engine.must(put, stdin=unit.encode())
    done = engine.run("systemctl start bad.service")
    assert done.code == 1
    assert "bad.service failed" in done.err
    assert engine.run("systemctl is-active bad").out == "failed\n"
    assert "before" in engine.must("journalctl -u bad --no-pager")
    engine.must("rm /run/systemd/system/bad.service")


def test_docker_restarts_and_brings_the_services_back(workshop: Workshop) -> None:
    engine = workshop.engine
    before = engine.must("cat /run/docker.pid")
    engine.must("systemctl restart docker.service", timeout=120)
    assert engine.must("cat /run/docker.pid") != before
    _healthy(workshop)


def test_a_reboot_brings_the_workshop_back(workshop: Workshop) -> None:
    workshop.engine.must("touch /opt/provision/homes/kept /root/kept && sync")
    workshop.engine.reboot()
    workshop.engine.must("ls /opt/provision/homes/kept /root/kept")
    _healthy(workshop)


def _healthy(workshop: Workshop) -> None:
    wait_for(
        lambda: workshop.tools.web.healthy(workshop.url, workshop.ca),
        budget=120,
        clock=SystemClock(),
    )


# Its end


def traces(folder: Path) -> list[str]:
    """Processes, mounts, control groups and loops of the machine in that folder."""
    found = [f"cgroup {path}" for path in cache.groups(folder.name)]
    for process in psutil.process_iter(["pid", "cmdline"]):
        try:
            mounts = Path(f"/proc/{process.pid}/mountinfo").read_text()
        except OSError:
            continue
        if folder.name in mounts or folder.name in " ".join(process.info["cmdline"] or []):
            found.append(f"process {process.pid} {process.info['cmdline']}")
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if folder.name in backing.read_text():
                found.append(f"loop {backing}")
        except OSError:
            continue
    return found


def settled(folder: Path, patience: float = 15) -> list[str]:
    """What is left once the kernel has had its moment."""
    deadline = time.monotonic() + patience
    while (left := traces(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


@pytest.fixture
def world() -> Iterator[subprocess.Popen[bytes]]:
    """`world up` in another process."""
    if reason := why_not():
        pytest.skip(reason)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.engine.world", "up", "--name", NAME, "--users", "1"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        yield child
        child.kill()


def at_work(child: subprocess.Popen[bytes], patience: float = 600) -> Path:
    """The folder of its machine, once containers run on it."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and child.poll() is None:
        for folder in (cache.root() / "machines").glob(f"{NAME}-*"):
            if cache.groups(folder.name):
                return folder
        time.sleep(0.2)
    raise AssertionError(f"no world: {child.returncode}")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_nothing_is_left(world: subprocess.Popen[bytes], how: signal.Signals) -> None:
    folder = at_work(world)
    kinds = {item.split()[0] for item in traces(folder)}
    assert kinds == {"cgroup", "process", "loop"}, "else there would be nothing to find"
    world.send_signal(how)
    world.wait(60)
    if how is signal.SIGKILL:  # nobody could tidy up: whoever comes next does
        assert not [item for item in settled(folder, 3) if not item.startswith("cgroup")]
        Engine("next").stop()
    assert not settled(folder)
    assert not folder.exists()
