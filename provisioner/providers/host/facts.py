"""What a machine says about itself: one read-only command, and its answer as a value."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provisioner.models import KIB, Size
from provisioner.render.bundle import ROOT

ROOT_PATH = 'export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"'
"""A login as root does not everywhere find what is in sbin."""

_CAPACITY = """\
echo "cores $(nproc)"
sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/memory \\1/p' /proc/meminfo
folder=/var/lib/docker
[ -d "$folder" ] || folder=/var/lib
echo "disk $(df --output=avail --block-size=1 "$folder" | tail -n 1)"
"""

CAPACITY = f"{ROOT_PATH}\n{_CAPACITY}"

FACTS = f"""\
{ROOT_PATH}
{_CAPACITY}\
. /etc/os-release
echo "system $ID ${{VERSION_ID:-}}"
echo "architecture $(uname -m)"
echo "init $(cat /proc/1/comm)"
echo "virtualisation $(systemd-detect-virt)"
echo "forwarding $(cat /proc/sys/net/ipv4/ip_forward)"
iptables -w -S FORWARD 2> /dev/null | sed -n 's/^-P FORWARD /policy /p'
if command -v docker > /dev/null; then
    echo "docker there"
    echo "enabled $(systemctl is-enabled docker.service 2> /dev/null)"
    if systemctl is-active --quiet docker.service; then
        echo "running $(docker info --format '{{{{.DockerRootDir}}}}' 2> /dev/null)"
        echo "compose $(docker compose version --short 2> /dev/null)"
        docker ps --format 'publishes {{{{.Names}}}} {{{{.Ports}}}}' 2> /dev/null
    fi
fi
ss --no-header --listening --tcp --udp --numeric --processes \
'( sport = :80 or sport = :443 )' | sed 's/^/listens /'
inode=$(stat --format %i /var/lib/dpkg/lock-frontend 2> /dev/null)
[ -z "$inode" ] || for pid in $(awk -v end=":$inode" \
'substr($6, length($6) - length(end) + 1) == end {{ print $5 }}' /proc/locks); do
    echo "apt $pid $(cat /proc/$pid/comm 2> /dev/null)"
done
config=/boot/config-$(uname -r)
if [ -r "$config" ] && ! grep -q '^CONFIG_XFS_QUOTA=y' "$config"; then echo "quotas missing"; fi
grep -qw xfs /proc/filesystems || modprobe --dry-run xfs 2> /dev/null || echo "quotas missing"
[ -e {ROOT}/host.json ] || [ -z "$(ls -A {ROOT} 2> /dev/null)" ] || echo "folder taken"
"""

_PORTS = re.compile(r":(\d+)->")
_PROCESS = re.compile(r'"([^"]+)",pid=(\d+)')


@dataclass(frozen=True, slots=True)
class Facts:
    """`taken` holds a port and the words for who listens there."""

    size: Size  # free memory and disk in bytes, cores
    system: str = ""  # debian, ubuntu, …
    release: str = ""  # 13, 24.04; "" for a release to come
    architecture: str = ""
    init: str = ""
    emulated: bool = False
    forwarding: bool = False
    forward_policy: str = "ACCEPT"
    docker: bool = False
    docker_enabled: bool = False
    docker_root: str = ""  # "": it does not run
    compose: str = ""  # its version
    taken: tuple[tuple[int, str], ...] = ()
    apt_in_use: str = ""  # by whom
    quotas: bool = True  # of XFS, as far as the kernel can be asked
    folder_taken: bool = False


def parse_facts(text: str) -> Facts:
    """Of FACTS or CAPACITY: each line is a word and what there is to say about it."""
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        said.setdefault(word, []).append(rest.strip())

    def first(word: str) -> str:
        return said.get(word, [""])[0]

    system, _, release = first("system").partition(" ")
    return Facts(
        size=Size(
            memory=_number(first("memory")) * KIB,
            cores=_number(first("cores")),
            disk=_number(first("disk")),
        ),
        system=system,
        release=release,
        architecture=first("architecture"),
        init=first("init"),
        emulated=first("virtualisation") == "qemu",  # with hardware support it says kvm
        forwarding=first("forwarding") == "1",
        forward_policy=first("policy") or "ACCEPT",
        docker="docker" in said,
        docker_enabled=first("enabled") == "enabled",
        docker_root=first("running"),
        compose=first("compose"),
        taken=_taken(said.get("listens", []), said.get("publishes", [])),
        apt_in_use=" ".join(reversed(first("apt").split())),
        quotas="quotas" not in said,
        folder_taken="folder" in said,
    )


def _taken(listens: list[str], publishes: list[str]) -> tuple[tuple[int, str], ...]:
    """Ports that the workshop needs → who has them: a container, or a program with its number."""
    found: dict[int, str] = {}
    for line in listens:  # tcp LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=7,fd=6))
        kind, _, _, _, local, *_ = [*line.split(), "", "", "", "", ""]
        port = _number(local.rpartition(":")[2])
        if kind == "udp" and port != 443:
            continue
        process = _PROCESS.search(line)
        found[port] = f"{process[1]} (process {process[2]})" if process else "a program"
    for line in publishes:  # web 0.0.0.0:443->443/tcp, [::]:443->443/tcp
        name, _, ports = line.partition(" ")
        for port in {_number(port) for port in _PORTS.findall(ports)} & {80, 443}:
            found[port] = f"the container {name}"
    return tuple(sorted(found.items()))


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
