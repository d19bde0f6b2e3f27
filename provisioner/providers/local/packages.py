"""System packages that this provider stands on, and how they get onto Debian or Ubuntu."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.errors import Refused
from provisioner.protocols import Reporter
from provisioner.providers.local import backports, distributions
from provisioner.providers.local.arch import Arch
from provisioner.providers.local.running import Runner, run

RUNNING = {"qemu-img": ("qemu-utils",)}
"""Program or file → Debian's packages that bring it; QEMU itself is the architecture's."""

BAKING = {
    "mmdebstrap": ("mmdebstrap",),
    "mke2fs": ("e2fsprogs",),
    "setpriv": ("util-linux",),
    "unshare": ("util-linux",),
    "tar": ("tar",),
    "/usr/share/keyrings/debian-archive-keyring.gpg": ("debian-archive-keyring",),
}
"""The same, for what only making an image needs."""

PROGRAMS = RUNNING | BAKING

INSTALL_SECONDS = 900.0


def find_program(name: str) -> str | None:
    """Also where a user's PATH may not look: mke2fs lies in /usr/sbin. A full path is a file's."""
    if name.startswith("/"):
        return name if Path(name).exists() else None
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def missing(
    arch: Arch,
    *,
    baking: bool = True,
    which: Callable[[str], str | None] = find_program,
    os_release: Path = Path("/etc/os-release"),
    apt: Path = Path("/etc/apt"),
) -> SystemPackages | None:
    """None when everything is there. QEMU's age matters on Debian 12 only: see backports."""
    programs = (PROGRAMS if baking else RUNNING) | {arch.qemu: arch.packages}
    wanted = [
        package for program, found in programs.items() if not which(program) for package in found
    ]
    if not baking and arch.firmware and not any(which(path) for path in arch.firmware):
        wanted += arch.firmware_packages
    if not wanted:
        return None
    release = _release(os_release)
    lacks_qemu = any(package.startswith("qemu-") for package in wanted)
    sources = backports.derived(release, apt) if lacks_qemu else ""
    suite = backports.suite(release) if sources else ""
    return SystemPackages(tuple(dict.fromkeys(wanted)), sources, suite)


@dataclass(frozen=True, slots=True)
class SystemPackages:
    """`sources` is an apt source in deb822 form for this one run; "" means the machine's own."""

    names: tuple[str, ...]
    sources: str = ""
    suite: str = ""
    run: Runner = field(default=run, compare=False)

    @property
    def command(self) -> str:
        """One line to paste. Leaves nothing in /etc/apt."""
        if elsewhere := distributions.command(self.names):
            return elsewhere
        sudo = "" if os.geteuid() == 0 else "sudo "
        if not self.sources:
            commands = apt_commands(self.names)
            return " && ".join(sudo + shlex.join(command) for command in commands)
        commands = apt_commands(self.names, folder=Path("$d"), suite=self.suite)
        words = " && ".join(sudo + _unquoted(command) for command in commands)
        return (
            f"d=$(mktemp -d) && mkdir -p $d/parts $d/lists/partial && chmod -R a+rX $d"
            f" && printf %s {shlex.quote(self.sources)} > $d/parts/provision.sources && {words}"
        )

    def install(self, reporter: Reporter) -> None:
        """Raises Refused, with `command` as the hint, when not allowed or when apt fails."""
        prefix = self._privileged()
        with tempfile.TemporaryDirectory(prefix="provision-apt-") as folder:
            root = Path(folder) if self.sources else None
            if root:
                (root / "lists/partial").mkdir(parents=True)
                (root / "parts").mkdir()
                (root / "parts/provision.sources").write_text(self.sources, encoding="utf-8")
                for path in (root, *root.rglob("*")):  # apt downloads as a user of its own
                    path.chmod(path.stat().st_mode | 0o055)
            for command in apt_commands(self.names, folder=root, suite=self.suite):
                self._apt([*prefix, *command], reporter)

    def _apt(self, command: Sequence[str], reporter: Reporter) -> None:
        title = "Reading lists of packages" if "update" in command else "Installing packages"
        with reporter.step(title, usual=20.0) as step:
            step.update(" ".join(self.names))
            done = self.run(command, timeout=INSTALL_SECONDS)
        if not done.ok:
            raise Refused(
                "apt-get could not install what is missing",
                hint=self.command,
                details=tuple((done.out + done.err).splitlines()[-15:]),
            )

    def _privileged(self) -> list[str]:
        if not shutil.which("apt-get"):
            raise Refused(f"These packages are missing: {', '.join(self.names)}", hint=self.command)
        if os.geteuid() == 0:
            return []
        if shutil.which("sudo") and self.run(["sudo", "-n", "true"]).ok:
            return ["sudo", "-n"]
        raise Refused("Installing system packages needs root", hint=self.command)


def apt_commands(
    names: Sequence[str], *, folder: Path | None = None, suite: str = ""
) -> list[list[str]]:
    """Update, then install. `folder` holds sources in `parts/`, and takes the lists.

    QEMU comes from `suite` with what it needs, which must be of the same age: `NAME/suite` would
    leave its parts to the release. Everything else comes from the release itself.
    """
    options: list[str] = []
    if folder:
        options = [
            *("-o", f"Dir::Etc::SourceParts={folder}/parts"),
            *("-o", "Dir::Etc::SourceList=/dev/null"),
            *("-o", f"Dir::State::Lists={folder}/lists"),
        ]
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *options]
    install = [*quiet, "install", "--no-install-recommends"]
    newer = [name for name in names if suite and name.startswith("qemu-")]
    plain = [name for name in names if name not in newer]
    return [
        [*quiet, "update"],
        *([[*install, *plain]] if plain else []),
        *([[*install, f"--target-release={suite}", *newer]] if newer else []),
    ]


def _unquoted(command: list[str]) -> str:
    """Quoted for a shell, except for `$d`."""
    return shlex.join(command).replace("'", "")


def _release(os_release: Path) -> dict[str, str]:
    try:
        text = os_release.read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value.strip('"') for key, _, value in pairs if value}
