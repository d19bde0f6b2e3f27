"""What cloud-init writes elsewhere, as one tar archive: less what is about keys, users and sshd.

Two units are of this provider alone: the bootstrap, which has to survive the connection, and the
deadline, which stops the workshop and not the machine.
"""

from __future__ import annotations

from provisioner.models import Spec
from provisioner.render.bootstrap import BOOTSTRAP, LOG
from provisioner.render.bundle import ROOT
from provisioner.render.commands import BUNDLE, calendar
from provisioner.render.delivery import EXTRACT, archive
from provisioner.render.userdata import File, bundle_files, machine_files

__all__ = ["BOOTSTRAP", "EXTRACT", "LOG", "archive", "files"]

UNITS = "/etc/systemd/system"
TRACK = f"{ROOT}/track-packages"
PACKAGES = f"{ROOT}/packages.added"
PRESENT = "sed -n 's/^\\(installed\\|unpacked\\|half-[a-z]*\\|triggers-[a-z]*\\) //p'"
"""Of lines with dpkg's status and a package, those that a bootstrap cut short leaves, too."""

_ELSEWHERE = frozenset(
    {f"{ROOT}/injected-host-key.pub", f"{ROOT}/rotate-host-key", f"{UNITS}/{BOOTSTRAP}"}
)
"""What is about a host key of ours, and the unit that has another shape here."""

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


def _belongs(path: str) -> bool:
    """On somebody's machine: our own folder and our own units, nothing else."""
    if path in _ELSEWHERE:
        return False
    return path.startswith((f"{ROOT}/", f"{UNITS}/provision-"))
