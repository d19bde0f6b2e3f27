"""The crowd on the server itself: through Caddy all the same, but past the operator's network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO, cast

from provisioner.errors import NotReady
from provisioner.protocols import Remote
from provisioner.render import rehearsal
from provisioner.visits import Heard, Held, Script, heard_from

SILENCE = 900.0
"""Seconds without a word: longer than anything that one participant may take."""


def attend_aboard(remote: Remote, script: Script, hear: Callable[[Heard], None]) -> None:
    """See protocols.Crowd. Raises NotReady when the crowd did not come to its end."""
    put = remote.run(rehearsal.put_program(), stdin=rehearsal.program())
    tag = remote.run(rehearsal.IMAGE_TAG).out.strip()
    if not put.ok or not tag:
        raise NotReady("The crowd can't be put onto the server", details=(put.err.strip(),))
    complete = False

    def listen(heard: Heard) -> None:
        nonlocal complete
        complete = complete or isinstance(heard, Held)
        hear(heard)

    there = replace(script, dial=rehearsal.DIAL)
    result = remote.receive(
        rehearsal.run_crowd(tag),
        cast("BinaryIO", _Lines(listen)),
        timeout=SILENCE * script.patience + script.hold,
        stdin=f"{there.as_json()}\n".encode(),
    )
    if not result.ok or not (complete or script.only_tidy):
        raise NotReady(
            "The crowd on the server did not come to its end",
            details=tuple(result.err.splitlines()[-3:]),
            hint="rehearse with --from here, or a hub image of this version: provision launch",
        )


class _Lines:
    """A file that gives each whole line that is written to it to `hear`."""

    def __init__(self, hear: Callable[[Heard], None]) -> None:
        self._hear, self._rest = hear, b""

    def write(self, chunk: bytes) -> int:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if heard := heard_from(line.decode("utf-8", "replace")):
                self._hear(heard)
        return len(chunk)
