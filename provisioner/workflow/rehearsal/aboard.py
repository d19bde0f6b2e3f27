"""The crowd on the server itself: through Caddy all the same, but past the operator's network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO, cast

from provisioner.errors import NotReady
from provisioner.protocols import Remote
from provisioner.render import rehearsal
from provisioner.visits import Heard, Held, Script, heard_from
from provisioner.workflow.lines import Lines

SILENCE = 900.0
"""Seconds without a word: longer than anything that one participant may take."""


def attend_aboard(remote: Remote, script: Script, hear: Callable[[Heard], None]) -> None:
    """See protocols.Crowd. Raises NotReady when the crowd did not come to its end."""
    put = remote.run(rehearsal.put_program(), stdin=rehearsal.program())
    tag = remote.run(rehearsal.IMAGE_TAG).out.strip()
    if not put.ok or not tag:
        raise NotReady("The crowd can't be put onto the server", details=(put.err.strip(),))
    complete = False

    def listen(line: str) -> None:
        nonlocal complete
        if heard := heard_from(line):
            complete = complete or isinstance(heard, Held)
            hear(heard)

    there = replace(script, dial=rehearsal.DIAL)
    result = remote.receive(
        rehearsal.run_crowd(tag),
        cast("BinaryIO", Lines(listen)),
        timeout=SILENCE * script.patience + script.hold,
        stdin=f"{there.as_json()}\n".encode(),
    )
    if not result.ok or not (complete or script.only_tidy):
        raise NotReady(
            "The crowd on the server did not come to its end",
            details=tuple(result.err.splitlines()[-3:]),
            hint="rehearse with --from here, or a hub image of this version: provision launch",
        )
