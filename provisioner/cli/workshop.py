"""The three verbs that everybody types: launch, credentials, teardown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli.options import (
    Accel,
    Bind,
    Config,
    Cpu,
    Disk,
    Expires,
    Json,
    Memory,
    Name,
    ProviderOption,
    Users,
    Yes,
    flags,
)
from provisioner.errors import Refused

if TYPE_CHECKING:
    from provisioner.workflow.launch import Launched


def launch(
    name: Name = None,
    users: Users = None,
    provider: ProviderOption = None,
    expires: Expires = None,
    memory: Memory = None,
    cpu: Cpu = None,
    disk: Disk = None,
    bind: Bind = None,
    accel: Accel = None,
    config: Config = None,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """Make a workshop: returns when a participant can run a notebook over HTTPS."""
    from provisioner.cli import opening, output, packages, wiring
    from provisioner.workflow.launch import launch as run

    asked = flags(name, users, provider, expires, memory, cpu, disk, bind, accel)
    settings = wiring.settings(config, asked)
    tools = opening.tools_for(settings)
    packages.ensure(tools.provider, tools.reporter, yes=yes)
    known = wiring.record_of(settings.name)
    base = (
        known.base_image
        if known
        else wiring.base_image(settings.environment.base_image, tools.reporter)
    )
    launched = run(tools, settings, base_image=base)
    if json_:
        output.print_json(_launch_json(launched))
    else:
        from provisioner.cli.views import show_launched

        show_launched(launched, tools.store.folder(settings.name))


def _launch_json(launched: Launched) -> dict[str, Any]:
    from provisioner.sheet.forms import Sheet

    record = launched.record
    sheet = Sheet(record.name, record.url, launched.credentials)
    return {
        "name": record.name,
        "provider": record.provider,
        "url": record.url,
        "address": record.server.address if record.server else "",
        "users": sum(not person.admin for person in record.people),
        "phase": record.phase,
        "expires_at": record.expires_at.isoformat(),
        "credentials": sheet.as_json(),
        "timings": launched.timings,
    }


def credentials(
    name: Name = None,
    config: Config = None,
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    to: Annotated[Path | None, typer.Option("--output", help="A file, made 0600.")] = None,
    json_: Json = False,
) -> None:
    """Print the sheet: who logs in with which password."""
    from provisioner.cli import opening
    from provisioner.cli.views import show_sheet

    tools, record = opening.known(name, config)
    show_sheet(tools.store, record, "json" if json_ else form, to)


def teardown(
    name: Name = None,
    provider: ProviderOption = None,
    config: Config = None,
    discard_homes: Annotated[
        bool, typer.Option("--discard-homes", help="Delete participants' files unseen.")
    ] = False,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """End a workshop: participants' files come home, then everything else goes."""
    from provisioner.cli import opening, output
    from provisioner.cli.views import show_torn_down
    from provisioner.workflow.teardown import TeardownOptions, tear_down

    tools, found, record = opening.existing(name, config, provider)
    if discard_homes and record is not None:
        _confirm(f"Delete the files of everybody in {found!r} without a copy?", yes=yes)
    done = tear_down(tools, found, TeardownOptions(discard_homes=discard_homes))
    if json_:
        output.print_json({"name": done.name, "deleted": done.deleted, "leftovers": []})
    else:
        show_torn_down(done)


def _confirm(question: str, *, yes: bool) -> None:
    if yes or not sys.stdin.isatty():
        return
    if not typer.confirm(question, err=True):
        raise Refused("Nothing was done")
