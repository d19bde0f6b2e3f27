"""What is typed on the server, as values. Nothing here runs anything; all of it runs as root."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime

from provisioner.models import Credential
from provisioner.render.bundle import DATA_ROOT, ROOT

BUNDLE = f"{ROOT}/bundle"
SECRETS = f"{ROOT}/secrets"
USERS_FILE = f"{SECRETS}/users.json"
HOME_VOLUME = "provision-home-"
CA_FILE = "/data/caddy/pki/authorities/local/root.crt"  # in the caddy container
IMAGES = ("caddy", "hub", "notebook", "proxy")

PREPARE_HOST_KEY = f"{ROOT}/rotate-host-key prepare"
COMMIT_HOST_KEY = f"{ROOT}/rotate-host-key commit"
CLOUD_INIT_STATUS = "cloud-init status --format json"
CLOUD_INIT_LOG = "tail -n 60 /var/log/cloud-init-output.log"
BOOTSTRAP_LOG = "tail -n 60 /var/log/provision-bootstrap.log 2> /dev/null || true"
DOCKER_VERSION = "docker version --format '{{.Server.Version}}'"
RESTART_STACK = "systemctl restart --no-block provision-stack.service"
"""Begins it, or has it look at its files again: what did not change runs on."""


def compose(*words: str) -> str:
    return shlex.join(
        ["docker", "compose", "--ansi", "never", "--project-directory", BUNDLE, *words]
    )


def have_images(tag: str) -> str:
    names = [f"provision-{name}:{tag}" for name in IMAGES]
    return shlex.join(["docker", "image", "inspect", "--format", "{{.Id}}", *names])


def write_file(path: str, mode: str = "0600") -> str:
    """Replace `path` atomically with what comes on stdin, so that no secret is an argument.

    Folders on the way that are missing are made, for root alone.
    """
    staging = shlex.quote(f"{path}.new")
    return (
        f"umask 077 && mkdir -p {shlex.quote(path.rpartition('/')[0])}"
        f" && cat > {staging} && chmod {mode} {staging}"
        f" && sync {staging} && mv -f {staging} {shlex.quote(path)}"
    )


def users_json(hashed: dict[str, str], credentials: tuple[Credential, ...]) -> bytes:
    """The hub's users file: names → hashes and who is an admin. Holds no password."""
    users = {
        item.person.username: {
            "hash": hashed[item.person.username],
            "admin": item.person.admin,
        }
        for item in credentials
    }
    return json.dumps({"version": 1, "users": users}, indent=1).encode()


def data_folder(number: int) -> str:
    return f"{DATA_ROOT}/{number}"


def data_stamp(number: int) -> str:
    """Says which state of the operator's folder the server has."""
    return f"{DATA_ROOT}/{number}.stamp"


def read_file(path: str) -> str:
    """What is in it; nothing when it is not there."""
    return f"cat {shlex.quote(path)} 2> /dev/null || true"


def service_states() -> str:
    return compose("ps", "--all", "--format", "json")


def service_logs(service: str = "", *, tail: int = 200, follow: bool = False) -> str:
    words = ["logs", "--no-color", "--timestamps", "--tail", str(tail)]
    return compose(*words, *(["--follow"] if follow else []), *([service] if service else []))


def container_logs(username: str, *, tail: int = 200, follow: bool = False) -> str:
    words = ["docker", "logs", "--timestamps", "--tail", str(tail)]
    return shlex.join([*words, *(["--follow"] if follow else []), f"jupyter-{username}"])


def read_ca() -> str:
    return compose("exec", "-T", "caddy", "cat", CA_FILE)


def participants_running() -> str:
    """One JSON object a line for each participant's container, stopped ones too."""
    return "docker ps --all --filter name=^jupyter- --format json"


def participants_usage() -> str:
    return (
        "docker ps --quiet --filter name=^jupyter- | "
        "xargs --no-run-if-empty docker stats --no-stream --format json"
    )


def list_homes() -> str:
    """User names that have a home, one a line; from the disk alone, whether or not Docker runs."""
    return (
        f"cd /var/lib/docker/volumes && for home in {HOME_VOLUME}*; do "
        f'[ ! -d "$home" ] || echo "${{home#{HOME_VOLUME}}}"; done'
    )


def archive_home(username: str) -> str:
    """A gzip'd tar of one home on stdout, without what can be downloaded again.

    tar's code 1 means that a file changed while it was read: people may be at work.
    """
    folder = f"/var/lib/docker/volumes/{HOME_VOLUME}{username}/_data"
    return (
        shlex.join(
            [
                *("tar", "--create", "--gzip", "--warning=no-file-changed"),
                *("--exclude=./.cache", "--directory", folder, "."),
            ]
        )
        + " || test $? -eq 1"
    )


def calendar(at: datetime) -> str:
    """A systemd calendar time that means the same everywhere: 2026-01-31 17:00:00 UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def set_deadline(at: datetime) -> str:
    """Move the machine's own end; its timer's file is the only place that knows when."""
    timer = "/etc/systemd/system/provision-deadline.timer"
    return (
        f"sed -i 's/^OnCalendar=.*/OnCalendar={calendar(at)}/' {timer}"
        " && systemctl daemon-reload && systemctl restart provision-deadline.timer"
    )


CADDY_VOLUME = "provision-caddy-data"
_CADDY_DATA = f"/var/lib/docker/volumes/{CADDY_VOLUME}/_data"


def archive_certificates() -> str:
    """A tar of Caddy's ACME accounts and certificates on stdout; nothing when it has none.

    The key of the workshop's own authority is beside them, and stays on the server.
    """
    data = shlex.quote(_CADDY_DATA)
    return (
        f"test ! -d {data}/caddy || (cd {data} &&"
        " find caddy -type f '(' -path 'caddy/acme/*' -o -path 'caddy/certificates/*' ')' -print0 |"
        " tar --create --null --no-recursion --files-from=-)"
    )


def put_certificates() -> str:
    """Put a tar from stdin into Caddy's volume; what Caddy already has is newer, and stays.

    The volume is made as Compose would make it, or Compose warns that it is a stranger's.
    """
    create = shlex.join(
        [
            *("docker", "volume", "create", "--label", "com.docker.compose.project=provision"),
            *("--label", "com.docker.compose.volume=caddy-data", CADDY_VOLUME),
        ]
    )
    extract = shlex.join(
        ["tar", "--extract", "--no-same-owner", "--skip-old-files", "--directory", _CADDY_DATA]
    )
    return f"{create} > /dev/null && umask 077 && {extract}"
