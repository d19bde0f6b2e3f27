"""The whole way of a cloud image, from a mirror on loopback into the store."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import Refused
from provisioner.models import GIB, Network
from provisioner.providers.local import download, genericcloud
from provisioner.providers.local.arch import ARCHES
from provisioner.providers.local.image import Golden, Store
from tests.doubles import Listener
from tests.unit.providers.local.mirror import Mirror

AMD64 = ARCHES["x86_64"]
NAME = "debian-13-genericcloud-amd64.qcow2"


def qcow2(filling: bytes = b"", *, backing: int = 0, capacity: int = 3 * GIB) -> bytes:
    """The head of an image, and nothing that would start."""
    return struct.pack(">4sIQIIQ", b"QFI\xfb", 3, backing, 0, 16, capacity) + filling


def release(content: bytes, *, sums: bytes | None = None) -> dict[str, bytes]:
    """What a mirror has: the image among others' checksums."""
    right = hashlib.sha512(content).hexdigest()
    text = f"{'0' * 128}  debian-13-genericcloud-amd64.raw\n{right}  {NAME}\n"
    return {f"/latest/{NAME}": content, "/latest/SHA512SUMS": sums or text.encode()}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror(release(qcow2(b"x" * 200_000))) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "images")


def network(mirror: Mirror) -> Network:
    return Network(ca_bundle="", cloud_image=f"{mirror.url}/latest/{NAME}")


def fetch(store: Store, network: Network, listener: Listener | None = None) -> Golden:
    wanted = genericcloud.original(network, AMD64)
    return genericcloud.fetch(store, network, wanted, listener or Listener())


def left(store: Store) -> list[str]:
    """What is in the store beside locks, which are empty."""
    return sorted(path.name for path in store.path.iterdir() if not path.name.startswith(".lock"))


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_it_is_debians_own_unless_another_is_named(machine: str, arch: str) -> None:
    wanted = genericcloud.original(Network(), ARCHES[machine])
    folder = "https://cloud.debian.org/images/cloud/trixie/latest"
    assert wanted.place == f"{folder}/debian-13-genericcloud-{arch}.qcow2"
    assert wanted.sums == f"{folder}/SHA512SUMS"


def test_it_is_downloaded_verified_and_found_again(mirror: Mirror, store: Store) -> None:
    wanted = genericcloud.original(network(mirror), AMD64)
    assert genericcloud.find(store, wanted) is None
    golden = fetch(store, network(mirror))
    assert golden.disk.read_bytes() == mirror.files[f"/latest/{NAME}"]
    assert (golden.format, golden.capacity) == ("qcow2", 3 * GIB)
    assert golden.boots_itself
    assert genericcloud.find(store, wanted) == golden
    sent = mirror.sent
    assert fetch(store, network(mirror)) == golden
    assert mirror.sent - sent == len(mirror.files["/latest/SHA512SUMS"]), "only asked if it is new"


def test_a_wrong_checksum_is_refused_and_nothing_stays(store: Store) -> None:
    wrong = f"{'a' * 128}  {NAME}\n".encode()
    with Mirror(release(qcow2(), sums=wrong)) as mirror, pytest.raises(Refused) as caught:
        fetch(store, network(mirror))
    assert "is not what" in caught.value.message
    assert "a" * 128 in caught.value.details[0]
    assert left(store) == []


@pytest.mark.parametrize("sums", [b"not checksums at all", f"{'a' * 128}  other.qcow2\n".encode()])
def test_checksums_without_it_are_refused(store: Store, sums: bytes) -> None:
    with Mirror(release(qcow2(), sums=sums)) as mirror:
        with pytest.raises(Refused, match="does not name"):
            fetch(store, network(mirror))
        assert f"/latest/{NAME}" in mirror.files
        assert len(mirror.asked) == 1, "the image itself is not even asked for"


def test_an_interrupted_download_is_continued(mirror: Mirror, store: Store) -> None:
    mirror.break_off_after = 90_000
    golden = fetch(store, network(mirror))
    assert golden.disk.read_bytes() == mirror.files[f"/latest/{NAME}"]


def test_ctrl_c_leaves_nothing_half_made(
    mirror: Mirror, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(http: object, url: str, target: Path, tell: object) -> None:
        target.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(store, network(mirror))
    assert left(store) == []


def test_a_ruin_of_a_kill_is_swept_by_the_next(mirror: Mirror, store: Store) -> None:
    golden = fetch(store, network(mirror))
    store.remove(store.images({})[0])
    ruin = store.work(golden.path.name) / "image"
    ruin.mkdir(parents=True)
    (ruin / "disk.qcow2").write_bytes(b"from a killed run")
    assert fetch(store, network(mirror)).disk.read_bytes() == mirror.files[f"/latest/{NAME}"]
    assert left(store) == [golden.path.name]


def test_a_newer_one_is_taken_and_the_old_one_stays_for_its_machines(
    mirror: Mirror, store: Store
) -> None:
    old = fetch(store, network(mirror))
    mirror.files = release(qcow2(b"newer"))
    new = fetch(store, network(mirror))
    assert new != old
    assert old.exists()
    assert genericcloud.find(store, genericcloud.original(network(mirror), AMD64)) == new


def test_a_folder_that_root_made_is_refused_in_words(
    mirror: Mirror, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(store.path))

    monkeypatch.setattr(genericcloud.bake, "sweep", denied)
    with pytest.raises(Refused, match="Permission denied") as caught:
        fetch(store, network(mirror))
    assert "chown" in caught.value.hint


def test_offline_the_one_that_is_here_will_do(mirror: Mirror, store: Store) -> None:
    golden = fetch(store, network(mirror))
    mirror.files = {}
    listener = Listener()
    assert fetch(store, network(mirror), listener) == golden
    assert "taking the image that was downloaded before" in listener.words[0]


def test_offline_without_one_the_way_out_is_named(mirror: Mirror, store: Store) -> None:
    mirror.files = {}
    with pytest.raises(Refused, match="answers 404") as caught:
        fetch(store, network(mirror))
    assert "network.cloud_image" in caught.value.hint


def test_too_little_disk_is_refused_before_the_download(
    mirror: Mirror, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(genericcloud, "DISK_NEEDED", 1 << 60)
    with pytest.raises(Refused, match="GiB of disk"):
        fetch(store, network(mirror))
    assert len(mirror.asked) == 1
    assert left(store) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a raw disk" * 10, "is not a qcow2 image"), (qcow2(backing=104), "is an overlay")],
    ids=["raw", "overlay"],
)
def test_what_would_not_start_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "mine.img").write_bytes(content)
    store = Store(tmp_path / "images")
    with pytest.raises(Refused, match=words):
        fetch(store, Network("", cloud_image=str(tmp_path / "mine.img")))
    assert left(store) == []


def test_a_file_of_this_computer_serves_and_is_known_by_its_content(tmp_path: Path) -> None:
    file, store = tmp_path / "mine.qcow2", Store(tmp_path / "images")
    file.write_bytes(qcow2(b"one"))
    mine = Network("", cloud_image=str(file))
    first = fetch(store, mine)
    assert fetch(store, mine) == first
    file.write_bytes(qcow2(b"two"))
    assert fetch(store, mine) != first
    with pytest.raises(Refused, match="there is no file"):
        fetch(store, replace(mine, cloud_image=str(tmp_path / "none")))


def test_a_files_checksums_beside_it_are_minded(tmp_path: Path) -> None:
    (tmp_path / "mine.qcow2").write_bytes(qcow2())
    (tmp_path / "SHA512SUMS").write_text(f"{'b' * 128}  mine.qcow2\n")
    with pytest.raises(Refused, match="is not what"):
        fetch(Store(tmp_path / "images"), Network("", cloud_image=str(tmp_path / "mine.qcow2")))


def test_https_is_verified_against_the_institutions_authority(tmp_path: Path, store: Store) -> None:
    with Mirror(release(qcow2()), authority=tmp_path) as mirror:
        unknown = network(mirror)
        with pytest.raises(Refused, match="CERTIFICATE_VERIFY_FAILED"):
            fetch(store, unknown)
        wanted = genericcloud.original(unknown, AMD64)
        assert "does not answer" in genericcloud.why_not(unknown, wanted)
        known = replace(unknown, ca_bundle=str(tmp_path / "ca.crt"))
        assert genericcloud.why_not(known, wanted) == ""
        assert fetch(store, known).exists()


def test_ssl_cert_file_is_honoured(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Mirror(release(qcow2()), authority=tmp_path) as mirror:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        assert fetch(store, network(mirror)).exists()
