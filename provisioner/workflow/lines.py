"""What a command on the server prints, heard line by line while it still runs."""

from __future__ import annotations

from collections.abc import Callable


class Lines:
    """A file that gives each whole line that is written to it to `hear`. Lines may be long."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear, self._rest = hear, bytearray()

    def write(self, chunk: bytes) -> int:
        first, *others = chunk.split(b"\n")
        self._rest += first
        for following in others:
            self._hear(self._rest.decode(errors="replace"))
            self._rest = bytearray(following)
        return len(chunk)
