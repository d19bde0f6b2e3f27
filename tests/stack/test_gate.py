"""What participants' servers may ask of the hub, and how else it might be asked. On loopback."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import httpx
import pytest

from tests.stack.web import World, world


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("pages")) as running:
        yield running


@pytest.fixture(autouse=True)
def as_it_was(here: World) -> None:
    here.room.websockets = "echo"
    here.room.seen.clear()


def knock(here: World, method: str, path: str, **fields: str) -> int:
    """The path exactly as it is written, which clients of better manners would tidy up."""
    connection = http.client.HTTPConnection("127.0.0.1", here.caddy.gate, timeout=10)
    connection.putrequest(method, path, skip_host="Host" in fields)
    body = b"{}" if method == "POST" else b""
    for key, value in {"Content-Length": str(len(body)), "Cookie": "secret=1", **fields}.items():
        connection.putheader(key, value)
    connection.endheaders(body)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


OPEN = [
    ("GET", "/hub/api"),
    ("GET", "/hub/api/"),
    ("GET", "/hub/api/user"),
    ("POST", "/hub/api/oauth2/token"),
    ("POST", "/hub/api/users/ann-lee_2/activity"),
]


@pytest.mark.parametrize(("method", "path"), OPEN)
def test_the_gate_lets_through_what_a_server_needs(here: World, method: str, path: str) -> None:
    assert knock(here, method, path, Authorization="token 1") == 200
    ((seen_method, seen_path, fields),) = here.room.seen
    assert (seen_method, seen_path) == (method, path)
    assert fields["authorization"] == "token 1"
    assert "cookie" not in fields


SHUT = [
    ("GET", "/"),
    ("GET", "/hub/login"),
    ("GET", "/hub/api/users"),
    ("GET", "/hub/api/info"),
    ("GET", "/hub/check/bytes"),
    ("GET", "/check/"),
    ("POST", "/hub/api/shutdown"),
    ("POST", "/hub/api/user"),
    ("GET", "/hub/api/users/ann/activity"),
    ("DELETE", "/hub/api/user"),
    ("PUT", "/hub/api/users/ann/activity"),
    ("POST", "/hub/api/users/ann/server"),
    ("POST", "/hub/api/users/ann/tokens/../activity"),
    ("GET", "/hub/api/../api/users/../user"),
    ("GET", "/hub/api/%2e%2e/api/user"),
    ("GET", "/hub/api/users/..%2fuser"),
    ("GET", "//hub/api/user"),
    ("GET", "/hub//api/user"),
    ("GET", "/hub/api/user/"),
    ("GET", "/hub/api/user;a=b"),
    ("GET", "/hub/api/user?a=b"),
    ("GET", "/hub/api/user?"),
    ("GET", "/hub/api/%75ser"),
    ("GET", "/hub/api/user%0a"),
    ("GET", "/hub/api/user%00"),
    ("GET", "/HUB/API/USER"),
    ("POST", "/hub/api/users/ann%2factivity"),
    ("POST", "/hub/api/users/a/b/activity"),
    ("POST", "/hub/api/users/../activity"),
    ("GET", "http://localhost/hub/login"),
]


@pytest.mark.parametrize(("method", "path"), SHUT)
def test_the_gate_lets_nothing_else_through(here: World, method: str, path: str) -> None:
    assert knock(here, method, path) in (400, 403)
    assert not here.room.seen


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:8080", "hub", "proxy:8000"])
def test_no_name_opens_the_site_behind_the_gate(here: World, host: str) -> None:
    for path in ("/hub/login", "/healthy", "/check/"):
        assert knock(here, "GET", path, Host=host) == 403
    assert not here.room.seen


def test_the_gate_takes_no_large_bodies(here: World) -> None:
    url = f"http://127.0.0.1:{here.caddy.gate}/hub/api/users/ann/activity"
    assert httpx.post(url, content=b"x" * 60_000).status_code == 200
    assert httpx.post(url, content=b"x" * 80_000).status_code == 413
