"""When which notice is given: the times of stack/notices.py, without a hub."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from provisioner.render import commands

STACK = Path(__file__).parents[2] / "stack"
BEFORE = [1800.0, 300.0]


@pytest.fixture(scope="module")
def notices() -> ModuleType:
    sys.path.insert(0, str(STACK))
    try:
        spec = importlib.util.spec_from_file_location("notices", STACK / "notices.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(STACK))
    return module


def test_the_deadline_is_read_as_extend_writes_it(notices: ModuleType) -> None:
    at = datetime(2026, 1, 31, 17, 0, tzinfo=UTC)
    text = f"[Timer]\nOnCalendar={commands.calendar(at)}\nOnBootSec=10min\n"
    assert notices.deadline(text) == at
    assert notices.deadline("[Timer]\nOnBootSec=10min\n") is None


@pytest.mark.parametrize(
    ("left", "notice"),
    [(3600, 0), (1801, 0), (1800, 1800), (301, 1800), (300, 300), (5, 300), (0, 0), (-60, 0)],
)
def test_the_nearest_notice_alone(notices: ModuleType, left: int, notice: int) -> None:
    assert notices.due(left, BEFORE) == notice


def test_everybody_is_told_once_and_who_comes_later_too(
    notices: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, away, heard = ["user01", "user02"], {"user02"}, []
    monkeypatch.setattr(
        notices, "ask", lambda *_: {"status": 200, "body": [{"name": name} for name in here]}
    )

    def tell(name: str, text: str) -> bool:
        if name not in away:
            heard.append(name)
        return name not in away

    monkeypatch.setattr(notices, "tell", tell)
    told: set[str] = set()
    notices.tell_all("soon", told)
    away.clear()
    here.append("user03")
    notices.tell_all("soon", told)
    notices.tell_all("soon", told)
    assert sorted(heard) == ["user01", "user02", "user03"]


@contextmanager
def proxy(notices: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """In front of everybody's server; keeps what each could read: path and token."""
    read: list[tuple[str, str]] = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            read.append((self.path, str(self.headers["Authorization"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        monkeypatch.setattr(notices, "PROXY", ("127.0.0.1", server.server_port))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield read
        server.shutdown()


def test_a_server_is_sent_what_opens_it_alone_and_for_a_moment(
    notices: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner may read whatever comes in."""
    asked: list[Any] = []

    def hub(method: str, path: str, body: Any = None) -> dict[str, Any]:
        asked.append((method, path, body and body["scopes"]))
        if method == "POST":
            return {"status": 201, "body": {"token": f"of {path}", "id": "a7"}}
        return {"status": 204, "body": None}

    monkeypatch.setattr(notices, "ask", hub)
    with proxy(notices, monkeypatch) as read:
        assert notices.tell("user01", "soon")
        assert notices.tell("user02", "soon")
    assert asked[:2] == [
        ("POST", "/users/user01/tokens", ["access:servers!user=user01"]),
        ("DELETE", "/users/user01/tokens/a7", None),
    ]
    ingest = "jupyterlab-notifications-extension/ingest"
    assert read == [
        (f"/user/{name}/{ingest}", f"token of /users/{name}/tokens")
        for name in ("user01", "user02")
    ]


def test_a_hub_that_is_away_is_asked_again(
    notices: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "ask", lambda *_: {"status": 0, "body": "refused"})
    told: set[str] = set()
    notices.tell_all("soon", told)
    assert told == set()


def test_says_how_long_and_what_to_do(notices: ModuleType) -> None:
    assert "ends in 30 minutes" in notices.message(1795.0)
    assert "ends in 1 minute," in notices.message(20.0)
    assert "Download" in notices.message(300.0)
