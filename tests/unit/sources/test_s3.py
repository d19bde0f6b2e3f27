"""Objects of S3, by way of boto3 as it is and a made-up S3 on loopback; curl fetches them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from provisioner.errors import NotReady, Refused
from provisioner.models import DataSource, Download
from provisioner.sources import Sources
from tests.cloud.fixture import FakeAws, fake_aws
from tests.server_folder import ServerFolder
from tests.shelf import shelf

LARGE = os.urandom(2_000_000)


@pytest.fixture(scope="module")
def cloud() -> Iterator[FakeAws]:
    with fake_aws() as made:
        yield made


@pytest.fixture(autouse=True)
def s3(cloud: FakeAws, monkeypatch: pytest.MonkeyPatch) -> Any:
    cloud.reset()
    for key, value in cloud.environ.items():
        monkeypatch.setenv(key, value)
    client = boto3.client("s3", region_name="eu-central-1")
    region = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket="tiles", CreateBucketConfiguration=region)
    for key, body in {
        "2025/a.npy": b"1",
        "2025/sub/b c.npy": LARGE,
        "2025/empty": b"",
        "2025/sub/": b"",
        "2025-notes": b"not below the prefix",
        "other": b"3",
    }.items():
        client.put_object(Bucket="tiles", Key=key, Body=body)
    return client


def source(address: str) -> DataSource:
    return DataSource(address, "/tessera")


def listed(address: str) -> dict[str, int | None]:
    return {item.path: item.size for item in Sources().listing(source(address))}


@pytest.mark.parametrize("address", ["s3://tiles/2025", "s3://tiles/2025/"])
def test_a_prefix_is_a_folder(address: str) -> None:
    assert listed(address) == {"a.npy": 1, "empty": 0, "sub/b c.npy": len(LARGE)}


def test_an_object_is_a_file_and_a_bucket_is_everything() -> None:
    assert listed("s3://tiles/2025/a.npy") == {"a.npy": 1}
    assert set(listed("s3://tiles")) == {
        *("2025/a.npy", "2025/empty", "2025/sub/b c.npy"),
        *("2025-notes", "other"),
    }


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://no-such-bucket/a", "there is no such bucket"),
        ("s3://tiles/nothing", "There is nothing at s3://tiles/nothing"),
    ],
)
def test_what_is_not_there_is_refused(address: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        listed(address)


@pytest.mark.parametrize("key", ["odd/../../etc/passwd", "odd//double", "odd/file/below"])
def test_names_that_are_no_file_names_are_refused(s3: Any, key: str) -> None:
    s3.put_object(Bucket="tiles", Key="odd/file", Body=b"1")
    s3.put_object(Bucket="tiles", Key=key, Body=b"2")
    with pytest.raises(Refused, match="can't be a file in a folder"):
        listed("s3://tiles/odd")


def test_a_profile_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused, match="nobody"):
        Sources(profile="nobody").listing(source("s3://tiles"))


def test_links_hold_no_key_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-key-itself")
    wanted = source("s3://tiles/2025")
    found = Sources().listing(wanted)
    link = Sources().links(wanted, found)[0]
    assert "X-Amz-Expires=43200" in link.address
    assert "the-key-itself" not in link.address
    assert "Signature" not in repr(link), "logs and tracebacks show dots"


def test_links_are_signed_for_the_region_that_the_bucket_is_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with shelf() as web:
        web.files["/tiles"] = b" "
        web.headers["x-amz-bucket-region"] = "eu-central-1"
        monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
        item = Download("a", 1, version='"etag"', key="2025/a")
        (link,) = Sources().links(source("s3://tiles/2025"), [item])
    assert "eu-central-1%2Fs3%2Faws4_request" in str(link.address)
    assert link.header == 'If-Match: "etag"'


def test_without_credentials_an_open_bucket_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    wanted = source("s3://tiles/other")
    found = Sources().listing(wanted)
    (link,) = Sources().links(wanted, found)
    assert "Signature" not in str(link.address)


def test_the_server_fetches_them(tmp_path: Path, s3: Any) -> None:
    wanted, sources = source("s3://tiles/2025"), Sources()
    server, target = ServerFolder(tmp_path / "server"), tmp_path / "0"

    def fetch() -> list[int]:
        sizes: list[int] = []
        server.fetch_tree(
            sources.listing(wanted),
            str(target),
            lambda items: sources.links(wanted, items),
            lambda there, total: sizes.append(there),
        )
        return sizes

    assert fetch()[-1] == len(LARGE) + 1
    assert (target / "sub" / "b c.npy").read_bytes() == LARGE
    assert (target / "empty").read_bytes() == b""
    assert fetch() == [], "nothing is fetched twice"
    s3.put_object(Bucket="tiles", Key="2025/a.npy", Body=b"changed")
    s3.delete_object(Bucket="tiles", Key="2025/empty")
    fetch()
    assert (target / "a.npy").read_bytes() == b"changed"
    assert not (target / "empty").exists()


def test_an_object_that_changes_after_it_was_listed_is_not_mixed(tmp_path: Path, s3: Any) -> None:
    wanted, sources = source("s3://tiles/2025/a.npy"), Sources()
    found = sources.listing(wanted)
    s3.put_object(Bucket="tiles", Key="2025/a.npy", Body=b"2")
    with pytest.raises(NotReady, match="has changed since it was listed"):
        ServerFolder(tmp_path / "server").fetch_tree(
            found,
            str(tmp_path / "0"),
            lambda items: sources.links(wanted, items),
            lambda there, total: None,
        )
