"""Where command lines meet the operating system, and only here."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Protocol

from provisioner.errors import Refused
from provisioner.models import Result

TIMED_OUT = 124
"""The code of a command that was stopped at its deadline, as timeout(1) has it."""


class Runner(Protocol):
    def __call__(self, argv: Sequence[str], *, timeout: float = 60) -> Result: ...


def run(argv: Sequence[str], *, timeout: float = 60) -> Result:
    """Run to the end; any code is a result. `TIMED_OUT` after `timeout` seconds.

    Raises Refused when there is no such program.
    """
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise Refused(
            f"{argv[0]} is not installed",
            hint="provision doctor names the packages that are missing",
        ) from None
    except subprocess.TimeoutExpired:
        return Result(TIMED_OUT, "", f"{argv[0]} did not finish within {timeout:g} s")
    return Result(done.returncode, done.stdout, done.stderr)
