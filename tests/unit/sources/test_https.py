"""A file behind https://: its name, and its size if its keeper says so."""

from __future__ import annotations

import pytest

from provisioner.models import DataSource
from provisioner.sources import Sources, https
from tests.shelf import shelf


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://example.org/a/tiles.tar", "tiles.tar"),
        ("https://example.org/my%20tiles.tar?token=x#y", "my tiles.tar"),
        ("https://example.org/", ""),
        ("https://example.org/a%2Fb", ""),
        ("https://example.org/..", ""),
    ],
)
def test_the_name_is_the_last_of_the_address(address: str, name: str) -> None:
    assert https.file_name(address) == name


def test_the_size_is_what_the_keeper_says() -> None:
    with shelf() as web:
        web.files["/tiles.tar"] = b"12345"
        found = https.look(f"{web.url}/tiles.tar", "0" * 64)
        assert (found.path, found.size, found.sha256) == ("tiles.tar", 5, "0" * 64)
        assert [method for method, *_ in web.asked] == ["HEAD"]


def test_a_keeper_that_says_nothing_or_does_not_answer_is_no_error() -> None:
    with shelf() as web:
        web.files["/a"], web.sizes = b"1", False
        assert https.look(f"{web.url}/a", "").size is None
        assert https.look(f"{web.url}/missing", "").size is None
    assert https.look("http://127.0.0.1:1/a", "").size is None


def test_its_link_is_its_address() -> None:
    source = DataSource("https://example.org/a", "/a", sha256="0" * 64)
    found = https.look("http://127.0.0.1:1/a", "0" * 64)
    (link,) = Sources().links(source, [found])
    assert (str(link.address), link.header) == ("https://example.org/a", "")
