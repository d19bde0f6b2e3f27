"""The crowd's order of events, with guests who need no server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provisioner.models import Secret
from provisioner.remote import crowd
from provisioner.remote.guest import Failed
from provisioner.visits import Cause, Cell, Effort, Heard, Held, Script, Span, Stage

LOG: list[tuple[str, str]] = []


class Puppet:
    """A guest whose steps take no time, unless its name says otherwise."""

    def __init__(self, script: Script, context: Any, username: str, password: str) -> None:
        self.name = username

    async def _act(self, what: str) -> None:
        LOG.append((self.name, what))
        if self.name == "late":
            await asyncio.sleep(0.05)
        if self.name == what:
            raise Failed(Cause.HUB, f"no {what}")

    async def login(self) -> None:
        await self._act("login")

    async def has_server(self) -> bool:
        return self.name != "serverless"

    async def get_server(self) -> None:
        await self._act("server")

    async def start_kernel(self) -> None:
        await self._act("kernel")

    async def run(self, cell: Cell) -> None:
        await self._act(f"cell {cell.number}")
        if self.name == "stuck" and cell.number == 2:
            await asyncio.sleep(3600)

    async def sit(self, over: asyncio.Event) -> None:
        LOG.append((self.name, "sits"))
        await over.wait()

    async def tidy(self) -> None:
        LOG.append((self.name, "tidies"))

    async def leave(self) -> None:
        await asyncio.sleep(0.2 if self.name == "late" else 0)  # until its kernel has ended
        LOG.append((self.name, "leaves"))


@pytest.fixture(autouse=True)
def puppets(monkeypatch: pytest.MonkeyPatch) -> None:
    LOG.clear()
    monkeypatch.setattr(crowd, "Guest", Puppet)


def script(*names: str, **others: Any) -> Script:
    guests = tuple((name, Secret("x")) for name in names)
    cells = (Cell(1, "a"), Cell(2, "b"))
    return Script("https://localhost", "", guests, cells, hold=0, **others)


def attended(*names: str, **others: Any) -> list[Heard]:
    heard: list[Heard] = []
    crowd.attend(script(*names, **others), heard.append)
    return heard


def of(heard: list[Heard], kind: type) -> list[Any]:
    return [item for item in heard if isinstance(item, kind)]


def test_nobody_leaves_before_the_last_has_arrived() -> None:
    heard = attended("quick", "late", "other")
    assert of(heard, Held)[0].people == 3
    at = LOG.index
    assert at(("late", "sits")) < at(("quick", "leaves"))
    assert at(("late", "sits")) < at(("quick", "cell 0")), "one more cell after the hold"
    stages = [span.stage for span in of(heard, Span) if span.username == "quick"]
    assert stages == list(Stage)
    assert isinstance(heard[-1], Effort)


@pytest.mark.parametrize(
    ("where", "stage"),
    [("login", Stage.LOGIN), ("server", Stage.SERVER), ("cell 2", Stage.NOTEBOOK)],
)
def test_who_fails_is_told_with_the_stage_and_the_others_go_on(where: str, stage: Stage) -> None:
    heard = attended("quick", where)
    (failed,) = [span for span in of(heard, Span) if span.failure]
    assert (failed.username, failed.stage) == (where, stage)
    assert failed.failure is not None
    assert failed.failure.words == f"no {where}"
    assert of(heard, Held)[0].people == 1
    assert ("quick", "cell 0") in LOG
    assert LOG.count((where, "leaves")) == 1


def test_nobody_waits_for_ever() -> None:
    heard = attended("quick", "stuck", patience=0.0005)
    (failed,) = [span for span in of(heard, Span) if span.failure]
    assert failed.failure is not None
    assert (failed.failure.cause, failed.failure.cell) == (Cause.TIME, 2)


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Types it. What a shell starts in the background would not hear it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_at_ctrl_c_everybody_leaves_properly(ctrl_c: Callable[[], None]) -> None:
    def interrupt(heard: Heard) -> None:
        if isinstance(heard, Span) and heard.stage is Stage.KERNEL:
            ctrl_c()

    hear: Callable[[Heard], None] = interrupt
    with pytest.raises(KeyboardInterrupt):
        crowd.attend(script("late", "quick"), hear)
    assert {who for who, what in LOG if what == "leaves"} == {"late", "quick"}


def test_tidying_only_asks_who_has_a_server() -> None:
    attended("one", "serverless", "login", only_tidy=True)
    assert [who for who, what in LOG if what == "tidies"] == ["one"]
    assert not [what for _, what in LOG if what.startswith("cell")]
    assert {who for who, what in LOG if what == "leaves"} == {"one", "serverless", "login"}
