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
HOMES = f"{ROOT}/homes"
"""A file system of its own; HOMES/USER/home and …/tmp are a person's."""

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


def have_images() -> str:
    """Those that the machine's own bundle names: what is installed here may be another version."""
    names = " ".join(f'"provision-{name}:$PROVISION_TAG"' for name in IMAGES)
    return f". {BUNDLE}/.env && docker image inspect --format '{{{{.Id}}}}' {names}"


def arrives(path: str, size: int) -> str:
    """Keep stdin in `path`, all `size` bytes: a connection that is lost looks like its end."""
    file = shlex.quote(path)
    return (
        f'cat > {file} && {{ [ "$(stat -c %s {file})" = {size} ]'
        f" || {{ echo 'only a part arrived' >&2; false; }}; }}"
    )


def write_file(path: str, size: int, mode: str = "0600") -> str:
    """Replace `path` atomically with what comes on stdin, so that no secret is an argument.

    Only by the whole content, which is `size` bytes. Folders on the way that are missing are made,
    for root alone.
    """
    staging = shlex.quote(f"{path}.new")
    return (
        f"umask 077 && mkdir -p {shlex.quote(path.rpartition('/')[0])}"
        f" && {arrives(f'{path}.new', size)} && chmod {mode} {staging}"
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


HOMES_WARNING = (
    "journalctl --boot --unit provision-stack --output cat --no-pager 2> /dev/null"
    " | grep -F 'make-homes: WARNING' | tail -n 1 || true"
)
"""What was found when room for the homes was made; nothing when all is well."""


def service_states() -> str:
    return compose("ps", "--all", "--format", "json")


def read_ca() -> str:
    return compose("exec", "-T", "caddy", "cat", CA_FILE)


def participants_usage() -> str:
    return (
        "docker ps --quiet --filter name=^jupyter- | "
        "xargs --no-run-if-empty docker stats --no-stream --format json"
    )


MAKE_HOMES = f"{ROOT}/make-homes"
"""Gives everybody in users.json a home with its limit, as each start of the bundle does."""


def mount_homes() -> str:
    """Nothing happens where they are mounted, or where there are none yet."""
    return f"test ! -x {MAKE_HOMES} || {MAKE_HOMES} mount"


def home_folder(username: str) -> str:
    return f"{HOMES}/{username}/home"


def list_homes() -> str:
    """User names that have a home, one a line; from the disk alone, whether or not Docker runs."""
    return (
        f"{{ {mount_homes()}; }} && {{ test ! -d {HOMES} || (cd {HOMES}"
        ' && for home in */home; do [ ! -d "$home" ] || echo "${home%/home}"; done); }'
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


READ_DEADLINE = "sed -n 's/^OnCalendar=//p' /etc/systemd/system/provision-deadline.timer"

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


def put_certificates(size: int) -> str:
    """Put a tar from stdin into Caddy's volume; what Caddy already has is newer, and stays.

    A part of a tar, less than `size` bytes, would be taken for what Caddy has: nothing of it is.

    The volume is made as Compose would make it, or Compose warns that it is a stranger's.
    """
    create = shlex.join(
        [
            *("docker", "volume", "create", "--label", "com.docker.compose.project=provision"),
            *("--label", "com.docker.compose.volume=caddy-data", CADDY_VOLUME),
        ]
    )
    archive = f"{SECRETS}/certificates.tar"
    extract = shlex.join(
        [
            *("tar", "--extract", "--no-same-owner", "--skip-old-files"),
            *("--file", archive, "--directory", _CADDY_DATA),
        ]
    )
    return (
        f"umask 077 && trap 'rm -f {archive}' EXIT && mkdir -p {SECRETS}"
        f" && {arrives(archive, size)} && {create} > /dev/null && {extract}"
    )
