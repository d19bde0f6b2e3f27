"""Asking the hub, and ending sessions, over a remote that answers as stack/ask.py does."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from provisioner.errors import NotReady, NotYet
from provisioner.models import Result
from provisioner.render import hub
from provisioner.workflow.hub import ask, end_sessions
from tests.doubles import FakeClock


class Remote:
    """Answers each question with the next status that is left for its path."""

    def __init__(self, **statuses: list[int]) -> None:
        self._statuses = statuses
        self.asked: list[tuple[str, str]] = []

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        assert command == hub.ASK
        lines = []
        for line in stdin.splitlines():
            question = json.loads(line)
            self.asked.append((question["method"], question["path"]))
            left = self._statuses[question["path"].rpartition("/")[2]]
            status = left.pop(0) if len(left) > 1 else left[0]
            lines.append(json.dumps({"status": status, "body": {"message": f"it is {status}"}}))
        return Result(0, "\n".join(lines), "")


def test_everybody_is_asked_for_until_they_are_gone() -> None:
    """400 is the hub's answer while a server is stopping, 500 while it is starting."""
    remote = Remote(user01=[204], user02=[400, 400, 204], user03=[500, 404])
    end_sessions(remote, ["user01", "user02", "user03"], FakeClock())  # type: ignore[arg-type]
    assert remote.asked.count(("DELETE", "/users/user01")) == 1
    assert remote.asked.count(("DELETE", "/users/user02")) == 3
    assert remote.asked.count(("DELETE", "/users/user03")) == 2


@pytest.mark.parametrize("status", [400, 403])
def test_what_never_ends_is_said_in_the_hubs_words(status: int) -> None:
    with pytest.raises(NotReady, match=f"user01.*it is {status}"):
        end_sessions(Remote(user01=[status]), ["user01"], FakeClock())  # type: ignore[arg-type]


def test_nobody_is_nothing_to_ask() -> None:
    end_sessions(Remote(), [], FakeClock())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        lambda: Result(1, "", "service hub is not running"),
        lambda: Result(0, "", ""),
        lambda: Result(0, "Traceback\n", ""),
        lambda: Result(0, '{"status": 0, "body": "Connection refused"}\n', ""),
        lambda: Result(0, '{"status": 503, "body": null}\n', ""),
    ],
)
def test_a_hub_that_is_away_is_asked_again(said: Callable[[], Result]) -> None:
    class Away:
        def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
            return said()

    with pytest.raises(NotYet):
        ask(Away(), [hub.question("GET", "/users")])  # type: ignore[arg-type]
