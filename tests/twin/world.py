"""`with twin(folder) as world:` – network, services and cloud, and all of it gone at the end.

Everything runs in network, mount and process namespaces of their own, whose first process lives
as long as a pipe that the test holds. So nothing survives the test, however it ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from provisioner.cli.wiring import image_folder
from provisioner.providers.local import accel
from provisioner.providers.local.arch import host_arch
from provisioner.providers.local.image import Golden, Store
from provisioner.providers.local.running import run as run_here
from tests.twin import acme, names, network
from tests.twin.acme import Authority
from tests.twin.machine import Home, Host, Place

ROOT = Path(__file__).parents[2]
CLOUD_PORT = 5000
CLOUD = f"http://{network.CLOUD}:{CLOUD_PORT}"
START_SECONDS = 60.0

FIRST = """
mount --bind "$1" /etc/resolv.conf
echo 1 > /proc/sys/net/ipv4/ip_forward
echo ready
read -r _
"""
"""The first process. Its shell is bash, which also buries what the others leave behind."""

CALL = """
import boto3, json, sys
said = json.load(sys.stdin)
answer = getattr(boto3.client(said["service"]), said["operation"])(**said["params"])
print(json.dumps(answer, default=str))
"""

LOOK = """
import dns.message, dns.query, dns.rcode, sys
query = dns.message.make_query(sys.argv[2], "A")
answer = dns.query.udp(query, sys.argv[1], timeout=10)
print(dns.rcode.to_text(answer.rcode()), *(one.to_text() for set in answer.answer for one in set))
"""


class World:
    def __init__(self, place: Place, first: int) -> None:
        self.place, self.first = place, first
        self.authority = Authority(place.path / "acme")
        self.services: list[subprocess.Popen[bytes]] = []

    def command(self, argv: Sequence[str], folder: Path = ROOT) -> list[str]:
        """`argv` inside; ends when the process that it is started as does."""
        return [
            *("nsenter", "--target", str(self.first), "--net", "--mount", "--pid", "--"),
            *("env", "-C", str(folder), "setpriv", "--pdeathsig", "KILL", "--", *argv),
        ]

    def environment(self) -> dict[str, str]:
        """Of an operator whose AWS is this one, and who has no other."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AWS_") and not name.lower().endswith("_proxy")
        }
        nowhere = str(self.place.path / "no-such-file")
        return kept | {
            "TWIN": str(self.place.path),
            "PYTHONPATH": str(ROOT),
            "AWS_ENDPOINT_URL": CLOUD,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-west-2",
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def run(
        self,
        argv: Sequence[str],
        *,
        words: str = "",
        folder: Path = ROOT,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, with `words` on its stdin."""
        done = subprocess.run(
            self.command(argv, folder),
            input=words,
            env=self.environment() | dict(env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(
        self, name: str, argv: Sequence[str], *, ready: str, env: Mapping[str, str] | None = None
    ) -> None:
        """A service; returns once its log, `name`.log, has the word `ready` in it."""
        log = self.place.path / f"{name}.log"
        with log.open("ab") as file:
            service = subprocess.Popen(
                self.command(argv),
                env=self.environment() | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.services.append(service)
        deadline = time.monotonic() + START_SECONDS
        while ready not in log.read_text(errors="replace"):
            if service.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{name} did not start: {log.read_text(errors='replace')}")
            time.sleep(0.05)

    def instance(self, verb: str, said: Mapping[str, Any]) -> None:
        """Run or end a machine, as the cloud would have it done."""
        command = [sys.executable, "-m", "tests.twin.instance", verb]
        self.run(command, words=json.dumps(said))

    def aws(self, service: str, operation: str, **params: Any) -> Any:
        """One call of boto3's, such as ec2 describe_instances, and its answer."""
        said = {"service": service, "operation": operation, "params": params}
        return json.loads(self.run([sys.executable, "-c", CALL], words=json.dumps(said)).stdout)

    def look(self, server: str, name: str) -> list[str]:
        """What the name server at that address says: a code such as NXDOMAIN, then addresses."""
        return self.run([sys.executable, "-c", LOOK, server, name]).stdout.split()

    def home(self, instance_id: str) -> Home:
        return self.place.home(instance_id)

    def questions(self) -> list[dict[str, Any]]:
        """What the name servers were asked; see names.questions."""
        return list(names.questions(self.place.path / "questions.jsonl"))

    def cloud(self, word: str, **said: Any) -> Any:
        """Tell the fake cloud, or ask it: tests/cloud/control.py has the words."""
        url = f"{CLOUD}/_fake/{word}"
        done = self.run(["curl", "-sS", "--fail-with-body", "-d", json.dumps(said), url])
        return json.loads(done.stdout)


@contextmanager
def twin(
    folder: Path, golden: Golden, *, cloud: bool = True, memory: int = 4096, cores: int = 2
) -> Iterator[World]:
    """`folder` holds all logs afterwards. `golden` is what every instance boots; MiB of `memory`.

    Without `cloud`, instances are run by `World.instance` only. Needs root.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(folder)
    chosen = accel.choose("auto", host_arch(), run_here, kernel=golden.kernel).settled()
    place.write_host(
        Host(
            accel=chosen.options,
            cpu=chosen.cpu,
            kernel=str(golden.kernel),
            initrd=str(golden.initrd),
            disk=str(golden.disk),
            memory=memory,
            cores=cores,
            cloud=CLOUD if cloud else "",
        )
    )
    (folder / "dhcp").mkdir(exist_ok=True)
    resolv = folder / "resolv.conf"
    resolv.write_text(f"nameserver {network.RESOLVER}\n")
    services = []
    try:
        with _namespaces(resolv) as first:
            world = World(place, first)
            services = world.services
            world.run(["ip", "-batch", "-"], words=network.LINKS)
            world.run(["nft", "-f", "-"], words=network.TRANSLATION)
            _services(world, cloud=cloud)
            yield world
    finally:
        for service in services:
            service.wait(30)
        for disk in folder.glob("instances/*/disk.qcow2"):
            disk.unlink()


def golden(containers: str = "") -> Golden:
    """The newest image of ours here, or the newest that holds the container images of that key."""
    store = Store(image_folder())
    for image in store.images({}):
        found = store.golden(image.key)
        held = found.manifest().inputs.get("containers")  # others hold none
        if held and containers in ("", held):
            return found
    raise LookupError("there is no such golden image here: provision bake")


@contextmanager
def _namespaces(resolv: Path) -> Iterator[int]:
    """The pid, as seen from here, of the first process inside."""
    outer = subprocess.Popen(
        [
            *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("bash", "-euc", FIRST, "twin", str(resolv)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert outer.stdin is not None
    assert outer.stdout is not None
    try:
        assert outer.stdout.readline() == "ready\n", "namespaces need root"
        (first,) = psutil.Process(outer.pid).children()
        yield first.pid
    finally:
        outer.stdin.close()
        outer.wait(30)
        outer.stdout.close()


def _services(world: World, *, cloud: bool) -> None:
    python = [sys.executable, "-m"]
    hook = f"{sys.executable} -m tests.twin.instance"
    if cloud:
        world.start(
            "cloud",
            [
                *(*python, "tests.cloud.server"),
                *("--host", network.CLOUD, "--port", str(CLOUD_PORT)),
                *("--public-address", network.PUBLIC_ADDRESS),
                *("--on-run", f"{hook} run", "--on-end", f"{hook} end"),
            ],
            ready=f"{CLOUD_PORT}\n",
        )
    world.start("dhcp", network.dhcp(str(world.place.path)), ready="started")
    world.start("imds", [*python, "tests.twin.imds"], ready="ready")
    world.start("names", [*python, "tests.twin.names"], ready="ready")
    pebble = world.authority.command()
    world.start("pebble", pebble, ready="Root CA certificate", env=acme.ENVIRONMENT)
    trust = ["--cacert", str(world.authority.directory_root)]
    done = world.run(["curl", "-sS", "--retry", "5", "--retry-connrefused", *trust, acme.ISSUER])
    world.authority.write_issuer(done.stdout)
