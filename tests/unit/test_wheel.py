"""The wheel carries everything: built, installed into an empty environment, run from there."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("cloud-init/user-data.yaml.j2", "stack/docker-compose.yml", "stack/Dockerfile")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--outdir", str(to), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return to


@pytest.mark.timeout(600)
def test_the_wheel_runs_from_an_empty_environment(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    subprocess.run(
        [home / "bin" / "pip", "install", "--quiet", str(wheel)], check=True, capture_output=True
    )
    environ = {**os.environ, "PROVISION_HOME": str(tmp_path / "home"), "NO_COLOR": "1"}
    environ.pop("PYTHONPATH", None)
    done = subprocess.run(
        [home / "bin" / "provision", "launch", "--provider", "fake", "--users", "2"],
        capture_output=True,
        text=True,
        env=environ,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ready." in done.stdout


def test_the_sdist_carries_what_the_wheel_is_made_of(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert set(SHIPPED) <= names
    assert "provisioner/cli/help.txt" in names
    assert not any(name.startswith((".venv", "artefacts")) for name in names)
