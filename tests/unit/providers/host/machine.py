"""A small model of somebody's Debian machine, which answers the host provider's commands."""

from __future__ import annotations

import io
import json
import re
import shlex
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from provisioner.errors import NotYet
from provisioner.models import HostOptions, Result
from provisioner.providers.host import HostProvider, bootstrap, claim, facts, traces, upload

UNITS = upload.UNITS
DOCKER_PACKAGES = ["containerd", "docker.io", "docker-compose", "iptables"]
ENGINE = {
    "firewall chains": ["iptables"],
    "folder": ["/var/lib/docker"],
    "network interface": ["docker0"],
    "group": ["docker"],
}

FRESH = """\
cores 4
memory 8388608
disk 107374182400
system debian 13
architecture x86_64
init systemd
virtualisation kvm
forwarding 0
policy ACCEPT
"""
WITH_DOCKER = """\
docker there
enabled enabled
running /var/lib/docker
compose 2.26.1-4
"""


@dataclass
class Machine:
    """`there` is what SCAN would list; a fresh machine has no Docker."""

    facts: str = FRESH
    there: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    state: str = "inactive"
    log: list[str] = field(default_factory=list)
    answers: bool = True
    dpkg_locked: bool = False
    docker_hangs: bool = False
    dies_at: str = ""  # the connection is lost, once, at a command that begins so
    said: list[str] = field(default_factory=list)

    def with_docker(self, *images: str) -> Machine:
        self.facts = FRESH.replace("policy ACCEPT", "policy DROP") + WITH_DOCKER
        self.there |= {kind: list(ids) for kind, ids in ENGINE.items()} | {"image": list(images)}
        return self

    # What happens on it

    def bootstrap_ends(self, tag: str) -> None:
        """Docker is installed unless it is there, images are built, the bundle's unit enabled."""
        self.state, self.log = "active", ["bootstrap [9.1s] done"]
        if "docker there" not in self.facts:
            for kind, ids in ENGINE.items():
                self.put(kind, *ids)
            self.put("package", *DOCKER_PACKAGES)
        images = (f"provision-{name}:{tag}" for name in ("hub", "notebook", "custom"))
        self.put("image", "provision-debian:trixie", *images)
        self.put("build cache", "abc123")

    def workshop_runs(self) -> None:
        self.put("container", "provision-hub-1", "jupyter-user01")
        self.put("network", "provision-participants")
        self.put("volume", "provision-home-user01")
        self.put(
            "firewall rule",
            "iptables -A DOCKER-USER -i provision-users -m conntrack --ctdir ORIGINAL -j PROVISION",
            "ip6tables -A INPUT -i provision-users -j PROVISION",
        )
        self.put("chain of rules", "iptables -N PROVISION", "ip6tables -N PROVISION")
        self.put("file system", "/opt/provision/homes")
        self.put("mark", "/run/provision")
        self.put("in use", "0123abcd")

    def put(self, kind: str, *ids: str) -> None:
        listed = self.there.setdefault(kind, [])
        listed += [item for item in ids if item not in listed]

    def snapshot(self) -> dict[str, list[str]]:
        """What an owner would compare: everything but what is empty."""
        return {kind: sorted(ids) for kind, ids in self.there.items() if ids} | {
            "files": sorted(self.files)
        }

    # What is asked of it

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        if not self.answers:
            raise NotYet("SSH does not answer: connection refused")
        if self.dies_at and command.startswith(self.dies_at):
            self.dies_at = ""
            raise NotYet("the SSH connection was lost")
        self.said.append(command)
        for known, answer in self._answers().items():
            if command == known:
                return Result(0, answer(stdin) or "", "")
        if command.startswith("umask 022 && mkdir"):
            self.files.setdefault(claim.FILE, stdin)
            return Result(0, self.files[claim.FILE].decode(), "")
        for line in command.splitlines():
            for part in line.split("; ") if line.startswith(("ip", "docker")) else [line]:
                self._type(part)
        return Result(0, "", "")

    def _answers(self) -> dict[str, Callable[[bytes], str | None]]:
        return {
            facts.FACTS: lambda _: self.facts,
            facts.CAPACITY: lambda _: self.facts,
            traces.SCAN: lambda _: self._scan(),
            traces.QUIET: lambda _: None,
            claim.READ: lambda _: self.files.get(claim.FILE, b"").decode(),
            claim.rewrite(): lambda content: self.files.update({claim.FILE: content}),
            bootstrap.STATE: lambda _: "\n".join(
                [f"ActiveState={self.state}", "Result=exit-code", *self.log]
            ),
            bootstrap.BEGIN: lambda _: self._begin(),
            upload.EXTRACT: self._extract,
        }

    def _scan(self) -> str:
        there = self.there
        if self.docker_hangs:
            engine = {"container", "network", "volume", "image", "build cache"}
            there = {kind: ids for kind, ids in there.items() if kind not in engine}
            there |= {"engine that does not answer": ["docker.service"]}
        return "\n".join(line for kind, ids in there.items() for line in (f"== {kind}", *ids))

    def _begin(self) -> None:
        assert f"{UNITS}/{upload.BOOTSTRAP}" in self.files, "there is something to begin"
        self.state = "activating"

    def _extract(self, archive: bytes) -> None:
        assert claim.FILE in self.files, "the claim is written before anything else"
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar.getmembers():
                file = tar.extractfile(member)
                assert file is not None
                self.files[f"/{member.name}"] = file.read()
        self.put("unit", *(Path(name).name for name in self.files if name.startswith(UNITS)))
        self.put("log", upload.LOG)

    def _type(self, line: str) -> None:
        """One line of a removal; what is not known to this model is an error of the test."""
        for pattern, kind in REMOVALS.items():
            if found := re.fullmatch(pattern, line):
                if kind == "package" and self.dpkg_locked:
                    return
                for item in shlex.split(found[1]) if kind not in TABLES else [line]:
                    self._remove(kind, item)
                return
        assert line in {facts.ROOT_PATH, "systemctl start docker.service"}, line

    def _remove(self, kind: str, item: str) -> None:
        if kind == "files":
            self.files = {name: text for name, text in self.files.items() if name == claim.FILE}
        elif kind == "claim":
            assert list(self.files) == [claim.FILE], "the claim goes last"
            self.files.clear()
        elif kind == "tree":
            for found in ("folder", "log", "mark"):
                if item in self.there.get(found, []):
                    self.there[found].remove(item)
        elif kind == "flush":
            pass
        elif kind in TABLES:
            self.there[kind].remove(item.replace(" -w -D ", " -A ").replace(" -w -X ", " -N "))
        elif kind == "firewall chains":
            self.there[kind].remove(item)
            self.facts = FRESH
        else:
            self.there[kind].remove(item)
            if kind == "container" and not self.there[kind]:
                self.there["in use"] = []
            if kind == "unit":
                self.files.pop(f"{UNITS}/{item}")

    def receive(self, command: str, sink: BinaryIO, *, timeout: float = 60) -> Result:
        raise NotImplementedError

    def send_tree(self, source: Path, target: str, progress: Callable[[int, int], None]) -> None:
        raise NotImplementedError

    def fetch_tree(self, *_: object) -> None:
        raise NotImplementedError

    def host_key(self) -> str:
        return "ssh-ed25519 AAAA"

    def close(self) -> None: ...

    def claimed_by(self) -> str:
        return str(json.loads(self.files[claim.FILE])["name"]) if claim.FILE in self.files else ""


TABLES = frozenset({"firewall rule", "flush", "chain of rules"})
"""Their ids are lines of iptables."""

REMOVALS = {
    r"docker rm --force --volumes (.+)": "container",
    r"docker network rm (.+)": "network",
    r"docker volume rm (.+)": "volume",
    r"docker image rm (.+)": "image",
    r"docker builder prune --all --force --filter id=(\S+)": "build cache",
    r"ip6?tables -w -D (.+)": "firewall rule",
    r"ip6?tables -w -F (.+)": "flush",
    r"ip6?tables -w -X (.+)": "chain of rules",
    r"umount (.+)": "file system",
    r"systemctl disable --now (.+?); rm -f .+; systemctl daemon-reload; .+": "unit",
    r"systemctl stop .+; (iptables)-save .+ -P FORWARD ACCEPT; echo 0 > \S+": "firewall chains",
    r"env DEBIAN_FRONTEND=noninteractive dpkg --purge (.+)": "package",
    r"rm -r (.+)": "tree",
    r"ip link delete (.+)": "network interface",
    r"groupdel (.+)": "group",
    r"find (/opt/provision) -xdev -mindepth 1 ! -path \S+ -delete": "files",
    r"rm -f (\S+) && rmdir /opt/provision": "claim",
}


class Farm:
    """Machines by address, made when first asked for, and the provider for them."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self.connections = 0

    def machine(self, address: str) -> Machine:
        return self.machines.setdefault(address, Machine())

    def provider(self) -> HostProvider:
        return HostProvider(
            connect=self._connect,
            machines=lambda: [HostOptions(address) for address in self.machines],
            locate=lambda machine: "192.0.2.7",
        )

    def _connect(self, machine: HostOptions) -> Machine:
        self.connections += 1
        found = self.machine(machine.address)
        if not found.answers:
            raise NotYet(f"{machine.address} does not answer SSH at port {machine.port}: refused")
        return found
