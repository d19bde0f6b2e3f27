"""The verbs of the workshop's day: status, list, open, ssh, exec, logs."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from provisioner.cli.options import Config, Json, Name, ProviderOption, Region


def status(
    name: Name = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on looking, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float | None, typer.Option("--every", help="Seconds between looks; default: 5.", min=1)
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="End with code 4 if anything is wrong.")
    ] = False,
    config: Config = None,
    json_: Json = False,
) -> None:
    """Machine, services, certificate, money, and how every participant fares."""
    from provisioner.cli import opening, watching
    from provisioner.errors import UsageError

    if check and (watch or every is not None):
        raise UsageError(
            "--check looks once, so it does not go with --watch or --every",
            hint="provision status --check, as often as you like",
        )
    tools, record = opening.known(name, config)
    if watch or every is not None:
        watching.watch(tools, record, every or watching.EVERY, as_json=json_)
    else:
        watching.once(tools, record, as_json=json_, check=check)


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
    from provisioner.settings import PLACE, recorded_place
    from provisioner.workflow.expiry import settle
    from provisioner.workflow.listing import listing

    place = {"provider": provider, "aws": {"region": region}, **opening.ANY_DEADLINE}
    asked = wiring.settings(config, place, only=PLACE)
    tools = opening.tools_for(asked)
    for name in tools.store.names():
        record = wiring.record_of(name)
        if record is not None and record.provider == asked.provider:
            with contextlib.suppress(ProvisionError):  # the list shows what can't be looked at
                settle(opening.tools_for(recorded_place(record.settings)), record)
    lines = listing(tools)
    show_list(lines, as_json=json_)


def open_(
    name: Name = None,
    person: Annotated[
        str, typer.Option("--as", help="This user name is filled in at the login.")
    ] = "",
    config: Config = None,
    json_: Json = False,
) -> None:
    """Show the workshop in your browser; prints the address where there is no display."""
    from provisioner.cli import browser, opening, output, shell

    tools, record = opening.known(name, config)
    if person:
        shell.check_person(record, person)
    url = browser.address(record, person)
    folder = tools.store.folder(record.name)
    if json_:
        ca = str(folder.ca) if folder.ca.exists() else None
        output.print_json({"name": record.name, "url": url, "ca": ca})
    else:
        browser.show(record, folder, url)


def ssh(context: typer.Context, name: Name = None, config: Config = None) -> None:
    """Open a shell on the server, or run a command there: provision ssh NAME -- uptime"""
    from provisioner.cli import opening, shell

    found, words = shell.split_name(name, context.args)
    tools, record = opening.known(found, config)
    shell.become_ssh(tools, record, words)


def exec_(
    words: Annotated[
        list[str], typer.Argument(metavar="[NAME] USER [-- COMMAND…]", help="Default: a shell.")
    ],
    config: Config = None,
) -> None:
    """Be a participant on their own server: provision exec user03 -- pip list"""
    from provisioner.cli import opening, shell

    name, person, command = shell.split_person(words)
    tools, record = opening.known(name, config)
    shell.become_person(tools, record, person, command)


def logs(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME] [SERVICE|USER]…", help="hub, proxy, caddy or user names."),
    ] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", help="How many lines; default: 200.", min=1)
    ] = None,
    since: Annotated[
        str, typer.Option("--since", help="All since 10m ago, or since 2026-11-24T14:00.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    console: Annotated[bool, typer.Option("--console", help="The machine's console.")] = False,
    config: Config = None,
) -> None:
    """What the services say, or some of them, participants' servers, or the console."""
    from provisioner.cli import opening, shell

    look = shell.Look(tail or (None if since else shell.LINES), shell.moment(since), follow)
    name, names = shell.split_services(words or [], config)
    tools, record = opening.known(name, config)
    if console:
        shell.show_console(tools, record, look.tail)
    else:
        shell.show_logs(tools, record, names, look)
