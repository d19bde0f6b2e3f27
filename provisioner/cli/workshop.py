"""The three verbs that everybody types: launch, credentials, teardown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli.options import Config, Json, Name, ProviderOption, Region, Yes, asks
from provisioner.errors import Refused

if TYPE_CHECKING:
    from provisioner.settings import Settings


@asks
def launch(
    *, asked: dict[str, Any], config: Config = None, yes: Yes = False, json_: Json = False
) -> None:
    """Make a workshop: returns when a participant can run a notebook over HTTPS."""
    from provisioner.cli import opening, output, packages, wiring
    from provisioner.cli.views import launch_json, show_launched
    from provisioner.workflow.launch import launch as run

    settings = wiring.settings(config, asked)
    settings = _going_on(settings, asked, config)
    tools = opening.tools_for(settings)
    packages.ensure(tools.provider, settings, tools.reporter, yes=yes)
    known = wiring.record_of(settings.name)
    base = known.base_image if known else wiring.base_image(settings, tools.reporter)
    launched = run(tools, settings, base_image=base)
    if json_:
        output.print_json(launch_json(launched))
    else:
        show_launched(launched, tools.store.folder(settings.name))


def _going_on(settings: Settings, asked: dict[str, Any], config: Path | None) -> Settings:
    """A launch that names a workshop and says nothing else goes on with it as it is."""
    from provisioner.cli import wiring
    from provisioner.settings import recorded

    said = {key for key, value in asked.items() if key != "name" and value not in (None, {})}
    record = wiring.record_of(settings.name)
    if record is None or said or config is not None or Path("workshop.toml").exists():
        return settings
    return recorded(record.settings)


def credentials(
    name: Name = None,
    config: Config = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="table, csv, json, html or pdf; else as --output ends."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--output", help="A file, made 0600; - is standard output.")
    ] = None,
    paper: Annotated[str | None, typer.Option("--paper", help="A4 or Letter.")] = None,
    cards: Annotated[int | None, typer.Option("--cards", help="A page: 8 or 10.")] = None,
    only: Annotated[
        str, typer.Option("--only", help="These people's alone, such as user03,user07.")
    ] = "",
    json_: Json = False,
) -> None:
    """Print the sheet: who logs in with which password, as a table or as cards to hand out."""
    from provisioner.cli import opening, sheets

    asked = sheets.asked(form, to, paper, cards, only, json_=json_)
    tools, record = opening.known(name, config)
    options = sheets.options(record, config, asked.form)
    sheets.show(asked, tools.store.folder(record.name), record, options)


def teardown(
    name: Name = None,
    provider: ProviderOption = None,
    region: Region = None,
    config: Config = None,
    discard_homes: Annotated[
        bool, typer.Option("--discard-homes", help="Delete participants' files unseen.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--output", help="Where the files come to: a new folder, or a backup's."),
    ] = None,
    yes: Yes = False,
    json_: Json = False,
    named: Annotated[str | None, typer.Option("--name", help="The same as NAME.")] = None,
    id_: Annotated[
        str, typer.Option("--id", help="Of several workshops of this name, this one.")
    ] = "",
) -> None:
    """End a workshop: participants' files come home, then everything else goes."""
    from provisioner.cli import opening, output
    from provisioner.cli.views import show_torn_down, torn_down_json
    from provisioner.workflow.teardown import TeardownOptions, tear_down

    asked = {"provider": provider, "aws": {"region": region}}
    tools, found, _ = opening.existing(name or named, config, asked)
    if discard_homes:
        _confirm(f"Delete the files of everybody in {found!r} without a copy?", yes=yes)
    output_folder = to.expanduser().absolute() if to else None
    done = tear_down(tools, found, TeardownOptions(discard_homes, id_, output_folder))
    if json_:
        output.print_json(torn_down_json(done))
    else:
        show_torn_down(done)


def _confirm(question: str, *, yes: bool) -> None:
    if yes or not sys.stdin.isatty():
        return
    if not typer.confirm(question, err=True):
        raise Refused("Nothing was done")
