"""Which workshop is meant, and the tools of the provider that has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provisioner.cli import output, wiring
from provisioner.errors import UsageError
from provisioner.settings import DEFAULT_EXPIRES, Settings, recorded
from provisioner.store import Record
from provisioner.workflow.expiry import settle
from provisioner.workflow.tools import Tools

ANY_DEADLINE = {"expires": DEFAULT_EXPIRES}
"""For verbs on what exists: a time in workshop.toml may have passed by now."""


def tools_for(settings: Settings) -> Tools:
    return wiring.tools(settings, output.ConsoleReporter())


def existing(
    name: str | None, config: Path | None, asked: dict[str, Any] | None = None
) -> tuple[Tools, str, Record | None]:
    """A workshop that is there already: named by argument or file, else as its record says.

    `asked` is what was given on the command line; it stands in where there is no record.
    """
    settings = wiring.settings(config, {**(asked or {}), "name": name, **ANY_DEADLINE})
    record = wiring.record_of(settings.name)
    if record is not None:
        return tools_for(recorded(record.settings)), settings.name, record
    # Only tags can tell of a host name now, and not who keeps it.
    return wiring.with_names(tools_for(settings), settings), settings.name, None


def known(name: str | None, config: Path | None) -> tuple[Tools, Record]:
    """Like `existing`, for verbs that can't do without a usable record."""
    tools, found, _ = existing(name, config)
    record = tools.store.load(found)
    if record is None:
        raise UsageError(
            f"There is no workshop {found!r}", hint=f"provision launch {found}, or: provision list"
        )
    settled = settle(tools, record)
    if settled is None:
        raise UsageError(f"There is no workshop {found!r} any more", hint="provision list")
    return tools, settled
