"""`python -m tests.twin.instance run|end`: the fake cloud's hooks, with its JSON on stdin.

`run` leaves a watcher behind, whose child the machine is. When that ends unasked, the watcher
tells the cloud. What this instance is made of is in the folder that $TWIN names.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from provisioner.models import GIB
from provisioner.providers.local import qemu
from tests.twin import firewall, network
from tests.twin.machine import Home, Instance, Place, boot

DISK = 20 * GIB
SHUTDOWN_SECONDS = 120.0  # for a machine that was asked to switch itself off
END_SECONDS = 20.0


def run(place: Place, said: dict[str, Any]) -> None:
    """Boot it, on the disk that it has or a new one. Returns at once."""
    instance = Instance.told(said)
    if ip_address(instance.private) not in ip_network(network.VPC):
        raise SystemExit(f"{instance.private} is not in {network.VPC}: name a subnet of it")
    home = place.home(instance.id)
    home.path.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        _await_end(home, SHUTDOWN_SECONDS)
        home.write(instance)
        home.ordered.unlink(missing_ok=True)
        place.reservation(instance).write_text(f"{instance.mac},{instance.private}\n")
        if not home.disk.exists():
            _must(qemu.overlay(home.disk, Path(place.host().disk), DISK))
        _must(["ip", "-batch", "-"], network.plug(instance.tap))
        if instance.public:
            allowed = _allowed(place.host().cloud, instance)
            _must(
                ["nft", "-f", "-"],
                network.publish(instance.public, instance.private, instance.tap, allowed),
            )
        with (home.path / "watcher.log").open("ab") as log:
            watcher = subprocess.Popen(
                [sys.executable, "-m", "tests.twin.instance", "watch", instance.id],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        home.pid.write_text(str(watcher.pid))


def watch(place: Place, instance_id: str) -> None:
    """Be the machine's parent until it ends, and clear up after it."""
    home = place.home(instance_id)
    instance, host = home.instance(), place.host()
    # It dies with its watcher, should that be ended before it listens to signals.
    command = ["setpriv", "--pdeathsig", "KILL", "--", *boot(instance, home, host)]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: machine.kill())
    code = machine.wait()
    print(f"the machine ended with {code}", flush=True)
    if instance.public:
        _must(["nft", "-f", "-"], network.withdraw(instance.public, instance.private, instance.tap))
    _must(["ip", "link", "delete", instance.tap])
    home.qmp.unlink(missing_ok=True)
    if not home.ordered.exists() and host.cloud:
        _tell(host.cloud, instance_id)
    home.pid.unlink(missing_ok=True)


def end(place: Place, said: dict[str, Any]) -> None:
    """stop presses the machine's button, and its disk stays; all else pulls the plug for good."""
    home = place.home(said["instance_id"])
    if not home.path.exists():
        return
    with _alone(home):
        if not home.exists():  # ended twice
            return
        home.ordered.touch()
        if said.get("event") == "stop":
            _stop(home)
            return
        _pull_plug(home)
        place.reservation(home.instance()).unlink(missing_ok=True)
        home.forget()


def _stop(home: Home) -> None:
    with suppress(OSError):  # it is off already
        _press_button(home)
    if not _await_end(home, SHUTDOWN_SECONDS):
        _pull_plug(home)


def _pull_plug(home: Home) -> None:
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(home.pid.read_text()), signal.SIGTERM)
    if not _await_end(home, END_SECONDS):
        raise SystemExit(f"{home.path.name} does not end")


def _await_end(home: Home, seconds: float) -> bool:
    """Whether its watcher has finished. It cannot be waited for: another process began it."""
    deadline = time.monotonic() + seconds
    while home.pid.exists() and Path("/proc", home.pid.read_text() or "0").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _press_button(home: Home) -> None:
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(str(home.qmp))
        words = plain.makefile("rw")
        words.readline()
        for command in ("qmp_capabilities", "system_powerdown"):
            words.write(json.dumps({"execute": command}))
            words.flush()
            words.readline()


def _allowed(cloud: str, instance: Instance) -> tuple[str, ...]:
    """Where there is no cloud, there are no security groups either."""
    if not cloud:
        return firewall.EVERYTHING
    import boto3

    client = boto3.client("ec2", endpoint_url=cloud, region_name=instance.region)
    return firewall.allowed(client, instance.id)


def _tell(cloud: str, instance_id: str) -> None:
    body = json.dumps({"instance_id": instance_id}).encode()
    with urllib.request.urlopen(f"{cloud}/_fake/shutdown", data=body, timeout=30) as answer:
        answer.read()


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Hooks are processes of their own, and may overtake each other."""
    with home.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _must(command: list[str], words: str = "") -> None:
    done = subprocess.run(command, input=words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")


def main() -> None:
    verb, *rest = sys.argv[1:]
    place = Place(Path(os.environ["TWIN"]))
    if verb == "watch":
        watch(place, rest[0])
    else:
        {"run": run, "end": end}[verb](place, json.load(sys.stdin))


if __name__ == "__main__":
    main()
