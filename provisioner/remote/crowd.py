"""Many participants at once, as their browsers meet the hub: see visits.Script.

Nobody leaves before the last one has arrived: what leaks or chokes shows only then. Runs in this
process, or on the server: `python -m provisioner.remote.crowd` reads a script as JSON on stdin and
prints a line of JSON for whatever is heard.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from provisioner.remote.guest import GOODBYE, Failed, Guest
from provisioner.visits import (
    Cause,
    Cell,
    Effort,
    Failure,
    Heard,
    Held,
    Script,
    Span,
    Stage,
    heard_json,
)

Hear = Callable[[Heard], None]

LIMITS = {
    Stage.LOGIN: 60.0,
    Stage.SERVER: 330.0,  # the hub itself gives up after 300
    Stage.KERNEL: 90.0,
    Stage.CELL: 120.0,
    Stage.NOTEBOOK: 600.0,  # each cell
    Stage.AGAIN: 30.0,
}
"""Seconds after which nobody waits any longer, times the script's patience."""


def attend(script: Script, hear: Hear) -> None:
    """All of it, from the first login to the last goodbye. Ctrl-C clears up first."""
    asyncio.run(_Room(script, hear).run())


class _Room:
    """Who is there, and when all are."""

    def __init__(self, script: Script, hear: Hear) -> None:
        self.script, self.hear = script, hear
        self.context = ssl.create_default_context(cadata=script.ca or None)
        self.begun = time.monotonic()
        self.left = len(script.guests)
        self.sitting = 0
        self.complete, self.over = asyncio.Event(), asyncio.Event()

    @property
    def now(self) -> float:
        return time.monotonic() - self.begun

    async def run(self) -> None:
        watch = asyncio.create_task(_watch())
        guests = [_Attendee(self, *guest) for guest in self.script.guests]
        if self.script.only_tidy:
            await asyncio.gather(*(guest.tidy_only() for guest in guests))
        else:
            everybody = [asyncio.create_task(guest.visit()) for guest in guests]
            host = asyncio.create_task(self._host())
            try:
                await asyncio.gather(*everybody)
            finally:
                for task in (*everybody, host):
                    if not task.cancelling():  # a second time would cut their goodbyes short
                        task.cancel()
                await asyncio.gather(*everybody, host, return_exceptions=True)
        watch.cancel()
        with suppress(asyncio.CancelledError):
            self.hear(await watch)

    async def _host(self) -> None:
        await self.complete.wait()
        self.hear(Held(self.now, self.sitting))
        await asyncio.sleep(self.script.hold if self.sitting else 0)
        self.over.set()

    def arrived(self, sitting: bool) -> None:
        self.left -= 1
        self.sitting += sitting
        if not self.left:
            self.complete.set()


class _Attendee:
    """One guest's way through the stages; what is heard of it is told to the room."""

    def __init__(self, room: _Room, username: str, password: str) -> None:
        self._room, self._name = room, username
        self._guest = Guest(room.script, room.context, username, password)
        self._arrived = False

    async def visit(self) -> None:
        try:
            well = await self._come_and_work()
            self._arrive(well)
            if well:
                await self._guest.sit(self._room.over)
                await self._do(Stage.AGAIN, self._guest.run(Cell(0, "1")))
            else:
                await self._room.over.wait()
        finally:
            self._arrive(False)
            await self._guest.leave()

    async def tidy_only(self) -> None:
        with suppress(Failed, TimeoutError):
            async with asyncio.timeout(GOODBYE * self._room.script.patience):
                await self._guest.login()
                if await self._guest.has_server():
                    await self._guest.get_server()
                    await self._guest.tidy()
        await self._guest.leave()

    def _arrive(self, well: bool) -> None:
        if not self._arrived:
            self._arrived = True
            self._room.arrived(well)

    async def _come_and_work(self) -> bool:
        for stage, act in (
            (Stage.LOGIN, self._guest.login),
            (Stage.SERVER, self._guest.get_server),
            (Stage.KERNEL, self._guest.start_kernel),
        ):
            if not await self._do(stage, act()):
                return False
        begun = self._room.now
        for number, cell in enumerate(self._room.script.cells):
            stage = Stage.NOTEBOOK if number else Stage.CELL
            if not await self._do(stage, self._guest.run(cell), start=begun, cell=cell.number):
                return False
        self._room.hear(Span(self._name, Stage.NOTEBOOK, begun, self._room.now))
        return True

    async def _do(
        self,
        stage: Stage,
        act: Coroutine[Any, Any, None],
        *,
        start: float | None = None,
        cell: int = 0,
    ) -> bool:
        """One stage, or one cell, within its limit. False: it failed."""
        start = self._room.now if start is None else start
        limit, failure = LIMITS[stage] * self._room.script.patience, None
        try:
            async with asyncio.timeout(limit):
                await act
        except Failed as error:
            failure = error.failure
        except TimeoutError:
            failure = Failure(Cause.TIME, f"not done after {limit:.0f} s", cell)
        if failure or stage is not Stage.NOTEBOOK:
            self._room.hear(Span(self._name, stage, start, self._room.now, failure))
        return failure is None


async def _watch() -> Effort:
    """How busy this process is, until it is cancelled: whether it is the bottleneck itself."""
    every, window = 0.5, 6  # a burst of less than three seconds delays nobody much
    late, looks = 0.0, [(time.monotonic(), time.process_time())]
    try:
        while True:
            await asyncio.sleep(every)
            looks.append((time.monotonic(), time.process_time()))
            late = max(late, looks[-1][0] - looks[-2][0] - every)
    except asyncio.CancelledError:
        looks.append((time.monotonic(), time.process_time()))
        pairs = list(zip(looks, looks[window:], strict=False))
        mean = _cores(looks[0], looks[-1])
        peak = max([mean, *(_cores(one, two) for one, two in pairs)])
        return Effort(round(mean, 3), round(peak, 3), round(late, 3))


def _cores(one: tuple[float, float], two: tuple[float, float]) -> float:
    return (two[1] - one[1]) / max(1e-6, two[0] - one[0])


def main() -> None:
    script = Script.from_json(sys.stdin.readline())
    attend(script, lambda heard: print(heard_json(heard), flush=True))


if __name__ == "__main__":
    main()
