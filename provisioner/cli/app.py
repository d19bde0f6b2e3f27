"""The command line, put together: which verbs there are, and under which heading.

Nothing but typer is imported here, so that help and completion stay quick; each verb imports
what it needs when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from provisioner import __version__
from provisioner.cli import (
    before,
    bringing,
    during,
    homes,
    keeping,
    people,
    prewarming,
    rehearsing,
    workshop,
)
from provisioner.cli.funnel import be_verbose, verb

app = typer.Typer(
    name="provision",
    help="Launch a Jupyter workshop on one machine, and leave nothing behind.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: provision launch --users 3",
)

DURING = "During the workshop"
VERBS: dict[str, tuple[Callable[..., None], ...]] = {
    "The three everybody types": (workshop.launch, workshop.credentials, workshop.teardown),
    "Before the workshop": (
        *(before.init, before.plan, before.doctor, before.bake),
        *(rehearsing.rehearse, prewarming.prewarm, people.mail),
    ),
    DURING: (
        *(during.status, during.list_, during.open_, bringing.push),
        *(during.logs, during.ssh, during.exec_),
    ),
    "Between the days": (
        *(keeping.extend, keeping.stop, keeping.start),
        *(homes.backup, homes.restore, keeping.gc),
    ),
}

PASS_ON: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True}
"""For a verb whose last words are somebody else's command line."""

for panel, functions in VERBS.items():
    for function in functions:
        app.command(
            function.__name__.rstrip("_"),
            rich_help_panel=panel,
            context_settings=PASS_ON if function is during.ssh else None,
        )(verb(function))

app.add_typer(people.users, name="users", rich_help_panel=DURING)


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
    be_verbose(verbose)


if __name__ == "__main__":
    app(prog_name="provision")
