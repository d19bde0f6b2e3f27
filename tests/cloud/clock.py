"""The cloud's time, which a test may move forward."""

from __future__ import annotations

import time


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.monotonic() + self.ahead


CLOCK = Clock()
