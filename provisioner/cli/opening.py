"""Which workshop is meant, and the tools of the provider that has it."""

from __future__ import annotations

from pathlib import Path

import typer

from provisioner.cli import output, wiring
from provisioner.errors import UsageError
from provisioner.settings import Settings
from provisioner.store import Record
from provisioner.workflow.expiry import settle
from provisioner.workflow.tools import Tools


def tools_for(settings: Settings) -> Tools:
    return wiring.tools(settings.provider, output.ConsoleReporter())


def existing(
    name: str | None, config: Path | None, provider: str | None
) -> tuple[Tools, str, Record | None]:
    """A workshop that is there already: named by argument or file, its provider by its record."""
    if name is None or provider is None:
        settings = wiring.settings(config, {"name": name, "provider": provider})
        name = settings.name
        default = settings.provider
    else:
        default = provider
    record = wiring.record_of(name)
    chosen = record.provider if record else default
    return wiring.tools(chosen, output.ConsoleReporter()), name, record


def known(name: str | None, config: Path | None) -> tuple[Tools, Record]:
    """Like `existing`, for verbs that can't do without a usable record."""
    tools, found, _ = existing(name, config, None)
    record = tools.store.load(found)
    if record is None:
        raise UsageError(
            f"There is no workshop {found!r}", hint=f"provision launch {found}, or: provision list"
        )
    settled = settle(tools, record)
    if settled is None:
        raise typer.Exit
    return tools, settled
