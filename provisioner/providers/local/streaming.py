"""Long commands: each line of output to a log and to whoever watches."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from provisioner import buildlog
from provisioner.errors import Refused

KEPT = 5000
SHOWN = 30
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def stream(
    command: Sequence[str], log: BinaryIO, watch: Callable[[str], None], *, temporary: Path
) -> None:
    """Run `command` to its end; `temporary` is where it may leave files.

    Raises Refused: with the failed step's own words in `details` when images were built, else with
    the last lines. Ends the command when interrupted.
    """
    last: deque[str] = deque(maxlen=KEPT)
    environment = os.environ | {"TMPDIR": str(temporary), "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches us, and we end it as a whole
    ) as process:
        assert process.stdout is not None  # noqa: S101
        try:
            for raw in process.stdout:
                log.write(raw)
                line = _COLOUR.sub("", raw.decode(errors="replace")).rstrip().split("\r")[-1]
                if line.strip():
                    last.append(line)
                    watch(line)
        except BaseException:
            process.kill()
            raise
    log.flush()
    if process.returncode != 0:
        built = buildlog.failure(last)
        reason = built.reason if built else _reason(last)
        raise Refused(
            "Making the image failed: " + (reason or f"code {process.returncode}"),
            hint=f"all of its output is in {getattr(log, 'name', 'the log')}",
            details=built.words if built else tuple(last)[-SHOWN:],
        )


def _reason(lines: deque[str]) -> str:
    """The line that says most: the last one with an error in it, else the last."""
    errors = [line for line in lines if re.search(r"\bERROR:|\berror:|^E: ", line)]
    return re.sub(r"^(E|ERROR|error): ", "", (errors or list(lines) or [""])[-1].strip())
