"""cloud-init/bootstrap.sh, run by a shell in a folder, over commands that only take notes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from provisioner.render.assets import asset

NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >> "$NOTES"\n'
FAKES = {
    # No image is there, no registry answers; a build makes them all.
    "docker": 'case "$1" in image) test -e "$NOTES.built"; exit;; pull) exit 1;; esac\n'
    'case "$*" in *build) touch "$NOTES.built";; esac\n',
    "apt-get": "",
    "mmdebstrap": 'for word; do case $word in *.tar) touch "$word";; esac; done\n',
    "systemctl": "",
    "sleep": "",
}


def bootstrap(folder: Path, env_file: str) -> list[str]:
    """What it asked of others, in order."""
    tools, bundle = folder / "bin", folder / "root/bundle"
    for made in (tools, bundle / "ca", folder / "trusted"):
        made.mkdir(parents=True, exist_ok=True)
    for name, script in FAKES.items():
        (tools / name).write_text(NOTE + script)
        (tools / name).chmod(0o755)
    (bundle / ".env").write_text(env_file)
    script = asset("cloud-init/bootstrap.sh").read_text()
    for real, here in {
        "root=/opt/provision": f"root={folder}/root",
        "/usr/local/share/ca-certificates": f"{folder}/trusted",
    }.items():
        assert real in script
        script = script.replace(real, here)
    notes = folder / "notes"
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "NOTES": str(notes)}
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return notes.read_text().splitlines()


BASE = "PROVISION_TAG='t'\nPROVISION_DEBIAN_BASE='base'\n"


def test_private_authorities_are_where_the_build_looks_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted/ours.crt").write_text("PEM")
    asked = bootstrap(tmp_path, BASE)
    assert (tmp_path / "root/bundle/ca/ours.crt").read_text() == "PEM"
    assert any(line.endswith("build build") for line in asked)


def test_without_private_authorities_it_builds_as_well(tmp_path: Path) -> None:
    asked = bootstrap(tmp_path, BASE)
    assert list((tmp_path / "root/bundle/ca").iterdir()) == []
    assert sum(line.endswith("build build") for line in asked) == 1


@pytest.mark.parametrize(
    ("mirror", "end"),
    [
        ("", "base.tar"),
        ("https://mirror.example/debian", "base.tar deb https://mirror.example/debian trixie main"),
    ],
)
def test_the_base_comes_from_the_mirror_where_there_is_one(
    tmp_path: Path, mirror: str, end: str
) -> None:
    asked = bootstrap(tmp_path, f"{BASE}PROVISION_APT_MIRROR='{mirror}'\n")
    (line,) = (line for line in asked if line.startswith("mmdebstrap "))
    assert line.endswith(end)
