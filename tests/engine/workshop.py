"""A launched workshop on an engine, with what tests ask of it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from provisioner.cli import wiring
from provisioner.errors import NotYet
from provisioner.models import Credential, Result
from provisioner.protocols import Reporter
from provisioner.remote.hub import Participant, Site
from provisioner.render import userdata
from provisioner.settings import Settings
from provisioner.store import Folder, Record, Store, read_credentials
from provisioner.workflow.launch import launch
from provisioner.workflow.tools import Tools
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.engine import network
from tests.engine.machine import Engine
from tests.engine.provider import NAME, EngineProvider


def why_not() -> str:
    """Why there can be no engine here; "" if there can."""
    if not sys.platform.startswith("linux"):
        return "an engine needs Linux"
    return "" if os.geteuid() == 0 else "an engine needs root"


def settings(**changes: Any) -> Settings:
    """Of a small workshop: user01 … user04 and an instructor, half a GiB and a core each."""
    values: dict[str, Any] = {
        "name": "engine",
        "users": 4,
        "provider": NAME,
        "participant": {"memory": "512M", "cpu": 1.0},
        "login": {"admins": ["instructor"]},
    }
    return Settings(**values | changes)


def tools_of(engine: Engine, reporter: Reporter) -> Tools:
    """The program's own edges over this engine; its home is in the engine's folder."""
    provider = EngineProvider(engine, reporter)
    web = wiring._HttpWeb()
    return Tools(Store(engine.folder / "home"), provider, wiring._ssh, web, reporter)


def launched(engine: Engine, asked: Settings, reporter: Reporter) -> tuple[Tools, Record]:
    """Every rung of the real ladder, up to a participant's first cell. Raises ProvisionError."""
    tools = tools_of(engine, reporter)
    with any_size():
        return tools, launch(tools, asked, base_image="").record


def any_size() -> AbstractContextManager[object]:
    """No user-data is sent anywhere here; whether it fits is what other tests ask."""
    return patch.object(userdata, "LIMIT", 2**20)


@dataclass
class Workshop:
    engine: Engine
    tools: Tools
    record: Record

    @property
    def folder(self) -> Folder:
        return self.tools.store.folder(self.record.name)

    @property
    def credentials(self) -> dict[str, Credential]:
        """By user name."""
        found = read_credentials(self.folder.credentials, self.record.people)
        return {item.person.username: item for item in found}

    @property
    def url(self) -> str:
        return self.record.url

    @property
    def ca(self) -> Path:
        return self.folder.ca

    def run(self, command: str, *, stdin: bytes = b"", timeout: float = 60) -> Result:
        """As root on the machine."""
        return self.engine.run(command, stdin=stdin, timeout=timeout)

    def in_container(
        self, username: str, command: str, *, stdin: bytes = b"", timeout: float = 60
    ) -> Result:
        """A shell command as the participant, in their container: see `serving`."""
        words = ["docker", "exec", "--interactive", f"jupyter-{username}", "sh", "-c", command]
        return self.run(shlex.join(words), stdin=stdin, timeout=timeout)

    def visitor(self, username: str) -> Participant:
        """A browser session that has logged in. Close it."""
        password = self.credentials[username].password
        visitor = Participant(Site(self.url, self.ca), username, str(password))
        wait_for(visitor.login, budget=60, clock=SystemClock())
        return visitor

    @contextmanager
    def serving(self, username: str) -> Iterator[Participant]:
        """A logged-in session whose server has started; the server stays afterwards."""
        with self.visitor(username) as visitor:

            def ready() -> None:
                if not visitor.server_ready():
                    raise NotYet("the hub is starting the server")

            wait_for(ready, budget=120, clock=SystemClock())
            yield visitor

    def reaches(self, service: str, username: str = "", *, timeout: float = 5) -> bool:
        """Whether a service of network.SERVICES answers: to the machine, or to a participant."""
        address, port = network.SERVICES[service]
        attack = CONNECT.format(address=address, port=port, service=service, timeout=timeout)
        command = f"python3 -c {shlex.quote(attack)}"
        done = self.in_container(username, command) if username else self.run(command)
        return done.ok


CONNECT = """
import socket
peer = socket.create_connection(("{address}", {port}), timeout={timeout})
peer.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
said = b""
while b"{service}"[:6] not in said:
    more = peer.recv(4096)
    assert more, said
    said += more
"""
