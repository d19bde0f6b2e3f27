from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from provisioner.errors import Refused
from provisioner.models import Result
from provisioner.providers.local import backports, packages
from provisioner.providers.local.arch import ARCHES, Arch

AMD64 = ARCHES["x86_64"]

DEB822 = """\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""

ONE_LINE = """\
# deb http://old.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # ours
deb http://elsewhere.example/apt stable main
"""

RELEASES = {
    "bookworm": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
    "trixie": 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n',
    "noble": 'ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n',
}


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    return tmp_path / "apt"


def lacking(tmp_path: Path, apt: Path, release: str, *have: str) -> packages.SystemPackages | None:
    file = tmp_path / "os-release"
    file.write_text(RELEASES[release])
    return packages.missing(
        AMD64, which=lambda name: name if name in have else None, os_release=file, apt=apt
    )


def test_nothing_is_missing(tmp_path: Path, apt: Path) -> None:
    assert lacking(tmp_path, apt, "trixie", AMD64.qemu, *packages.PROGRAMS) is None


def test_on_debian_12_qemu_comes_from_the_same_mirrors_backports(tmp_path: Path, apt: Path) -> None:
    (apt / "sources.list.d/third-party.sources").write_text(
        "Types: deb\nURIs: https://unreachable.example/\nSuites: nodistro\nComponents: main\n"
    )
    (apt / "sources.list.d/zdebian.sources").write_text(DEB822)
    found = lacking(tmp_path, apt, "bookworm", *packages.PROGRAMS)
    assert found is not None
    assert found.names == ("qemu-system-x86",)
    assert found.sources == (
        "Types: deb\nURIs: http://mirror.example/debian\n"
        "Suites: bookworm bookworm-updates bookworm-backports\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    wanted = "install --no-install-recommends --target-release=bookworm-backports qemu-system-x86"
    assert found.command.endswith(wanted)
    assert "unreachable" not in found.command


def test_sources_on_one_line_each(tmp_path: Path, apt: Path) -> None:
    (apt / "sources.list").write_text(ONE_LINE)
    found = lacking(tmp_path, apt, "bookworm", *packages.PROGRAMS)
    assert found is not None
    assert found.sources == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-backports\n"
        "Components: main contrib\nSigned-By: /k.gpg\n"
    )


@pytest.mark.parametrize("stanza", ["Enabled: no\n", "Signed-By:\n -----BEGIN PGP-----\n .\n x\n"])
def test_stanzas_that_cannot_be_used_are_passed_over(apt: Path, stanza: str) -> None:
    first, _, _ = DEB822.partition("\n\n")
    lines = [line for line in first.splitlines() if not line.startswith("Signed-By")]
    (apt / "sources.list.d/debian.sources").write_text("\n".join(lines) + "\n" + stanza)
    assert list(backports.sources(apt)) == []


@pytest.mark.parametrize("release", ["trixie", "noble"])
def test_elsewhere_the_machines_own_sources_do(tmp_path: Path, apt: Path, release: str) -> None:
    (apt / "sources.list.d/debian.sources").write_text(DEB822)
    found = lacking(tmp_path, apt, release)
    assert found is not None
    assert found.sources == ""
    assert set(found.names) == {
        *("qemu-system-x86", "qemu-utils", "mmdebstrap", "e2fsprogs", "util-linux", "tar"),
        "debian-archive-keyring",
    }
    assert "apt-get -q -y install --no-install-recommends" in found.command


def test_the_command_can_be_pasted(tmp_path: Path, apt: Path) -> None:
    """A shell runs it, with an apt-get that only tells what it was asked for."""
    (apt / "sources.list.d/debian.sources").write_text(DEB822)
    found = lacking(tmp_path, apt, "bookworm")
    assert found is not None
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in {
        "apt-get": 'echo "$@"; for o; do case $o in Dir::Etc::SourceParts=*)'
        " cat ${o#*=}/provision.sources;; esac; done",
        "sudo": 'exec "$@"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    told = subprocess.run(
        ["sh", "-c", found.command], env={"PATH": path}, capture_output=True, text=True, check=True
    ).stdout
    assert told.count(found.sources) == 3
    update, release, newer = (line for line in told.splitlines() if line.startswith("-q "))
    assert update.endswith(" update")
    assert "mmdebstrap" in release
    assert "qemu" not in release
    assert newer.endswith(" --target-release=bookworm-backports qemu-utils qemu-system-x86")


class Quiet:
    @contextlib.contextmanager
    def step(self, title: str, *, usual: float | None = None) -> Iterator[Quiet]:
        yield self

    def update(self, detail: str) -> None: ...

    def note(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...


def test_installing_updates_first_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages.shutil, "which", lambda name: name)
    asked: list[Sequence[str]] = []
    parts: list[str] = []

    def run(argv: Sequence[str], *, timeout: float = 60) -> Result:
        asked.append(argv)
        folder = next(word for word in argv if "SourceParts" in word).partition("=")[2]
        parts.append(Path(folder, "provision.sources").read_text())
        return Result(0, "", "")

    found = packages.SystemPackages(("qemu-utils",), "Types: deb\n", "bookworm-backports", run)
    found.install(Quiet())
    assert [("update" in words, "install" in words) for words in asked] == [
        (True, False),
        (False, True),
    ]
    assert parts == ["Types: deb\n"] * 2
    folder = next(word for word in asked[0] if "SourceParts" in word).partition("=")[2]
    assert not Path(folder).parent.exists()


def test_a_failure_has_apts_words_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages.shutil, "which", lambda name: name)
    found = packages.SystemPackages(
        ("x",), run=lambda argv, timeout=60: Result(100, "", "E: Unable to locate package x\n")
    )
    with pytest.raises(Refused) as caught:
        found.install(Quiet())
    assert caught.value.details == ("E: Unable to locate package x",)
    assert caught.value.hint == found.command


def names(arch: Arch, *have: str, baking: bool) -> tuple[str, ...]:
    found = packages.missing(
        arch, baking=baking, which=lambda name: name if name in have else None,
        os_release=Path("/nonexistent"),
    )  # fmt: skip
    return found.names if found else ()


def test_a_downloaded_image_needs_qemu_only() -> None:
    assert names(AMD64, baking=False) == ("qemu-utils", "qemu-system-x86")
    assert names(AMD64, AMD64.qemu, "qemu-img", baking=False) == ()
    assert "mmdebstrap" in names(AMD64, AMD64.qemu, "qemu-img", baking=True)


def test_on_arm_a_boot_loader_needs_uefi_and_a_baked_image_does_not() -> None:
    arm = ARCHES["aarch64"]
    have = (arm.qemu, *packages.PROGRAMS)
    assert names(arm, *have, baking=True) == ()
    assert names(arm, *have, baking=False) == ("qemu-efi-aarch64",)
    assert names(arm, *have, "/usr/share/edk2/aarch64/QEMU_EFI.fd", baking=False) == ()
