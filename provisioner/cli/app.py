"""The verbs. Each one reads as what it does; everything slow is imported inside it.

`provision --help` must stay quick, so that nothing but typer may be imported at the top.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from provisioner import __version__
from provisioner.errors import Interrupted, ProvisionError, Refused, UsageError

if TYPE_CHECKING:
    from provisioner.settings import Settings
    from provisioner.store import Record
    from provisioner.workflow.tools import Tools

app = typer.Typer(
    name="provision",
    help="Launch a Jupyter workshop on one machine, and leave nothing behind.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: provision launch --users 3",
)

_verbose = False

Name = Annotated[
    str | None, typer.Argument(help="The workshop; default: name in workshop.toml.")
]
Config = Annotated[
    Path | None, typer.Option("--config", help="Default: ./workshop.toml, if there.")
]
ProviderOption = Annotated[str | None, typer.Option("--provider", help="local")]
Users = Annotated[int | None, typer.Option("--users", help="How many participants.")]
Expires = Annotated[
    str | None, typer.Option("--expires", help="8h, 1d, or a time; then it ends itself.")
]
Memory = Annotated[str | None, typer.Option("--memory", help="Per participant, such as 1G.")]
Cpu = Annotated[float | None, typer.Option("--cpu", help="Cores per participant.")]
Disk = Annotated[str | None, typer.Option("--disk", help="Per participant, such as 2G.")]
Bind = Annotated[
    str | None, typer.Option("--bind", help="This machine's address in the classroom.")
]
Accel = Annotated[str | None, typer.Option("--accel", help="auto, kvm, hvf or tcg.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Never ask; safe for scripts.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def _verb(function: Callable[..., None]) -> Callable[..., None]:
    """The one funnel: every error becomes words and an exit code here."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except ProvisionError as error:
            _fail(error, bool(kwargs.get("json_")))
        except KeyboardInterrupt:
            verb, name = function.__name__.rstrip("_"), kwargs.get("name") or ""
            stopped = Interrupted(
                "Interrupted. What was done is recorded; nothing needs to be cleaned by hand.",
                hint=f"to go on: provision {verb} {name}".rstrip()
                + f"\nto end it: provision teardown {name}".rstrip(),
            )
            _fail(stopped, bool(kwargs.get("json_")))
        except typer.Exit:
            raise
        except Exception as error:
            if _verbose:
                raise
            bug = ProvisionError(
                f"A bug of provision's, not of yours: {type(error).__name__}: {error}",
                hint="run it again with `provision --verbose …` and report the traceback",
            )
            _fail(bug, bool(kwargs.get("json_")))

    return run


def _fail(error: ProvisionError, as_json: bool) -> NoReturn:
    from provisioner.cli import output

    if _verbose and error.exit_code != Interrupted.exit_code:
        output.stderr.print_exception()
    output.print_error(error)
    if as_json:
        output.print_json(
            {
                "error": error.message,
                "details": list(error.details),
                "hint": error.hint,
                "exit_code": error.exit_code,
            }
        )
    raise typer.Exit(error.exit_code)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"provision {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    verbose: Annotated[bool, typer.Option("--verbose", help="Tracebacks with errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="And exit.")
    ] = False,
) -> None:
    global _verbose
    _verbose = verbose


def _flags(
    name: str | None,
    users: int | None,
    provider: str | None,
    expires: str | None,
    memory: str | None,
    cpu: float | None,
    disk: str | None,
    bind: str | None,
    accel: str | None,
) -> dict[str, Any]:
    """Flags, nested as in workshop.toml; None means "not given"."""
    return {
        "name": name,
        "users": users,
        "provider": provider,
        "expires": expires,
        "participant": {"memory": memory, "cpu": cpu, "disk": disk},
        "local": {"bind": bind, "accel": accel},
    }


def _open(settings: Settings) -> Tools:
    from provisioner.cli import output, wiring

    return wiring.tools(settings.provider, output.ConsoleReporter())


def _existing(
    name: str | None, config: Path | None, provider: str | None
) -> tuple[Tools, str, Record | None]:
    """A workshop that is there already: named by argument or file, its provider by its record."""
    from provisioner.cli import output, wiring

    if name is None or provider is None:
        settings = wiring.settings(config, {"name": name, "provider": provider})
        name = settings.name
        default = settings.provider
    else:
        default = provider
    record = wiring.record_of(name)
    chosen = record.provider if record else default
    return wiring.tools(chosen, output.ConsoleReporter()), name, record


def _known(name: str | None, config: Path | None) -> tuple[Tools, Record]:
    """Like `_existing`, for verbs that can't do without a usable record."""
    from provisioner.workflow.expiry import settle

    tools, found, _ = _existing(name, config, None)
    record = tools.store.load(found)
    if record is None:
        raise UsageError(
            f"There is no workshop {found!r}", hint=f"provision launch {found}, or: provision list"
        )
    settled = settle(tools, record)
    if settled is None:
        raise typer.Exit
    return tools, settled


@app.command(rich_help_panel="The three everybody types")
@_verb
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
    from provisioner.cli import output, packages, wiring
    from provisioner.workflow.launch import launch as run

    flags = _flags(name, users, provider, expires, memory, cpu, disk, bind, accel)
    settings = wiring.settings(config, flags)
    tools = _open(settings)
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


def _launch_json(launched: Any) -> dict[str, Any]:
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


@app.command(rich_help_panel="The three everybody types")
@_verb
def credentials(
    name: Name = None,
    config: Config = None,
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    to: Annotated[Path | None, typer.Option("--output", help="A file, made 0600.")] = None,
    json_: Json = False,
) -> None:
    """Print the sheet: who logs in with which password."""
    from provisioner.cli.views import show_sheet

    tools, record = _known(name, config)
    show_sheet(tools.store, record, "json" if json_ else form, to)


@app.command(rich_help_panel="The three everybody types")
@_verb
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
    from provisioner.cli import output
    from provisioner.cli.views import show_torn_down
    from provisioner.workflow.teardown import TeardownOptions, tear_down

    tools, found, record = _existing(name, config, provider)
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


@app.command(rich_help_panel="During the workshop")
@_verb
def status(name: Name = None, config: Config = None, json_: Json = False) -> None:
    """The record beside reality: machine, services, participants, time left."""
    from provisioner.cli import output
    from provisioner.cli.views import show_status
    from provisioner.workflow.status import status as look

    tools, record = _known(name, config)
    seen = look(tools, record)
    if json_:
        output.print_json(seen.as_json())
    else:
        show_status(seen)


@app.command("list", rich_help_panel="During the workshop")
@_verb
def list_(provider: ProviderOption = None, config: Config = None, json_: Json = False) -> None:
    """Every workshop that this machine knows or runs."""
    from provisioner.cli import output, wiring
    from provisioner.cli.views import show_list
    from provisioner.workflow.expiry import settle
    from provisioner.workflow.status import listing

    chosen = provider or wiring.settings(config, {}).provider
    tools = wiring.tools(chosen, output.ConsoleReporter())
    for name in tools.store.names():
        record = wiring.record_of(name)
        if record is not None and record.provider == chosen:
            settle(tools, record)
    lines = listing(tools)
    show_list(lines, as_json=json_)


@app.command(
    rich_help_panel="During the workshop",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
@_verb
def ssh(context: typer.Context, name: Name = None, config: Config = None) -> None:
    """Open a shell on the server, or run a command there: provision ssh NAME -- uptime"""
    from provisioner.cli import shell

    found, words = shell.split_name(name, context.args)
    tools, record = _known(found, config)
    shell.become_ssh(tools.store.folder(record.name), record, words)


@app.command(rich_help_panel="During the workshop")
@_verb
def logs(
    name: Annotated[str | None, typer.Argument(help="The workshop.")] = None,
    service: Annotated[
        str | None, typer.Argument(help="hub, proxy, caddy or a user name.")
    ] = None,
    tail: Annotated[int, typer.Option("--tail", help="How many lines.", min=1)] = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    console: Annotated[bool, typer.Option("--console", help="The machine's console.")] = False,
    config: Config = None,
) -> None:
    """What the services say, or one service, one participant's server, or the console."""
    from provisioner.cli import shell, wiring

    if name is not None and service is None and wiring.record_of(name) is None:
        name, service = None, name  # `provision logs hub`
    tools, record = _known(name, config)
    shell.show_logs(tools, record, service or "", tail=tail, follow=follow, console=console)


@app.command(rich_help_panel="Before the workshop")
@_verb
def plan(
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
    json_: Json = False,
) -> None:
    """Say what a launch would make, and everything that speaks against it."""
    from provisioner.cli import output, wiring
    from provisioner.cli.views import plan_json, show_plan
    from provisioner.workflow import planning

    flags = _flags(name, users, provider, expires, memory, cpu, disk, bind, accel)
    settings = wiring.settings(config, flags)
    tools = _open(settings)
    base = wiring.base_image(settings.environment.base_image, tools.reporter)
    made = planning.draft(tools.store, tools.provider, settings, base_image=base)
    findings = planning.check(settings, tools.provider, made.spec)
    if json_:
        output.print_json(plan_json(settings, made, findings))
    else:
        show_plan(settings, made, findings, tools)
    if planning.errors(findings):
        raise typer.Exit(Refused.exit_code)


@app.command(rich_help_panel="Before the workshop")
@_verb
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


@app.command(rich_help_panel="Before the workshop")
@_verb
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
    from provisioner.cli import images, output, packages, wiring
    from provisioner.workflow import planning

    settings = wiring.settings(config, {"provider": provider})
    tools = _open(settings)
    if list_ or prune:
        images.show(tools, prune=prune, as_json=json_)
        return
    packages.ensure(tools.provider, tools.reporter, yes=yes)
    base = wiring.base_image(settings.environment.base_image, tools.reporter)
    made = planning.draft(tools.store, tools.provider, settings, base_image=base)
    image = images.bake(tools, made.spec)
    if json_:
        output.print_json(images.as_json_of(image))


@app.command(rich_help_panel="Before the workshop")
@_verb
def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Install what is missing.")] = False,
    config: Config = None,
    provider: ProviderOption = None,
    json_: Json = False,
) -> None:
    """Check this machine: packages, accelerator, memory, disk, network."""
    from provisioner.cli import checkup, wiring

    settings = wiring.settings(config, {"provider": provider})
    tools = _open(settings)
    if not checkup.run(tools, settings, fix=fix, as_json=json_):
        raise typer.Exit(Refused.exit_code)


if __name__ == "__main__":
    app(prog_name="provision")
