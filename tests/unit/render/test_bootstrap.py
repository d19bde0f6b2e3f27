"""cloud-init/bootstrap.sh, run by a shell in a folder, over commands that only take notes."""

from __future__ import annotations

import json
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
    "mkfs.xfs": "",
    "xfs_quota": "",
}


def bootstrap(folder: Path, env_file: str, **others: str) -> list[str]:
    """What it asked of others, in order; `others` are told otherwise than in FAKES."""
    tools, bundle = folder / "bin", folder / "root/bundle"
    for made in (tools, bundle / "ca", folder / "trusted"):
        made.mkdir(parents=True, exist_ok=True)
    for name, script in (FAKES | others).items():
        (tools / name).write_text(NOTE + script)
        (tools / name).chmod(0o755)
    (bundle / ".env").write_text(env_file)
    (bundle / "build").write_text(asset("stack/build").read_text())
    script = asset("cloud-init/bootstrap.sh").read_text()
    for real, here in {
        "root=/opt/provision": f"root={folder}/root",
        "/usr/local/share/ca-certificates": f"{folder}/trusted",
        "/etc/docker": f"{folder}/docker",
    }.items():
        assert real in script
        script = script.replace(real, here)
    notes = folder / "notes"
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "NOTES": str(notes)}
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "root/bootstrapped").exists()
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


def test_what_another_distribution_lacks_for_a_base_from_packages_comes_too(tmp_path: Path) -> None:
    asked = bootstrap(tmp_path, BASE)
    (line,) = (line for line in asked if line.startswith("apt-get ") and "mmdebstrap" in line)
    assert "debian-archive-keyring" in line.split(), "whom Ubuntu does not trust by itself"


def test_one_that_fails_leaves_no_mark(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the build failed; once more"):
        bootstrap(
            tmp_path,
            BASE,
            docker='case "$1" in image | pull) exit 1;; esac\ncase "$*" in *build) exit 1;; esac\n',
        )
    assert not (tmp_path / "root/bootstrapped").exists()


def test_what_services_need_to_know_of_each_other_is_made_once_and_for_root_alone(
    tmp_path: Path,
) -> None:
    bootstrap(tmp_path, BASE)
    made = {name: tmp_path / "root/secrets" / name for name in ("proxy.env", "hub.env")}
    before = {name: path.read_text() for name, path in made.items()}
    assert before["proxy.env"].startswith("CONFIGPROXY_AUTH_TOKEN=")
    assert before["hub.env"].startswith("PROVISION_HUB_TOKEN=")
    assert len({text.partition("=")[2] for text in before.values()}) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in made.values())
    bootstrap(tmp_path, BASE)
    assert {name: path.read_text() for name, path in made.items()} == before


def test_containers_outlive_docker_on_machines_of_our_own(tmp_path: Path) -> None:
    asked = bootstrap(tmp_path, BASE)
    assert json.loads((tmp_path / "docker/daemon.json").read_text()) == {"live-restore": True}
    assert "systemctl reload docker.service" in asked


def test_somebody_elses_docker_stays_configured_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/host.json").write_text("{}")
    asked = bootstrap(tmp_path, BASE)
    assert not (tmp_path / "docker").exists()
    assert "systemctl reload docker.service" not in asked


def test_an_own_dockerfile_is_built_before_the_images_that_start_from_it(tmp_path: Path) -> None:
    custom = tmp_path / "root/bundle/environment/custom"
    custom.mkdir(parents=True)
    (custom / "Dockerfile").write_text("FROM a")
    asked = [line for line in bootstrap(tmp_path, BASE) if line.startswith("docker ")]
    first, second = (line for line in asked if " build" in line)
    assert first.endswith("--tag provision-custom:t environment/custom")
    assert second.endswith("build build")
