"""A terminal to type at, and the program behind it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Mapping

PATIENCE = 60.0  # seconds; only a failing test waits so long

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _own_terminal() -> None:
    """So that Ctrl-C reaches the program."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """`provision` with somebody in front of it."""

    def __init__(self, *words: str, environ: Mapping[str, str] | None = None) -> None:
        ours, theirs = pty.openpty()
        self._screen = ours
        self._process = subprocess.Popen(
            [sys.executable, "-m", "provisioner.cli.app", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "COLUMNS": "200", "TERM": "xterm", **(environ or {})},
            start_new_session=True,
            preexec_fn=_own_terminal,
        )
        os.close(theirs)
        self.text = ""
        self._read = 0

    def until(self, words: str) -> str:
        """What came on the screen since the last time, up to `words`."""
        end = time.monotonic() + PATIENCE
        while (at := self.text.find(words, self._read)) < 0:
            assert time.monotonic() < end, f"no {words!r} in:\n{self.text[self._read :]}"
            assert self._more(), f"it ended without {words!r}:\n{self.text[self._read :]}"
        seen, self._read = self.text[self._read : at], at + len(words)
        return seen

    def answer(self, question: str, words: str) -> str:
        """Wait for `question` and type `words`; what was said before it."""
        said = self.until(question)
        self.until(":")
        os.write(self._screen, f"{words}\n".encode())
        return said

    def press(self, key: bytes) -> None:
        os.write(self._screen, key)

    def end(self) -> int:
        """The exit code, once all was said."""
        while self._more():
            pass
        os.close(self._screen)
        return self._process.wait(PATIENCE)

    def _more(self) -> bool:
        ready, _, _ = select.select([self._screen], [], [], PATIENCE)
        try:
            said = os.read(self._screen, 65536) if ready else b""
        except OSError:  # Linux's way to say that nobody is left on the other side
            said = b""
        self.text += _COLOUR.sub("", said.decode(errors="replace")).replace("\r\n", "\n")
        return bool(said)
