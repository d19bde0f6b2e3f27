"""The verbs of the workshop's day: status, list, ssh, logs."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from provisioner.cli.options import Config, Json, Name, ProviderOption, Region


def status(name: Name = None, config: Config = None, json_: Json = False) -> None:
    """The record beside reality: machine, services, participants, time left."""
    from provisioner.cli import opening, output
    from provisioner.cli.views import show_status
    from provisioner.workflow.status import status as look

    tools, record = opening.known(name, config)
    seen = look(tools, record)
    if json_:
        output.print_json(seen.as_json())
    else:
        show_status(seen)


def list_(
    provider: ProviderOption = None,
    region: Region = None,
    config: Config = None,
    json_: Json = False,
) -> None:
    """Every workshop that this machine knows or runs."""
    from provisioner.cli import opening, wiring
    from provisioner.cli.accounts import show_list
    from provisioner.errors import ProvisionError
    from provisioner.settings import recorded
    from provisioner.workflow.expiry import settle
    from provisioner.workflow.status import listing

    place = {"provider": provider, "aws": {"region": region}, **opening.ANY_DEADLINE}
    asked = wiring.settings(config, place)
    tools = opening.tools_for(asked)
    for name in tools.store.names():
        record = wiring.record_of(name)
        if record is not None and record.provider == asked.provider:
            with contextlib.suppress(ProvisionError):  # the list shows what can't be looked at
                settle(opening.tools_for(recorded(record.settings)), record)
    lines = listing(tools)
    show_list(lines, as_json=json_)


def ssh(context: typer.Context, name: Name = None, config: Config = None) -> None:
    """Open a shell on the server, or run a command there: provision ssh NAME -- uptime"""
    from provisioner.cli import opening, shell

    found, words = shell.split_name(name, context.args)
    tools, record = opening.known(found, config)
    shell.become_ssh(tools, record, words)


def logs(
    name: Annotated[str | None, typer.Argument(help="The workshop.")] = None,
    service: Annotated[str | None, typer.Argument(help="hub, proxy, caddy or a user name.")] = None,
    tail: Annotated[int, typer.Option("--tail", help="How many lines.", min=1)] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    console: Annotated[bool, typer.Option("--console", help="The machine's console.")] = False,
    config: Config = None,
) -> None:
    """What the services say, or one service, one participant's server, or the console."""
    from provisioner.cli import opening, shell, wiring

    if name is not None and service is None and wiring.record_of(name) is None:
        name, service = None, name  # `provision logs hub`
    tools, record = opening.known(name, config)
    shell.show_logs(tools, record, service or "", tail=tail, follow=follow, console=console)
