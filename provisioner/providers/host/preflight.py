"""What could go wrong on somebody's machine, told from what it said. Nothing here asks anything."""

from __future__ import annotations

from provisioner.models import Finding, Findings, Severity
from provisioner.providers.host.claim import Claim
from provisioner.providers.host.facts import Facts
from provisioner.render.bundle import ROOT
from provisioner.sizing import format_size

SYSTEMS = {"debian": (13, 0), "ubuntu": (22, 4)}
"""System → its first release that has Compose version 2 among its own packages."""

ARCHITECTURES = frozenset({"x86_64", "aarch64"})
DOCKER_ROOT = "/var/lib/docker"


def findings(facts: Facts, scan: dict[str, list[str]], claim: Claim | None, id: str) -> Findings:
    """All of them. Memory and disk are judged by whoever knows the people: see `available`.

    On a machine that carries the workshop already, ports and Docker are the workshop's own.
    """
    if claim is not None and claim.id == id:
        return (_about(facts),)
    return (
        *_system(facts),
        *_docker(facts),
        *_ports(facts),
        *_others(facts, scan, claim),
        *_apt(facts),
        _about(facts),
    )


def _system(facts: Facts) -> list[Finding]:
    found = []
    name = f"{facts.system or 'an unknown system'} {facts.release}".strip()
    first = SYSTEMS.get(facts.system)
    if first is None:
        found.append(_error("system", f"It runs {name}; Debian and Ubuntu are supported"))
    elif not facts.docker and facts.release and _version(facts.release) < first:
        found.append(
            _error(
                "system",
                f"{name} has no Compose version 2",
                "upgrade it, or install Docker from docs.docker.com/engine/install",
            )
        )
    if facts.init != "systemd":
        found.append(_error("system", f"Its first process is {facts.init}, not systemd"))
    if facts.architecture not in ARCHITECTURES:
        supported = " and ".join(sorted(ARCHITECTURES))
        message = f"It is {facts.architecture}; {supported} are supported"
        found.append(_error("architecture", message))
    if not facts.quotas:
        message = "Its kernel has no XFS with quotas, which keep people's files within their limits"
        hint = "on Ubuntu: sudo apt-get install linux-modules-extra-$(uname -r)"
        found.append(_error("kernel", message, hint))
    return found


def _docker(facts: Facts) -> list[Finding]:
    """A Docker that is there is used as it is: never upgraded, configured or restarted."""
    if not facts.docker:
        message = "Docker will be installed, and removed again at teardown"
        return [Finding(Severity.INFO, "docker", message)]
    if not facts.docker_root:
        message = "Docker is installed but does not run, so what it holds cannot be kept apart"
        return [_error("docker", message, "on the machine: sudo systemctl start docker")]
    found = []
    if facts.docker_root != DOCKER_ROOT:
        message = f"Docker keeps its data in {facts.docker_root}; only {DOCKER_ROOT} is supported"
        found.append(_error("docker", message))
    if _version(facts.compose) < (2, 0):
        has = f"Compose {facts.compose}" if facts.compose else "no Compose"
        found.append(
            _error(
                "docker",
                f"Docker is there with {has}; version 2 is needed",
                "on the machine: sudo apt-get install docker-compose-plugin (Docker's packages),"
                " docker-compose-v2 (Ubuntu's) or docker-compose (Debian's, from 13)",
            )
        )
    return found


def _ports(facts: Facts) -> list[Finding]:
    return [
        _error("ports", f"Port {port} is taken by {who}", "stop it there while the workshop runs")
        for port, who in facts.taken
    ]


def _others(facts: Facts, scan: dict[str, list[str]], claim: Claim | None) -> list[Finding]:
    if claim is not None:
        message = f"Another workshop is on it: {claim.name!r}, until {claim.expires_at:%d %b %H:%M}"
        return [_error("workshop", f"{message} UTC", f"provision teardown {claim.name}")]
    found = []
    if facts.folder_taken:
        message = f"There is a folder {ROOT} that no workshop accounts for"
        found.append(_error("workshop", message, f"look into it, then move {ROOT} away"))
    for kind in ("container", "network", "volume", "unit"):
        if names := scan.get(kind, []):
            some = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            found.append(
                _error(
                    "workshop",
                    f"There is a {kind} with a name that the workshop needs: {some}",
                    "remove it on the machine, or choose another machine",
                )
            )
    return found


def _apt(facts: Facts) -> list[Finding]:
    if not facts.apt_in_use:
        return []
    message = f"apt is in use there by {facts.apt_in_use}; the bootstrap waits for 5 minutes"
    return [Finding(Severity.WARNING, "apt", message)]


def _about(facts: Facts) -> Finding:
    size = facts.size
    return Finding(
        Severity.INFO,
        "machine",
        f"{facts.system} {facts.release}, {facts.architecture}, {size.cores} cores,"
        f" {format_size(size.memory)} of memory and {format_size(size.disk)} of disk free",
    )


def _version(text: str) -> tuple[int, int]:
    numbers = [int(part) if part.isdigit() else 0 for part in text.lstrip("v").split(".")[:2]]
    major, minor = [*numbers, 0, 0][:2]
    return major, minor


def _error(subject: str, message: str, hint: str = "") -> Finding:
    return Finding(Severity.ERROR, subject, message, hint)
