"""Everybody's server before they come, over a remote that says what stack/prewarm.py would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from provisioner.errors import NotReady, NotYet
from provisioner.models import Result, Server, ServerState
from provisioner.protocols import Step
from provisioner.render import hub
from provisioner.settings import Settings
from provisioner.store import Record
from provisioner.workflow.launch import launch
from provisioner.workflow.prewarm import Warmed, prewarm, prewarm_launched, refuse_failures
from provisioner.workflow.tools import Tools
from tests.doubles import FakeClock, Listener, fake_tools

LINES = [
    {"total": 3},
    {"name": "user01", "ok": True, "seconds": 2.5},
    {"name": "user02", "ok": False, "seconds": 9.0, "why": "no such image"},
    {"name": "user03", "ok": True, "seconds": 0.0},
]


class Hub:
    """A remote whose hub says these lines, cut anywhere, as a network cuts them."""

    def __init__(self, said: bytes, code: int = 0) -> None:
        self._said, self._code = said, code

    def receive(self, command: str, sink: BinaryIO, *, timeout: float = 60) -> Result:
        assert command == hub.PREWARM
        for start in range(0, len(self._said), 7):
            sink.write(self._said[start : start + 7])
        return Result(self._code, "", "the hub's container is gone" if self._code else "")

    def close(self) -> None: ...


class Watcher(Listener):
    """Keeps each state of a step's small print."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []

    @contextmanager
    def step(self, title: str, *, usual: float | None = None) -> Iterator[Step]:
        self.steps.append(title)
        yield self

    def update(self, detail: str) -> None:
        self.shown.append(detail)


def text(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    settings = Settings(provider="fake", users=3, name="three", prewarm=False)
    return launch(fake_tools(tmp_path), settings, base_image="").record


@pytest.fixture
def server() -> Server:
    return Server("id", ServerState.RUNNING, "127.0.0.1", "192.0.2.1", 22, 443)


def with_hub(tmp_path: Path, hub: Hub) -> Tools:
    tools = fake_tools(tmp_path)
    return replace(tools, connect=lambda server, folder: hub, reporter=Watcher(), clock=FakeClock())


def test_counts_as_they_come_and_keeps_the_reasons(
    tmp_path: Path, record: Record, server: Server
) -> None:
    tools = with_hub(tmp_path, Hub(text(*LINES)))
    warmed = prewarm(tools, record, server, kind="fake")
    assert warmed == (
        Warmed("user01", True, 2.5),
        Warmed("user02", False, 9.0, "no such image"),
        Warmed("user03", True, 0.0),
    )
    assert tools.reporter.shown[-1] == "2 of 3"
    with pytest.raises(NotReady, match="1 of 3 servers") as refused:
        refuse_failures(warmed, "three")
    assert refused.value.details == ("user02: no such image",)


@pytest.mark.parametrize(("said", "code"), [(LINES[:2], 1), (LINES[:2], 0), ([], 0)])
def test_a_hub_that_goes_away_half_way_is_not_success(
    tmp_path: Path, record: Record, server: Server, said: list[dict[str, Any]], code: int
) -> None:
    tools = with_hub(tmp_path, Hub(text(*said), code))
    with pytest.raises(NotYet, match="no more"):
        prewarm(tools, record, server, kind="fake")


def test_noise_between_the_lines_is_no_line(tmp_path: Path, record: Record, server: Server) -> None:
    noise = b"WARN[0000] a variable is not set\n"
    tools = with_hub(tmp_path, Hub(noise + text(*LINES[:1]) + noise + text(*LINES[1:])))
    assert len(prewarm(tools, record, server, kind="fake")) == 3


@pytest.mark.parametrize("hub", [Hub(text(*LINES)), Hub(text(*LINES[:2]), 1)])
def test_never_fails_a_launch_and_says_what_to_type(
    tmp_path: Path, record: Record, server: Server, hub: Hub
) -> None:
    tools = with_hub(tmp_path, hub)
    prewarm_launched(tools, record, server, kind="fake")
    assert "provision prewarm three" in tools.reporter.words[-1]
    assert tools.reporter.words[-1].startswith("warning")


def test_an_emulated_machine_is_left_alone(tmp_path: Path, record: Record, server: Server) -> None:
    tools = with_hub(tmp_path, Hub(b"", 1))
    prewarm_launched(tools, record, replace(server, slow=True), kind="fake")
    assert tools.reporter.steps == []
    assert "provision prewarm three" in tools.reporter.words[0]
