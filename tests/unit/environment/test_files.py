"""What the settings say is what the files said when they were read."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.environment.files import LARGEST
from provisioner.errors import UsageError
from provisioner.settings import Settings, load, recorded


def workshop(folder: Path, environment: str) -> Settings:
    (folder / "w.toml").write_text(f"[environment]\n{environment}\n")
    return load({}, file=folder / "w.toml", environ={})


def test_a_workshop_that_exists_does_not_change_with_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    (folder / "data" / ".git").mkdir(parents=True)
    (folder / "data" / ".git" / "config").write_text("x")
    (folder / "Dockerfile").write_text("FROM a\nCOPY data /data\n")
    (folder / "data" / "blob").write_bytes(b"\xff\x00")
    (folder / "data" / "odd.txt").write_text("base64:not really")
    (tmp_path / "requirements.txt").write_text("xarray\n-c pins.txt\n")
    (tmp_path / "pins.txt").write_text("numpy==2.3\n")
    toml = 'dockerfile = "image"\nrequirements = ["requirements.txt"]\npython = ["rasterio"]'
    settings = workshop(tmp_path, toml)
    record = settings.model_dump(mode="json")
    for file in (*folder.rglob("*"), tmp_path / "requirements.txt", tmp_path / "pins.txt"):
        if file.is_file():
            file.unlink()
    for kept in (settings, recorded(record)):
        environment = kept.environment_for("")
        assert environment.python == ("rasterio", "xarray")
        assert environment.constraints == ("numpy==2.3",)
        assert dict(environment.context) == {
            "Dockerfile": b"FROM a\nCOPY data /data\n",
            "data/blob": b"\xff\x00",
            "data/odd.txt": b"base64:not really",
        }


def test_a_single_dockerfile_will_do(tmp_path: Path) -> None:
    (tmp_path / "my.dockerfile").write_text("FROM a\n")
    settings = workshop(tmp_path, 'dockerfile = "my.dockerfile"')
    assert settings.environment_for("").context == (("Dockerfile", b"FROM a\n"),)


def problem(folder: Path, environment: str) -> str:
    with pytest.raises(UsageError) as caught:
        workshop(folder, environment)
    return "\n".join(caught.value.details)


def test_what_can_not_be_made_elsewhere_is_refused_before_anything_is_begun(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy\n-e .\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.dockerfile").write_text("RUN x\n")
    (tmp_path / "ok.dockerfile").write_text("FROM a\n")
    told = problem(tmp_path, 'requirements = ["requirements.txt", "gone.txt"]')
    assert "requirements.txt, line 2: '-e .'" in told
    assert "gone.txt" in problem(tmp_path, 'requirements = ["gone.txt"]')
    assert "is not a requirement" in problem(tmp_path, 'python = ["numpy=2"]')
    assert "no Dockerfile in" in problem(tmp_path, 'dockerfile = "empty"')
    assert "can't be read" in problem(tmp_path, 'dockerfile = "gone"')
    assert "no FROM" in problem(tmp_path, 'dockerfile = "bad.dockerfile"')
    both = 'dockerfile = "ok.dockerfile"\nbase_image = "python:3.13"'
    assert "one of the two" in problem(tmp_path, both)


def test_a_large_folder_is_refused_with_its_size(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    (tmp_path / "big").write_bytes(bytes(LARGEST + 1))
    told = problem(tmp_path, 'dockerfile = "."')
    assert f"{LARGEST + 1:,} bytes" in told
    assert "base_image" in told


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_a_record_can_not_write_outside_the_folder(name: str) -> None:
    with pytest.raises(UsageError):
        recorded({"environment": {"dockerfile": {"Dockerfile": "FROM a\n", name: "x"}}})


def test_what_dockerignore_names_is_in_no_record(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    (folder / "app").mkdir(parents=True)
    for name in ("Dockerfile", "app/run.py", "app/.env", ".env"):
        (folder / name).write_text("FROM a\n")
    (folder / "huge").write_bytes(bytes(LARGEST + 1))
    (folder / ".dockerignore").write_text("**/.env\nhuge\nDockerfile\n")
    settings = workshop(tmp_path, 'dockerfile = "image"')
    assert dict(settings.environment_for("").context).keys() == {"Dockerfile", "app/run.py"}
    (folder / "Dockerfile.dockerignore").write_text("*\n!app/run.py\n")
    (folder / "another").write_text("x")
    settings = workshop(tmp_path, 'dockerfile = "image"')
    assert dict(settings.environment_for("").context).keys() == {"Dockerfile", "app/run.py"}


def test_a_dockerignore_that_is_not_understood_is_refused_rather_than_passed_over(
    tmp_path: Path,
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    (tmp_path / ".dockerignore").write_text("[\n")
    assert "not a pattern of Docker's" in problem(tmp_path, 'dockerfile = "."')
