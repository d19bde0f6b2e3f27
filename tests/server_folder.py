"""A server played by a folder: its shell is this machine's, its Docker volumes are in the folder.

Commands run as they would there, with /var/lib/docker/volumes standing for `volumes`. The one
Docker command that they need, making a volume, is a script that notes how it was asked.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from provisioner.models import Download, Result
from provisioner.protocols import Links
from provisioner.remote.fetching import fetch_tree
from provisioner.remote.sending import send_tree
from provisioner.render.commands import CADDY_VOLUME

DOCKER = """#!/bin/sh
echo "$@" >> {asked}
for volume; do :; done
mkdir -p {volumes}/"$volume"/_data
echo "$volume"
"""


class ServerFolder:
    """See protocols.Remote."""

    def __init__(self, folder: Path) -> None:
        self.volumes, self._bin = folder / "volumes", folder / "bin"
        self._asked = folder / "asked-of-docker"
        self._bin.mkdir(parents=True)
        self.volumes.mkdir()
        script = self._bin / "docker"
        script.write_text(DOCKER.format(asked=self._asked, volumes=self.volumes))
        script.chmod(0o755)

    @property
    def caddy(self) -> Path:
        """What Caddy has as /data."""
        return self.volumes / CADDY_VOLUME / "_data"

    def asked_of_docker(self) -> list[str]:
        return self._asked.read_text().splitlines() if self._asked.exists() else []

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        done = self._shell(command, timeout, stdin)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def receive(
        self, command: str, sink: BinaryIO, *, timeout: float = 60, stdin: bytes = b""
    ) -> Result:
        done = self._shell(command, timeout, stdin)
        sink.write(done.stdout)
        return Result(done.returncode, "", done.stderr.decode())

    def put(
        self, source: BinaryIO, target: str, *, at: int, size: int, progress: Callable[[int], None]
    ) -> None:
        with open(target, "r+b" if at else "wb") as file:
            file.seek(at)
            source.seek(at)
            file.write(source.read(size - at))
        progress(size)

    def send_tree(self, source: Path, target: str, progress: Callable[[int, int], None]) -> None:
        send_tree(self, source, target, progress)

    def fetch_tree(
        self,
        wanted: Sequence[Download],
        target: str,
        links: Links,
        progress: Callable[[int, int], None],
    ) -> None:
        fetch_tree(self, wanted, target, links, progress)

    def host_key(self) -> str:
        raise NotImplementedError

    def close(self) -> None: ...

    def _shell(
        self, command: str, timeout: float, stdin: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        here = command.replace("/var/lib/docker/volumes", str(self.volumes))
        env = os.environ | {"PATH": f"{self._bin}:{os.environ['PATH']}"}
        return subprocess.run(
            ["sh", "-c", here], input=stdin, capture_output=True, timeout=timeout, env=env
        )
