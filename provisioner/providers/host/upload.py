"""What cloud-init writes elsewhere, as one tar archive: less what is about keys, users and sshd.

Two units are of this provider alone: the bootstrap, which has to survive the connection, and the
deadline, which stops the workshop and not the machine.
"""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Iterable

from provisioner.models import Spec
from provisioner.render.bundle import ROOT
from provisioner.render.commands import BUNDLE, calendar
from provisioner.render.userdata import File, bundle_files, machine_files

UNITS = "/etc/systemd/system"
BOOTSTRAP = "provision-bootstrap.service"
LOG = "/var/log/provision-bootstrap.log"
TRACK = f"{ROOT}/track-packages"
PACKAGES = f"{ROOT}/packages.added"
PRESENT = "sed -n 's/^\\(installed\\|unpacked\\|half-[a-z]*\\|triggers-[a-z]*\\) //p'"
"""Of lines with dpkg's status and a package, those that a bootstrap cut short leaves, too."""

EXTRACT = "umask 022 && tar --extract --file - --directory / --touch --no-overwrite-dir"

_HOST_KEY_ONLY = frozenset({f"{ROOT}/injected-host-key.pub", f"{ROOT}/rotate-host-key"})

_BOOTSTRAP = f"""\
[Unit]
Description=Prepare this machine for a workshop
After=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
# What is kept for its caller by Docker goes with our folder, and what is in /tmp with the unit.
Environment=HOME={ROOT}
PrivateTmp=yes
StandardOutput=append:{LOG}
StandardError=append:{LOG}
ExecStartPre={TRACK} begin
ExecStart={ROOT}/bootstrap.sh
# The one is run after a success, the other after a failure.
ExecStartPost={TRACK} end
ExecStopPost={TRACK} end
"""

_TRACK = f"""\
#!/bin/sh
# Which packages came while the bootstrap ran: teardown removes those and no others.
set -eu
cd {ROOT}
installed() {{
    dpkg-query --show --showformat='${{db:Status-Status}} ${{Package}}\\n' |
        {PRESENT} | LC_ALL=C sort -u
}}
case "$1" in
    begin) # a list that is there is of a run that was cut short: what it brought counts, too
        [ -e packages.before ] && exit 0
        apt-get -q -y -o DPkg::Lock::Timeout=300 check # whatever upgrades itself now is not ours
        installed > packages.before.new
        mv packages.before.new packages.before
        ;;
    end)
        [ -e packages.before ] || exit 0
        installed | LC_ALL=C comm -13 packages.before - >> packages.added
        rm packages.before
        ;;
esac
"""

_TIMER = """\
[Unit]
Description=The end of the workshop
[Timer]
OnCalendar={when}
# A machine that was off at the deadline looks again soon after boot.
OnBootSec=2min
Persistent=true
AccuracySec=1s
[Install]
WantedBy=timers.target
"""

_DEADLINE = f"""\
[Unit]
Description=Stop the workshop at its deadline; the machine stays on
[Service]
Type=oneshot
ExecCondition=/bin/sh -c 'end=$(sed -n s/^OnCalendar=//p {UNITS}/provision-deadline.timer); \
test "$(date +%%s)" -ge "$(date -d "$end" +%%s)"'
ExecStart=-/usr/bin/systemctl disable --now provision-stack.service
ExecStart=-/bin/sh -c 'docker ps --quiet --filter network=provision-participants \
| xargs --no-run-if-empty docker stop'
ExecStart=-/usr/bin/docker compose --project-directory {BUNDLE} stop
"""


def files(spec: Spec) -> list[File]:
    return [
        *(file for file in machine_files("") if _belongs(file.path)),
        *bundle_files(spec.bundle),
        File(TRACK, _TRACK, "0755"),
        File(f"{UNITS}/{BOOTSTRAP}", _BOOTSTRAP, "0644"),
        File(
            f"{UNITS}/provision-deadline.timer",
            _TIMER.format(when=calendar(spec.expires_at)),
            "0644",
        ),
        File(f"{UNITS}/provision-deadline.service", _DEADLINE, "0644"),
    ]


def archive(wanted: Iterable[File]) -> bytes:
    """A tar of regular files only, so that no folder of the machine gets another owner or mode."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in wanted:
            content = _content(file)
            member = tarfile.TarInfo(file.path.lstrip("/"))
            member.size, member.mode = len(content), int(file.mode, 8)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _belongs(path: str) -> bool:
    """On somebody's machine: our own folder and our own units, nothing else."""
    if path in _HOST_KEY_ONLY:
        return False
    return path.startswith((f"{ROOT}/", f"{UNITS}/provision-"))


def _content(file: File) -> bytes:
    return base64.b64decode(file.content) if file.encoding == "b64" else file.content.encode()
