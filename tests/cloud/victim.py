"""Kill the process under test exactly before, or exactly after, its k-th mutating call."""

from __future__ import annotations

import os
import signal
import threading

import psutil

PATIENCE = 10.0


class Victim:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.named = threading.Event()
        self.pid = 0
        self.when, self.number, self.counted = "", 0, 0
        self.killed: int | None = None

    def arm(self, when: str, number: int, pid: int | None) -> None:
        if when not in ("before", "after"):
            raise ValueError(f"{when!r} is neither before nor after")
        self.when, self.number, self.counted, self.killed = when, number, 0, None
        self.named.clear()
        if pid is not None:
            self.name(pid)

    def name(self, pid: int) -> None:
        """Only ever a process below the one that started this server."""
        if os.getppid() not in {one.pid for one in psutil.Process(pid).parents()}:
            raise ValueError(f"{pid} is not a process of the test's own")
        self.pid = pid
        self.named.set()

    def due(self) -> str:
        """Counts a mutating call; "before" or "after" if it is the one."""
        with self.lock:
            self.counted += 1
            return self.when if self.counted == self.number else ""

    def kill(self) -> None:
        if not self.named.wait(PATIENCE):
            raise RuntimeError("it was time to kill, and nobody had said whom")
        os.kill(self.pid, signal.SIGKILL)
        self.killed = self.pid
        self.when = ""
