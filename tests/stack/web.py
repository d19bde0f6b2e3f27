"""A real Caddy with the bundle's Caddyfile and pages, on loopback, with a room behind it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from provisioner.models import TlsOptions
from provisioner.render.site import site_files
from tests.stack.acme import Caddy, Ports, caddy, eventually, free_ports
from tests.stack.room import Room, room

HASHED = "1014.073326ef5d98db5e.js"
SCRIPT = "let a = 1;\n" * 300


class World:
    """Caddy on loopback, a room behind it, and a client that trusts the workshop's authority."""

    def __init__(self, running: Caddy, behind: Room, ca: Path) -> None:
        self.caddy, self.room, self.ca = running, behind, ca
        self.url = f"https://localhost:{running.ports.https}"
        self.tls = ssl.create_default_context(cafile=str(ca))

    def get(self, path: str, *, method: str = "GET", **fields: str) -> httpx.Response:
        headers = {key.replace("_", "-"): value for key, value in fields.items()}
        with httpx.Client(verify=self.tls, trust_env=False, timeout=20) as client:
            return client.request(method, self.url + path, headers=headers)

    def echo(self, **more: Any) -> Any:
        url = self.url.replace("https:", "wss:") + "/hub/check/echo"
        return connect(url, ssl=self.tls, proxy=None, compression=None, **more)

    def refusal(self, **more: Any) -> int:
        """The code with which an echo is refused."""
        with pytest.raises(InvalidStatus) as refused, self.echo(**more):
            pass
        return refused.value.response.status_code


@contextmanager
def world(folder: Path, **more: str) -> Iterator[World]:
    assets = folder / "assets"
    for place in ("static/lab", "lab/extensions/@jupyter-server/resource-usage/static"):
        (assets / place).mkdir(parents=True)
        (assets / place / HASHED).write_text(SCRIPT)
        (assets / place / f"{HASHED}.br").write_bytes(b"in brotli's place")
        (assets / place / "style.js").write_text("must not be served from here")
    with room() as behind:
        address = f"127.0.0.1:{behind.port}"
        values = {"PROVISION_PROXY": address, "PROVISION_HUB": address}
        values |= {"PROVISION_ASSETS": str(assets)} | more
        files = site_files("localhost", TlsOptions(mode="internal"), read=lambda _: b"")
        ports = Ports(*free_ports(3))
        with caddy(folder / "c", "localhost", ports, files, folder / "data", values) as running:
            ca = folder / "data/caddy/pki/authorities/local/root.crt"
            eventually(ca.exists, "the authority", running.log)
            eventually(
                lambda: running.serves(ca.read_bytes()) is not None, "a certificate", running.log
            )
            yield World(running, behind, ca)
