"""The verbs before the day: plan, init, bake, doctor."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from provisioner.cli.options import Config, Json, ProviderOption, Region, Yes, asks
from provisioner.errors import Interrupted, Refused


@asks
def plan(*, asked: dict[str, Any], config: Config = None, json_: Json = False) -> None:
    """Say what a launch would make, and everything that speaks against it."""
    from provisioner.cli import opening, output, wiring
    from provisioner.cli.views import plan_json, show_plan
    from provisioner.workflow import planning
    from provisioner.workflow.measured import data_bytes

    settings = wiring.settings(config, asked)
    tools = opening.tools_for(settings)
    base = wiring.base_image(settings, tools.reporter)
    size = data_bytes(tools, settings)
    made = planning.outline(tools.store, tools.provider, settings, base_image=base, data=size)
    findings = planning.check(tools, settings, made.spec)
    quote = planning.quote(tools, made.spec)
    if json_:
        output.print_json(plan_json(settings, made, findings, quote))
    else:
        show_plan(settings, made, findings, quote, tools)
    if planning.errors(findings):
        raise typer.Exit(Refused.exit_code)


def init(
    to: Annotated[Path, typer.Option("--output", help="Where to write it.")] = Path(
        "workshop.toml"
    ),
    name: Annotated[str | None, typer.Option("--name", help="What it is called.")] = None,
    users: Annotated[int | None, typer.Option("--users", help="How many participants.")] = None,
    roster: Annotated[
        str | None, typer.Option("--roster", help="A CSV file of name,email, instead of a number.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="8h, 1d, or a time; then it ends itself.")
    ] = None,
    provider: ProviderOption = None,
    host: Annotated[
        str | None, typer.Option("--host", help="host: user@address of a machine that you have.")
    ] = None,
    region: Region = None,
    hostname: Annotated[
        str | None, typer.Option("--hostname", help="The name that participants type.")
    ] = None,
    dns: Annotated[
        str | None, typer.Option("--dns", help="Who keeps it: route53, rfc2136, manual or none.")
    ] = None,
    materials: Annotated[
        str | None, typer.Option("--materials", help="Notebooks: a git address, or a folder.")
    ] = None,
    packages: Annotated[
        list[str] | None, typer.Option("--package", help="For pip; may be given again.")
    ] = None,
    yes: Yes = False,
    show: Annotated[bool, typer.Option("--print", help="Print it instead; asks nothing.")] = False,
) -> None:
    """Write a commented workshop.toml with every key, after a few questions on a terminal."""
    from provisioner.cli import asking, output
    from provisioner.cli.example import filled, refuse_existing, write_new

    if not show:
        refuse_existing(to)
    asked = {
        "name": name,
        "users": users,
        "roster": roster,
        "expires": expires,
        "provider": provider or ("host" if host else None),
        "host.address": host,
        "aws.region": region,
        "dns.hostname": hostname,
        "dns.provider": dns,
        "materials.source": materials,
        "environment.python": packages or None,
    }
    given = {key: value for key, value in asked.items() if value is not None}
    if show or yes or not sys.stdin.isatty():
        values = asking.with_defaults(given)
        asking.check(values)
    else:
        try:
            values = asking.with_defaults(asking.ask(given))
        except (typer.Abort, KeyboardInterrupt):
            raise Interrupted("Nothing was written", hint="provision init") from None
    text = filled(asking.beside(values, Path() if show else to.parent))
    if show:
        print(text, end="")
        return
    write_new(to, text)
    config = "" if to == Path("workshop.toml") else f" --config {shlex.quote(str(to))}"
    output.stderr.print(f"[green]✓[/] {to} is written; every other key is in it, with its default")
    output.stderr.print(f"Look       provision plan{config}")
    output.stderr.print(f"Go         provision launch{config}")


def bake(
    list_: Annotated[bool, typer.Option("--list", help="Show the images that are there.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete images that no workshop uses.")
    ] = False,
    config: Config = None,
    provider: ProviderOption = None,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """Make the golden image ahead of time, so that the launch itself is short."""
    from provisioner.cli import images, opening, output, packages, wiring
    from provisioner.workflow import planning

    settings = wiring.settings(config, {"provider": provider})
    tools = opening.tools_for(settings)
    if list_ or prune:
        images.show(tools, prune=prune, as_json=json_)
        return
    packages.ensure(tools.provider, settings, tools.reporter, yes=yes)
    base = wiring.base_image(settings, tools.reporter)
    made = planning.draft(tools.store, tools.provider, settings, base_image=base)
    image = images.bake(tools, made.spec)
    if json_:
        output.print_json(images.as_json_of(image))


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Install what is missing.")] = False,
    config: Config = None,
    provider: ProviderOption = None,
    json_: Json = False,
) -> None:
    """Check this machine: packages, accelerator, memory, disk, network."""
    from provisioner.cli import checkup, opening, wiring

    settings = wiring.settings(config, {"provider": provider})
    tools = opening.tools_for(settings)
    if not checkup.run(tools, settings, fix=fix, as_json=json_):
        raise typer.Exit(Refused.exit_code)
