"""The verbs between the days: extend, stop, start, gc."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli.options import Config, Json, Name, ProviderOption, Yes

if TYPE_CHECKING:
    from provisioner.models import Found

By = Annotated[str, typer.Argument(help="2h, 1d: added to the deadline; or a time.")]


def extend(by: By, name: Name = None, config: Config = None, json_: Json = False) -> None:
    """Move the deadline at which the machine ends itself."""
    from provisioner.cli import opening, output
    from provisioner.cli.views import show_deadline
    from provisioner.workflow.extend import extend as run

    tools, record = opening.known(name, config)
    record = run(tools, record, by)
    if json_:
        output.print_json({"name": record.name, "expires_at": record.expires_at.isoformat()})
    else:
        show_deadline(record)


def stop(name: Name = None, config: Config = None, json_: Json = False) -> None:
    """Switch the machine off overnight; everything on it is kept."""
    from provisioner.cli import opening, output
    from provisioner.cli.views import show_stopped
    from provisioner.workflow.pause import stop as run

    tools, record = opening.known(name, config)
    record = run(tools, record)
    if json_:
        output.print_json({"name": record.name, "phase": record.phase})
    else:
        show_stopped(record)


def start(name: Name = None, config: Config = None, json_: Json = False) -> None:
    """Switch it on again: returns when a participant can run a notebook."""
    from provisioner.cli import opening, output
    from provisioner.cli.views import launch_json, show_launched
    from provisioner.workflow.pause import start as run

    tools, record = opening.known(name, config)
    launched = run(tools, record)
    if json_:
        output.print_json(launch_json(launched))
    else:
        show_launched(launched, tools.store.folder(record.name))


def gc(
    provider: ProviderOption = None,
    config: Config = None,
    discard_homes: Annotated[
        bool, typer.Option("--discard-homes", help="Delete participants' files unseen.")
    ] = False,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """Find what outlived its deadline or its record, in all regions; offer to delete it."""
    from provisioner.cli import opening, output, wiring
    from provisioner.cli.accounts import doomed_json, show_doomed
    from provisioner.errors import LeftOver, ProvisionError
    from provisioner.settings import PLACE
    from provisioner.workflow.gc import everywhere, look, orphaned_names
    from provisioner.workflow.teardown import TeardownOptions, tear_down

    asked = wiring.settings(config, {"provider": provider}, only=PLACE)
    tools = wiring.with_names(opening.tools_for(asked), asked)
    found_everywhere = everywhere(tools)
    doomed = look(tools, found_everywhere)
    names = orphaned_names(tools, found_everywhere)
    if not json_:
        show_doomed(doomed, names)
    deleted: list[str] = []
    failed: list[str] = []
    wanted = yes or _agreed(len(doomed), "Delete all of that?")
    for item in doomed if wanted else []:
        found = item.found
        try:
            there = wiring.settings(config, _place(asked.provider, found), only=PLACE)
            options = TeardownOptions(discard_homes, found.id)
            done = tear_down(opening.tools_for(there), found.name, options)
        except ProvisionError as error:  # the others are deleted all the same
            failed += [f"{found.name}: {error.message}", *error.details]
        else:
            deleted += done.deleted
    # Never by --yes: a machine of another account or kind may be behind the name.
    if tools.dns is not None and _agreed(
        len(names), "Delete these names, too? Workshops of other accounts may use them"
    ):
        for mark in names:
            tools.dns.clear(mark.hostname, mark.workshop_id)
            deleted.append(f"DNS record {mark.hostname}")
    if json_ and not failed:
        output.print_json({"found": doomed_json(doomed, names), "deleted": deleted})
    elif deleted:
        tools.reporter.note(f"deleted: {', '.join(deleted)}")
    if failed:
        raise LeftOver("Not all of it could be deleted:", details=tuple(failed))


def _place(provider: str, found: Found) -> dict[str, Any]:
    """The settings that lead to where `found` is."""
    from provisioner.cli.opening import ANY_DEADLINE

    name = {"hostname": found.hostname, "provider": "route53"} if found.hostname else {}
    return {
        "provider": provider,
        "name": found.name or "unnamed",
        **ANY_DEADLINE,
        "aws": {"region": found.region or None},
        "dns": name,
    }


def _agreed(how_many: int, question: str) -> bool:
    return bool(how_many) and sys.stdin.isatty() and typer.confirm(question, err=True)
