"""Against a web server on loopback that breaks off, starts over, or answers nonsense."""

from __future__ import annotations

import hashlib
import random
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import Refused
from provisioner.providers.local import download
from tests.unit.providers.local.mirror import Mirror

CONTENT = random.Random(1).randbytes(300_000)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror({"/image": CONTENT}) as running:
        yield running


def fetched(mirror: Mirror, target: Path, path: str = "/image") -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    with download.client(ssl.create_default_context()) as http:
        download.download(http, mirror.url + path, target, lambda *said: told.append(said))
    return told


def test_all_of_it_arrives_and_is_told_in_bytes(mirror: Mirror, tmp_path: Path) -> None:
    told = fetched(mirror, tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_download_goes_on_where_it_was(mirror: Mirror, tmp_path: Path) -> None:
    mirror.break_off_after = 100_000
    fetched(mirror, tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == CONTENT
    first, second, third, *_ = mirror.asked
    assert first == ""
    assert second.startswith("bytes=")
    assert third.startswith("bytes=")
    assert mirror.sent == len(CONTENT), "nothing came twice"


def test_a_server_that_cannot_go_on_starts_over(mirror: Mirror, tmp_path: Path) -> None:
    mirror.ranges = False
    (tmp_path / "image").write_bytes(b"something else, and longer" * 20_000)
    fetched(mirror, tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == CONTENT


def test_what_is_complete_is_not_asked_for_again(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(CONTENT)
    fetched(mirror, tmp_path / "image")
    assert mirror.sent == 0
    assert (tmp_path / "image").read_bytes() == CONTENT


def test_a_connection_that_never_lasts_is_given_up(mirror: Mirror, tmp_path: Path) -> None:
    mirror.break_off_after = 1
    with pytest.raises(Refused, match=f"broke off {download.ATTEMPTS} times"):
        fetched(mirror, tmp_path / "image")


def test_a_refusal_is_final(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="answers 404"):
        fetched(mirror, tmp_path / "image", "/nothing")
    assert len(mirror.asked) == 1


def test_too_little_room_is_said_before_a_byte_is_kept(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = download.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(Refused, match="0 MB more"):
        fetched(mirror, tmp_path / "image")
    assert not (tmp_path / "image").exists()


def test_nobody_home_is_said_in_words() -> None:
    with (
        download.client(ssl.create_default_context()) as http,
        pytest.raises(Refused, match="does not answer"),
    ):
        download.text(http, "http://127.0.0.1:9/SHA512SUMS")


def test_the_checksum_is_sha512(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    assert download.sha512(tmp_path / "x") == hashlib.sha512(CONTENT).hexdigest()


def test_a_file_of_this_computer_is_copied_in_the_same_manner(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(CONTENT)
    told: list[tuple[int, int]] = []
    download.copy(tmp_path / "from", tmp_path / "to", lambda *said: told.append(said))
    assert (tmp_path / "to").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
