"""A cloud in a folder: keeps state, forgets nothing, costs nothing. For tests and rehearsals.

It satisfies the same contract as the real providers. Its machine is a JSON file; its server
answers the commands of render/commands.py as a healthy one would, and its hub lets people in
whose hash was really handed over.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from provisioner.errors import NotReady, NotYet
from provisioner.models import (
    GIB,
    Credential,
    Download,
    Findings,
    Found,
    Resource,
    Result,
    Server,
    ServerState,
    Size,
    Spec,
)
from provisioner.protocols import Links
from provisioner.render import bootstrap, commands, fake_homes, health, hub, materials, people
from provisioner.render.known_hosts import pinned_keys

SERVICES = ("caddy", "hub", "proxy")


class FakeProvider:
    name = "fake"

    def __init__(self, cloud: Path) -> None:
        self._cloud = cloud

    def check(self, spec: Spec) -> Findings:
        return ()

    def available(self) -> Size:
        return Size(memory=64 * GIB, cores=16, disk=500 * GIB)

    def create(self, spec: Spec) -> Server:
        found = self.find(spec.id)
        if found is None:
            self._cloud.mkdir(parents=True, exist_ok=True)
            self.write(spec.id, {"name": spec.name, "state": "running", "files": {}})
        elif found.state is ServerState.STOPPED:
            self.write(spec.id, self.read(spec.id) | {"state": "running"})
        return self._server(spec.id, ServerState.RUNNING)

    def find(self, workshop_id: str) -> Server | None:
        if not self._path(workshop_id).exists():
            return None
        return self._server(workshop_id, ServerState(self.read(workshop_id)["state"]))

    def delete(self, workshop_id: str) -> None:
        self._path(workshop_id).unlink(missing_ok=True)

    def leftovers(self, workshop_id: str) -> list[Resource]:
        path = self._path(workshop_id)
        return [Resource("machine", workshop_id, f"rm {path}")] if path.exists() else []

    def discover(self) -> list[Found]:
        return [
            Found(
                path.stem, self.read(path.stem)["name"], ServerState(self.read(path.stem)["state"])
            )
            for path in sorted(self._cloud.glob("*.json"))
        ]

    def console(self, workshop_id: str) -> str:
        return "fake console: the machine boots\n"

    def rescue(self, workshop_id: str) -> Server:
        self.write(workshop_id, self.read(workshop_id) | {"state": "running"})
        return self._server(workshop_id, ServerState.RUNNING)

    def read(self, workshop_id: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self._path(workshop_id).read_text(encoding="utf-8"))
        return values

    def write(self, workshop_id: str, values: dict[str, Any]) -> None:
        path = self._path(workshop_id)
        staging = path.with_suffix(".new")
        staging.write_text(json.dumps(values), encoding="utf-8")
        staging.replace(path)

    def _path(self, workshop_id: str) -> Path:
        return self._cloud / f"{workshop_id}.json"

    def _server(self, workshop_id: str, state: ServerState) -> Server:
        return Server(workshop_id, state, "127.0.0.1", "192.0.2.1", 22, _port(workshop_id))


class FakeRemote:
    """A shell on a fake machine. `NEW_KEY` stands for the key that the machine makes itself."""

    NEW_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0bVJKzOq3NHV3Hn4yR4qd5rG0y9m0mGm5pYzU1vJ5Z"

    def __init__(self, provider: FakeProvider, workshop_id: str, pins: list[str]) -> None:
        self._provider, self._id = provider, workshop_id
        state = self._state()
        actual = self.NEW_KEY if state.get("rotated") else pins[-1]
        if state["state"] != "running":
            raise NotYet("SSH does not answer: connection refused")
        if actual not in pins:
            raise NotReady("Another machine answers SSH: its host key is not the pinned one")
        self._key = actual

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        if command == commands.PREPARE_HOST_KEY:
            return Result(0, self.NEW_KEY + "\n", "")
        if command == commands.COMMIT_HOST_KEY:
            self._save(rotated=True)
        if command == commands.CLOUD_INIT_STATUS:
            return Result(0, json.dumps({"status": "done", "errors": []}), "")
        if command == bootstrap.STATE:
            return Result(0, "Bootstrapped=yes\n", "")
        if command == commands.service_states():
            lines = [
                json.dumps({"Service": name, "State": "running", "Health": "healthy"})
                for name in SERVICES
            ]
            return Result(0, "\n".join(lines), "")
        if command == health.LOOK:
            return Result(0, HEALTHY.format(now=int(time.time())), "")
        if command == commands.read_ca():
            return Result(0, "-----BEGIN CERTIFICATE-----\nfake\n", "")
        if command == commands.write_file(commands.USERS_FILE, len(stdin)):
            self._save(users=json.loads(stdin)["users"])
        if (answer := self._of_people(command)) is not None:
            return answer
        if command == hub.ASK:
            asked = [json.loads(line) for line in stdin.splitlines()]
            self._save(asked=[*self._state().get("asked", []), *asked])
            nobody, done = {"status": 200, "body": []}, {"status": 204, "body": None}
            answers = [nobody if item["method"] == "GET" else done for item in asked]
            return Result(0, "\n".join(json.dumps(answer) for answer in answers), "")
        for number in range(9):
            if command == commands.write_file(commands.data_stamp(number), len(stdin)):
                self._save(stamps=self._state().get("stamps", {}) | {str(number): stdin.decode()})
            if command == commands.read_file(commands.data_stamp(number)):
                return Result(0, self._state().get("stamps", {}).get(str(number), ""), "")
        if command == commands.list_homes():
            return Result(0, "\n".join(self._state().get("homes", {})), "")
        return Result(0, "", "")

    def _of_people(self, command: str) -> Result | None:
        """Users and homes of a machine of 8 GiB."""
        users, homes = self._state().get("users", {}), self._state().get("homes", {})
        if command == commands.read_file(commands.USERS_FILE):
            return Result(0, json.dumps({"version": 1, "users": users}) if users else "", "")
        if command == people.MEASURE:
            return Result(0, f"{8 * GIB}\n{100 * GIB}\n", "")
        if command == commands.MAKE_HOMES:
            self._save(homes={name: {} for name in users} | homes)
            return Result(0, "", "")
        for name in homes:
            if command == people.remove_home(name):
                self._save(homes={other: homes[other] for other in homes if other != name})
                return Result(0, "", "")
        restored = fake_homes.restore(command, homes, self._state().get("received", {}))
        if restored is not None:
            self._save(homes=restored[1])
            return restored[0]
        return fake_homes.survey(command, homes)

    def receive(
        self, command: str, sink: BinaryIO, *, timeout: float = 60, stdin: bytes = b""
    ) -> Result:
        if command == commands.archive_certificates():
            return Result(0, "", "")
        if command == materials.DELIVER:
            sink.write(b"total 0\n")
            return Result(0, "", "")
        if command == hub.PREWARM:
            names = sorted(self._state().get("users", {}))
            said = [{"total": len(names)}, *({"name": n, "ok": True, "seconds": 1} for n in names)]
            sink.write("".join(f"{json.dumps(line)}\n" for line in said).encode())
            return Result(0, "", "")
        answer = fake_homes.archive(command, self._state().get("homes", {}), sink)
        if answer is not None:
            return answer
        return Result(2, "", "no such home")

    def send_tree(self, source: Path, target: str, progress: Callable[[int, int], None]) -> None:
        files = self._state()["files"]
        files[target] = sorted(item.name for item in source.iterdir())
        if (home := fake_homes.received(source, target)) is not None:
            self._save(received=self._state().get("received", {}) | dict([home]))
        self._save(files=files)

    def fetch_tree(
        self,
        wanted: Sequence[Download],
        target: str,
        links: Links,
        progress: Callable[[int, int], None],
    ) -> None:
        files = self._state()["files"]
        files[target] = sorted(item.path for item in wanted)
        self._save(files=files)

    def host_key(self) -> str:
        return self._key

    def close(self) -> None: ...

    def _state(self) -> dict[str, Any]:
        return self._provider.read(self._id)

    def _save(self, **changes: Any) -> None:
        self._provider.write(self._id, self._state() | changes)


class FakeVisitor:
    def __init__(self, users: dict[str, Any], credential: Credential) -> None:
        self._users, self._credential = users, credential

    def login(self) -> None:
        known = self._users.get(self._credential.person.username)
        if known is None or not _matches(self._credential.password, known["hash"]):
            raise NotReady("The hub refused the password")

    def server_ready(self) -> bool:
        return True

    def run(self, code: str, timeout: float) -> str:
        return "20\n"

    def close(self) -> None: ...


class FakeCloud:
    """Provider, connection and web of one fake cloud, fitting together as a real one's do."""

    def __init__(self, cloud: Path) -> None:
        self.provider = FakeProvider(cloud)

    def connect(self, server: Server, folder: Any) -> FakeRemote:
        pins = pinned_keys(folder.known_hosts.read_text(encoding="utf-8"))
        return FakeRemote(self.provider, server.id, pins)

    def healthy(self, url: str, ca: Path | None) -> None: ...

    def certificate_until(self, url: str, ca: Path | None) -> datetime:
        return datetime.now(UTC) + timedelta(days=89)

    def visitor(self, url: str, ca: Path | None, credential: Credential) -> FakeVisitor:
        (found,) = [item for item in self.provider.discover() if url.endswith(f":{_port(item.id)}")]
        return FakeVisitor(self.provider.read(found.id)["users"], credential)


def _container(name: str) -> str:
    return json.dumps({"name": f"/provision-{name}-1", "service": name, "state": "running"})


HEALTHY = "\n".join(
    [
        "@@ containers",
        *(_container(name).replace("{", "{{").replace("}", "}}") for name in SERVICES),
        "@@ before\n@@ people",
        '{{"error": "", "logins": {{}}, "users": []}}',
        "@@ machine\ntime {now}\nload 0.1 0.1 0.1\ncores 16",
        "MemTotal 67108864 kB\nMemAvailable 60000000 kB",
        "@@ after\n@@ end\n",
    ]
)
"""Nobody has logged in."""


def _port(workshop_id: str) -> int:
    """Each machine has one of its own, so that an address leads to one machine."""
    return 10_000 + zlib.crc32(workshop_id.encode()) % 50_000


def _matches(password: str, stored: str) -> bool:
    _, n, r, p, salt, key = stored.split("$")
    made = hashlib.scrypt(
        password.encode(), salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p), dklen=32
    )
    return base64.b64encode(made).decode() == key
