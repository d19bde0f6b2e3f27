"""The bundle's way onto a server that is a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from provisioner.models import Bundle
from provisioner.render import delivery

FILES = {".env": b"A='1'\n", "run": b"#!/bin/sh\n", "own/bytes": bytes(range(256))}
BUNDLE = Bundle(tuple(FILES.items()), "k")


def put(
    folder: Path, archive: bytes, *, size: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    """`size`: of the whole archive, when `archive` is a part of it."""
    command = delivery.put_bundle(size or len(archive)).replace("/opt/provision", str(folder))
    return subprocess.run(["sh", "-c", command], input=archive, capture_output=True, check=False)


def there(folder: Path) -> dict[str, bytes]:
    files = (path for path in (folder / "bundle").rglob("*") if path.is_file())
    return {str(path.relative_to(folder / "bundle")): path.read_bytes() for path in files}


def test_it_arrives_as_it_is_and_only_scripts_are_executable(tmp_path: Path) -> None:
    assert put(tmp_path, delivery.bundle_archive(BUNDLE)).returncode == 0
    assert there(tmp_path) == FILES
    assert (tmp_path / "bundle/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "bundle/.env").stat().st_mode & 0o777 == 0o644


def test_half_of_it_is_not_taken_for_a_bundle(tmp_path: Path) -> None:
    whole = delivery.bundle_archive(BUNDLE)
    for part in (0, 700, 1024, len(whole) - 1):  # at 1024 .env is whole, and tar content
        cut = put(tmp_path, whole[:part], size=len(whole))
        assert cut.returncode != 0, part
        assert b"only a part" in cut.stderr
        assert there(tmp_path) == {}
    assert put(tmp_path, whole).returncode == 0
    assert there(tmp_path) == FILES
    assert not list(tmp_path.glob("bundle.*"))


def test_one_that_is_in_use_stays(tmp_path: Path) -> None:
    put(tmp_path, delivery.bundle_archive(BUNDLE))
    other = Bundle(((".env", b"A='2'\n"),), "k")
    assert put(tmp_path, delivery.bundle_archive(other)).returncode == 0
    assert there(tmp_path) == FILES
