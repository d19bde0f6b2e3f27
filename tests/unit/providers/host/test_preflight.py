"""What a machine says about itself, and what is refused because of it."""

from __future__ import annotations

import pytest

from provisioner.models import GIB, Severity
from provisioner.providers.host.facts import parse_facts
from provisioner.providers.host.preflight import findings
from tests.unit.providers.host.machine import FRESH, WITH_DOCKER

NGINX = 'listens tcp LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=7,fd=6))\n'
QUIC = 'listens udp UNCONN 0 0 *:443 *:* users:(("caddy",pid=9,fd=8))\n'
UDP_80 = 'listens udp UNCONN 0 0 *:80 *:* users:(("odd",pid=9,fd=8))\n'
CONTAINER = "publishes web 0.0.0.0:443->443/tcp, [::]:443->443/tcp\n"


def refused(text: str, scan: dict[str, list[str]] | None = None) -> list[str]:
    """Messages and hints of what is refused."""
    return [
        f"{item.message} | {item.hint}"
        for item in findings(parse_facts(text), scan or {}, None, "id-1")
        if item.severity is Severity.ERROR
    ]


@pytest.mark.parametrize(
    "text",
    [
        FRESH,
        FRESH.replace("debian 13", "ubuntu 24.04"),
        FRESH.replace("debian 13", "debian"),  # testing has no number
        FRESH + WITH_DOCKER,
        FRESH.replace("debian 13", "debian 12") + WITH_DOCKER.replace("2.26.1-4", "v2.40.0"),
        FRESH + UDP_80,
    ],
)
def test_machines_that_will_do(text: str) -> None:
    assert refused(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FRESH.replace("debian 13", "fedora 42"), "It runs fedora 42"),
        (FRESH.replace("debian 13", "debian 12"), "debian 12 has no Compose version 2"),
        (FRESH.replace("debian 13", "ubuntu 20.04"), "ubuntu 20.04 has no Compose"),
        (FRESH.replace("x86_64", "riscv64"), "It is riscv64"),
        (FRESH.replace("init systemd", "init sh"), "not systemd"),
        (FRESH + "docker there\nenabled disabled\n", "sudo systemctl start docker"),
        (FRESH + WITH_DOCKER.replace("2.26.1-4", ""), "Docker is there with no Compose"),
        (FRESH + WITH_DOCKER.replace("2.26.1-4", "1.29.2"), "Compose 1.29.2; version 2 is needed"),
        (FRESH + WITH_DOCKER.replace("/var/lib/docker", "/srv/docker"), "data in /srv/docker"),
        (FRESH + NGINX, "Port 80 is taken by nginx (process 7)"),
        (FRESH + QUIC, "Port 443 is taken by caddy (process 9)"),
        (FRESH + WITH_DOCKER + CONTAINER, "Port 443 is taken by the container web"),
        (FRESH + "quotas missing\n", "linux-modules-extra"),
        (FRESH + "folder taken\n", "/opt/provision that no workshop accounts for"),
    ],
)
def test_what_is_refused_says_why(text: str, words: str) -> None:
    (said,) = refused(text)
    assert words in said


def test_every_reason_is_given_at_once() -> None:
    text = FRESH.replace("debian 13", "debian 11") + NGINX + QUIC
    assert len(refused(text, {"volume": ["provision-home-user01"]})) == 4


def test_apt_that_is_busy_is_only_waited_for() -> None:
    found = findings(parse_facts(FRESH + "apt 812 unattended-upgr\n"), {}, None, "id-1")
    (warning,) = [item for item in found if item.severity is Severity.WARNING]
    assert "unattended-upgr 812" in warning.message


def test_the_machine_is_described() -> None:
    (about,) = [
        item for item in findings(parse_facts(FRESH), {}, None, "id-1") if item.subject == "machine"
    ]
    assert "debian 13, x86_64, 4 cores, 8.0 GiB of memory and 100.0 GiB of disk" in about.message
    assert parse_facts(FRESH).size.disk == 100 * GIB
