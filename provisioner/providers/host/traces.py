"""Everything a workshop leaves on a machine, as data: how each kind is listed, how one is removed.

What was there before the workshop is never its own. The order is that of removal: what others
stand on comes last.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from provisioner.providers.host.claim import Claim
from provisioner.providers.host.facts import ROOT_PATH
from provisioner.providers.host.upload import LOG, PACKAGES, PRESENT, TRACK, UNITS
from provisioner.render.bundle import DEBIAN_BASE
from provisioner.render.commands import HOMES, IMAGES

PULLED = "debian:trixie-slim"
"""What bootstrap.sh fetches for DEBIAN_BASE where a registry answers."""

_DOCKER_FOLDERS = (
    "/var/lib/docker",
    "/var/lib/containerd",
    "/etc/docker",
    "/etc/containerd",
    "/opt/containerd",
)
_TABLES = 'for table in iptables ip6tables; do $table -w -S | {} | sed "s/^/$table /"; done'
_ENGINE = "docker.socket docker.service containerd.service"


def _always(trace: str, claim: Claim) -> bool:
    return True


Remove = Callable[[Sequence[str], Claim], str]


@dataclass(frozen=True, slots=True)
class Kind:
    """`lists` prints an id a line, asking `$docker`; `ours` tells ids of others apart.

    `engine`: it comes with Docker, and stays when others have come to use that.
    """

    name: str
    lists: str
    remove: Remove
    engine: bool = False
    ours: Callable[[str, Claim], bool] = _always


def _named(command: str) -> Remove:
    """The command takes all of them at once."""
    return lambda ids, claim: f"{command} {shlex.join(ids)}"


def _each(command: str) -> Remove:
    """The command takes one at a time, right behind its last letter."""
    return lambda ids, claim: "; ".join(f"{command}{shlex.quote(item)}" for item in ids)


_BUILT = re.compile(rf"provision-({'|'.join((*IMAGES, 'custom'))}):.*")


def _our_image(image: str, claim: Claim) -> bool:
    """Under whatever tag: a workshop whose software was changed has built more than one of each."""
    return image in {DEBIAN_BASE, PULLED} or bool(_BUILT.fullmatch(image))


def _rules(ids: Sequence[str], claim: Claim) -> str:
    """A rule's id is the table's command and its own word for it: iptables -A CHAIN …"""
    return "; ".join(rule.replace(" -A ", " -w -D ", 1) for rule in ids)


def _chains(ids: Sequence[str], claim: Claim) -> str:
    """A chain's id: iptables -N CHAIN. A chain goes when it is empty and nobody jumps to it."""
    return "; ".join(
        f"{chain.replace(' -N ', ' -w -F ', 1)}; {chain.replace(' -N ', ' -w -X ', 1)}"
        for chain in ids
    )


def _units(ids: Sequence[str], claim: Claim) -> str:
    files = shlex.join(f"{UNITS}/{unit}" for unit in ids)
    units = shlex.join(ids)
    return (
        f"systemctl disable --now {units}; rm -f {files}; systemctl daemon-reload;"
        f" systemctl reset-failed {units} || true"
    )


def _firewall(ids: Sequence[str], claim: Claim) -> str:
    """Docker leaves its chains behind when it goes, and the policy that it set."""
    lines = [f"systemctl stop {_ENGINE}"]
    for tables in ids:
        lines.append(
            f"{tables}-save --counters | grep --invert-match --ignore-case docker"
            f" | {tables}-restore --counters"
        )
    if "iptables" in ids:
        lines.append(f"iptables -w -P FORWARD {claim.forward_policy}")
        if not claim.forwarding:
            lines.append("echo 0 > /proc/sys/net/ipv4/ip_forward")
    return "; ".join(lines)


KINDS = (
    Kind(
        "engine that does not answer",  # until it does, nobody knows what it still holds
        "! command -v docker > /dev/null || $docker version > /dev/null || echo docker.service",
        _named("systemctl start"),
    ),
    Kind(
        "container",
        "{ $docker ps --all --filter network=provision-participants --format '{{.Names}}';"
        " $docker ps --all --filter label=com.docker.compose.project=provision"
        " --format '{{.Names}}'; } | sort -u",
        _named("docker rm --force --volumes"),
    ),
    Kind(
        "network",
        "$docker network ls --format '{{.Name}}' | grep ^provision-",
        _named("docker network rm"),
    ),
    Kind(
        "volume",
        "$docker volume ls --format '{{.Name}}' | grep ^provision-",
        _named("docker volume rm"),
    ),
    Kind(
        "image",
        "$docker image ls --format '{{.Repository}}:{{.Tag}}' | sort -u",
        _named("docker image rm"),
        ours=_our_image,
    ),
    Kind(
        "build cache",
        '$docker buildx du | awk \'$2 == "true" || $2 == "false"'
        ' { sub(/\\*$/, "", $1); print $1 }\'',
        _each("docker builder prune --all --force --filter id="),
    ),
    # As cloud-init/isolate makes them: chains of our own, and what leads there.
    Kind("firewall rule", _TABLES.format("grep -e '-j PROVISION'"), _rules),
    Kind("chain of rules", _TABLES.format("grep -e '^-N PROVISION'"), _chains),
    # As cloud-init/make-homes makes it. Nothing of it is removed while it is in use.
    Kind("file system", f"findmnt --noheadings --output TARGET {HOMES}", _named("umount")),
    Kind(
        "loop device",
        f"losetup --noheadings --output NAME --associated {HOMES}.img",
        _named("losetup --detach"),
    ),
    Kind("unit", f"ls {UNITS} | grep ^provision-", _units),
    Kind("log", f"ls {LOG}", _named("rm -r")),
    Kind("mark", "ls -d /run/provision", _named("rm -r")),
    Kind(
        "firewall chains",
        "for tables in iptables ip6tables; do"
        " $tables-save | grep --quiet --ignore-case docker && echo $tables; done",
        _firewall,
        engine=True,
    ),
    Kind(
        "package",
        f"sort -u {PACKAGES} | xargs --no-run-if-empty dpkg-query --show"
        f" --showformat='${{db:Status-Status}} ${{Package}}\\n' | {PRESENT}",
        _named("env DEBIAN_FRONTEND=noninteractive dpkg --purge"),
        engine=True,
    ),
    Kind("folder", f"ls -d {' '.join(_DOCKER_FOLDERS)}", _named("rm -r"), engine=True),
    Kind(
        "network interface",
        "ls /sys/class/net | grep --line-regexp docker0",
        _named("ip link delete"),
        engine=True,
    ),
    Kind(
        "group",
        "getent group docker | cut -d: -f1",
        _named("groupdel"),
        engine=True,
    ),
)

_IN_USE = "in use"

SCAN = "\n".join(
    [
        ROOT_PATH,
        # A question to a Docker that does not run would start it, where its socket is active.
        "docker=docker; systemctl is-active --quiet docker.service || docker=false",
        *(f"echo '== {kind.name}'\n{{ {kind.lists}; }} 2> /dev/null" for kind in KINDS),
        f"echo '== {_IN_USE}'",
        "ls -A /var/lib/docker/containers 2> /dev/null",
        "ls /var/lib/docker/volumes 2> /dev/null | grep -v -e backingFsBlockDev -e metadata.db",
        "true",
    ]
)
"""Lists everything of every kind. Read-only."""

QUIET = "\n".join(
    [
        ROOT_PATH,
        f"ls {UNITS} | grep ^provision- | xargs --no-run-if-empty systemctl disable --now",
        f"[ ! -x {TRACK} ] || {TRACK} end",
    ]
)
"""Nothing of the workshop starts anything any more. Ends a bootstrap that is under way."""


def parse_scan(text: str) -> dict[str, list[str]]:
    """Kind → ids of what exists, whoever made it."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("== "):
            found[line.removeprefix("== ")] = ids = []
        elif line.strip():
            ids.append(line.strip())
    return found


Traces = list[tuple[Kind, list[str]]]


def owned(claim: Claim, scan: dict[str, list[str]]) -> Traces:
    """What is the workshop's own, in the order of removal.

    Where Docker came with the workshop and somebody runs containers on it now, it has become
    theirs: it stays, with its packages.
    """
    handed_over = not claim.docker and bool(scan.get(_IN_USE))
    found = []
    for kind in KINDS:
        before = claim.before.get(kind.name, [])
        ids = [
            item
            for item in scan.get(kind.name, [])
            if kind.ours(item, claim) and item not in before
        ]
        if ids and not (kind.engine and handed_over):
            found.append((kind, ids))
    return found


def removal(traces: Traces, claim: Claim) -> str:
    """One command for all of them; one that fails does not keep the others."""
    return "\n".join([ROOT_PATH, *(kind.remove(ids, claim) for kind, ids in traces)])
