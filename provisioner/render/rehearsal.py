"""What a rehearsal asks of the server, as values: who is at work, how the machine fares, and a
crowd on the server itself. Everything runs as root.
"""

from __future__ import annotations

import io
import shlex
import zipfile
from importlib.resources import files

from provisioner.render.bundle import ROOT

FOLDER = f"{ROOT}/rehearsal"
PROGRAM = f"{FOLDER}/crowd.zip"
CONTAINER = "provision-rehearsal"
DIAL = ("caddy", 443)
"""Where the crowd on the server connects to: the address that browsers meet, from inside."""

PACKAGES = ("", "remote/")
"""All that a crowd needs of this program; what it needs of others is in the hub's image."""

OWN_PROCESSES = 2
"""Of a participant's container in which nothing runs: tini, and the server."""

AT_WORK = f"""\
names=$(docker ps --filter name=^jupyter- --format '{{{{.Names}}}}') || exit 69
for name in $names; do
    shown=$(docker top "$name" -eo pid,stat,comm 2> /dev/null) &&
        [ "$(echo "$shown" | awk 'NR > 1 && $2 !~ /^Z/' | wc -l)" -le {OWN_PROCESSES} ] ||
        echo "${{name#jupyter-}}"
done
"""
"""User names, one a line, in whose server something runs: a kernel, a terminal, what was begun in
one. Who can't be looked at counts as well. Fails when nobody can be."""

NOW = "date +%s"
"""The server's clock, by which the hub notes who was there when."""

OOM = (
    "oom {{.Actor.Attributes.name}} "
    '{{index .Actor.Attributes "com.docker.compose.project.working_dir"}}'
)

SAMPLE = f"""\
trap '' PIPE
docker events --filter event=oom --format '{OOM}' 2> /dev/null &
events=$!
trap 'kill $events 2> /dev/null' EXIT
while :; do
    grep '^cpu' /proc/stat
    sed -n '/^MemTotal:/p;/^MemAvailable:/p' /proc/meminfo
    sed 's/^/disk /' /proc/diskstats
    sed -n 's/^ *\\([^:]*\\):/net \\1 /p' /proc/net/dev
    df --block-size=1 --output=target,size,used / {ROOT}/homes 2> /dev/null | sed 's/^/space /'
    echo end || exit
    sleep 2
done
"""
"""The machine's own numbers, every two seconds, until nobody reads them any more. In between, a
line (OOM) for each container in which something was killed for want of memory: as it happens, since
Docker remembers only the last few hundred events.
"""


def run_crowd(tag: str) -> str:
    """The crowd in a container beside Caddy; it reads its script on stdin."""
    return shlex.join(
        [
            *("docker", "run", "--rm", "--interactive", "--name", CONTAINER, "--init"),
            *("--network", "provision-edge", "--user", "65534:65534", "--read-only"),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
            *("--memory", "1g", "--pids-limit", "64", "--log-driver", "none"),
            *("--volume", f"{FOLDER}:{FOLDER}:ro", "--env", f"PYTHONPATH={PROGRAM}"),
            *("--entrypoint", "python", f"provision-hub:{tag}", "-m", "provisioner.remote.crowd"),
        ]
    )


def put_program() -> str:
    """Take the program from stdin, to where a container may read it. It holds no secret."""
    return f"umask 022 && mkdir -p {FOLDER} && cat > {PROGRAM}.new && mv {PROGRAM}.new {PROGRAM}"


END_CROWD = f"docker rm --force {CONTAINER} > /dev/null 2>&1; rm -rf --one-file-system -- {FOLDER}"
"""Nothing of a crowd stays on the server. Idempotent."""

IMAGE_TAG = "sed -n \"s/^PROVISION_TAG='\\(.*\\)'$/\\1/p\" " + f"{ROOT}/bundle/.env"


def program() -> bytes:
    """The crowd as Python imports it from a zip file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in PACKAGES:
            for file in (files("provisioner") / package).iterdir():
                if file.name.endswith(".py"):
                    archive.writestr(f"provisioner/{package}{file.name}", file.read_bytes())
    return content.getvalue()
