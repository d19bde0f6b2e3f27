"""The one wait primitive. There is no other sleep in the program's order of events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from provisioner.errors import NotReady, NotYet
from provisioner.protocols import Clock

T = TypeVar("T")


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def wait_for(
    probe: Callable[[], T],
    *,
    budget: float,
    clock: Clock,
    alive: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda _: None,
    every: float = 1.0,
) -> T:
    """Ask `probe` until it answers; every other error of the probe ends the wait at once.

    Between two askings `alive` is asked: it raises when waiting has become pointless, such as for
    a machine that died. `tell` gets the words of each "not yet".

    Raises NotReady with the last "not yet" after `budget` seconds.
    """
    start = clock.monotonic()

    def out_of_time(state: tenacity.RetryCallState) -> bool:
        return clock.monotonic() - start >= budget

    def between(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, NotYet):
            tell(error.message)
        with contextlib.suppress(NotYet):  # it could not be asked, which says nothing about it
            alive()

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(NotYet),
        stop=out_of_time,
        wait=tenacity.wait_fixed(every),
        sleep=clock.sleep,
        before_sleep=between,
        reraise=True,
    )
    try:
        return retrying(probe)
    except NotYet as error:
        raise NotReady(
            f"not so after {budget:.0f} s: {error.message}", hint=error.hint, details=error.details
        ) from None
