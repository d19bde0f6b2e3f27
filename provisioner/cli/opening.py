"""Which workshop is meant, and the tools of the provider that has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provisioner.cli import output, wiring
from provisioner.errors import UsageError
from provisioner.settings import DEFAULT_EXPIRES, PLACE, Settings, recorded, recorded_place
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

    Nothing else of workshop.toml is looked at where there is a record, and without one only what
    says where the workshop is. `asked` is what was given on the command line; it stands in where
    there is no record.
    """
    found = _named(name, config)
    record = wiring.record_of(found)
    if record is not None:
        return tools_for(_place(record)), found, record
    settings = wiring.settings(config, {**(asked or {}), "name": found}, only=PLACE)
    # Only tags can tell of a host name now, and not who keeps it.
    return wiring.with_names(tools_for(settings), settings), found, None


def known(name: str | None, config: Path | None) -> tuple[Tools, Record]:
    """Like `existing`, for verbs that can't do without a usable record."""
    tools, found, _ = existing(name, config)
    record = tools.store.load(found)
    if record is None:
        raise UsageError(
            f"There is no workshop {found!r}", hint=f"provision launch {found}, or: provision list"
        )
    recorded(record.settings)
    settled = settle(tools, record)
    if settled is None:
        raise UsageError(f"There is no workshop {found!r} any more", hint="provision list")
    return tools, settled


def _named(name: str | None, config: Path | None) -> str:
    """A name that was given and has a record needs no file at all, so a broken one is no matter."""
    if name is not None and config is None and wiring.has_record(name):
        return name
    return wiring.settings(config, {"name": name}, only={"name"}).name


def _place(record: Record) -> Settings:
    """Raises UsageError, with the way on, where not even that can be used."""
    try:
        return recorded_place({**record.settings, "provider": record.provider})
    except UsageError as error:
        file = wiring.record_file(record.name)
        region = " --region REGION" if record.provider == "aws" else ""
        raise UsageError(
            f"Where {record.name!r} is can't be read from its record:",
            details=error.details,
            hint=f"move {file} away, then: "
            f"provision teardown {record.name} --provider {record.provider}{region}",
        ) from None
