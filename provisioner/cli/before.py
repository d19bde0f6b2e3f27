"""The verbs before the day: plan, init, bake, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from provisioner.cli.options import Config, Json, ProviderOption, Yes, asks
from provisioner.errors import Refused


@asks
def plan(*, asked: dict[str, Any], config: Config = None, json_: Json = False) -> None:
    """Say what a launch would make, and everything that speaks against it."""
    from provisioner.cli import opening, output, wiring
    from provisioner.cli.views import plan_json, show_plan
    from provisioner.workflow import planning

    settings = wiring.settings(config, asked)
    tools = opening.tools_for(settings)
    base = wiring.base_image(settings, tools.reporter)
    made = planning.outline(tools.store, tools.provider, settings, base_image=base)
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
    name: Annotated[str, typer.Option("--name", help="The workshop's name.")] = "workshop",
    users: Annotated[int, typer.Option("--users", help="How many participants.")] = 3,
    show: Annotated[bool, typer.Option("--print", help="Print it instead.")] = False,
) -> None:
    """Write a commented workshop.toml with every key and its default."""
    from provisioner.cli.example import write_example

    write_example(to, name=name, users=users, show=show)


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
