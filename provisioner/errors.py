"""Every way this program can fail, in one tree; the exit code belongs to the class.

    ProvisionError            1  a bug of ours, when nothing more exact fits
    ├── UsageError            2  what was typed or configured is wrong
    ├── Refused               3  nothing was created, because it could not have worked
    │   └── Busy              3  another command is working on the same workshop
    ├── NotReady              4  not ready in time; the machine is kept for inspection
    │   └── NotYet            4  one probe's answer: ask again (a wait turns it into NotReady)
    ├── LeftOver              5  something still exists after teardown (listed)
    └── Interrupted         130  stopped by the user; state is saved

A message says what happened and why; `hint` is the next command to type.
Errors of libraries and system tools are translated where they enter (providers, remote, store).
"""

from __future__ import annotations


class ProvisionError(Exception):
    """Root of the tree. `details` are lines of evidence: a log's tail, a tool's own words.

    `document` is what `--json` shows beside the words.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        details: tuple[str, ...] = (),
        document: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.document = document or {}
        self.message = message
        self.hint = hint
        self.details = details


class UsageError(ProvisionError):
    exit_code = 2


class Refused(ProvisionError):
    exit_code = 3


class Busy(Refused):
    """Another process holds the workshop's lock."""


class NotReady(ProvisionError):
    exit_code = 4


class NotYet(NotReady):
    """A probe looked once and it was not so yet. Whoever waits decides how often to ask."""


class LeftOver(ProvisionError):
    exit_code = 5


class Interrupted(ProvisionError):
    exit_code = 130
