"""Commands on machines, over connections that are kept: a look a second must not log in a second.

Whatever runs here may run twice, when the connection dies in between.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

from provisioner.errors import NotYet, Refused
from provisioner.models import HostOptions, Result
from provisioner.protocols import Remote

Connect = Callable[[HostOptions], Remote]


class Reach:
    """One connection a machine, opened when first needed."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._open: dict[HostOptions, Remote] = {}

    def run(
        self, machine: HostOptions, command: str, *, timeout: float = 60, stdin: bytes = b""
    ) -> Result:
        """On the connection that is open, or on a new one: an old one may have died unnoticed."""
        remote = self._open.get(machine)
        if remote is not None:
            try:
                return remote.run(command, timeout=timeout, stdin=stdin)
            except NotYet:
                self._open.pop(machine).close()
        self._open[machine] = remote = self._connect(machine)
        return remote.run(command, timeout=timeout, stdin=stdin)

    def must(
        self, machine: HostOptions, command: str, *, timeout: float = 60, stdin: bytes = b""
    ) -> str:
        """What it printed. Raises Refused with the machine's own words when it fails."""
        done = self.run(machine, command, timeout=timeout, stdin=stdin)
        if done.ok:
            return done.out
        lines = tuple(done.err.strip().splitlines())
        raise Refused(
            f"{machine.address}: {lines[-1] if lines else f'code {done.code}'}",
            hint=f"look around there: {typed(machine, 'sh')}",
            details=lines,
        )

    def close(self) -> None:
        for remote in self._open.values():
            remote.close()
        self._open.clear()


def typed(machine: HostOptions, command: str) -> str:
    """What a person types on their own computer to have `command` run as root on the machine."""
    port = [] if machine.port == HostOptions().port else ["-p", str(machine.port)]
    plain = not any(sign in command for sign in ";|&>")
    root = f"sudo {command}" if plain else f"sudo sh -c {shlex.quote(command)}"
    return shlex.join(["ssh", "-t", *port, machine.address, root])
