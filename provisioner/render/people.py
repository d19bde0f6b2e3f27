"""What is asked of the server when people come and go. Everything runs as root."""

from __future__ import annotations

import shlex

from provisioner.errors import NotReady
from provisioner.models import Result, Size
from provisioner.render.commands import HOMES

MEASURE = (
    # `print` would write large numbers as 2.5e+10 where awk is mawk, as Debian has it.
    "awk '/^MemTotal:/ { printf \"%.0f\\n\", $2 * 1024 }' /proc/meminfo"
    " && df --block-size=1 --output=size / | tail -n 1"
)
"""Bytes of memory, then bytes of the disk, one a line."""


def measured(answer: Result) -> Size:
    """What MEASURE said; cores are not asked for. Raises NotReady for anything else."""
    words = answer.out.split()
    if not answer.ok or len(words) != 2 or not all(word.isdecimal() for word in words):
        raise NotReady(
            "The server did not say how large it is",
            details=tuple(text for text in (answer.out.strip(), answer.err.strip()) if text),
            hint="the same command again asks once more",
        )
    memory, disk = map(int, words)
    return Size(memory=memory, cores=0, disk=disk)


def remove_home(username: str) -> str:
    """Deletes one person's home; what is not there is fine."""
    return shlex.join(["rm", "-rf", "--one-file-system", "--", f"{HOMES}/{username}"])
