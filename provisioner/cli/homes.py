"""The verbs `backup` and `restore`: participants' files, home and back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli.options import Config, Json, Name, Yes

if TYPE_CHECKING:
    from provisioner.workflow.backup import Backup
    from provisioner.workflow.restore import Restored

Only = Annotated[str, typer.Option("--only", help="These people's alone, such as user03,user07.")]


def backup(
    name: Name = None,
    only: Only = "",
    to: Annotated[
        Path | None, typer.Option("--output", help="A new folder; default: one in backups/.")
    ] = None,
    config: Config = None,
    json_: Json = False,
) -> None:
    """Bring everybody's files to this computer while people work on."""
    from provisioner.cli import opening, output
    from provisioner.workflow.backup import backup as run

    tools, record = opening.known(name, config)
    place = to.expanduser().absolute() if to else None
    done = run(tools, record, only=_names(only), output=place)
    if json_:
        output.print_json({"name": record.name, **backup_json(done)})
    else:
        show_backup(done)


def restore(
    name: Name = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="The folder of a backup.", show_default=False)
    ] = None,
    only: Only = "",
    map_: Annotated[
        str, typer.Option("--map", help="OLD=NEW,…: whose files go to somebody else here.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite files that are different now.")
    ] = False,
    config: Config = None,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """Put people's files from a backup into a workshop that runs; what is there stays."""
    from provisioner.cli import opening, output
    from provisioner.errors import Refused, UsageError
    from provisioner.workflow.restore import restore as run

    if source is None:
        raise UsageError("Which backup?", hint="provision restore --from FOLDER")
    mapping = pairs(map_)
    tools, record = opening.known(name, config)
    question = f"Overwrite what people in {record.name!r} changed since the backup?"
    if replace and not yes and sys.stdin.isatty() and not typer.confirm(question, err=True):
        raise Refused("Nothing was done")
    done = run(
        tools,
        record,
        source.expanduser().absolute(),
        only=_names(only),
        mapping=mapping,
        replace=replace,
    )
    if json_:
        output.print_json({"name": record.name, "people": [item.document() for item in done]})
    else:
        show_restored(done)


def pairs(text: str) -> dict[str, str]:
    """ "old=new,other=another" as old → new. Raises UsageError."""
    from provisioner.errors import UsageError

    found: dict[str, str] = {}
    for word in _names(text):
        old, equals, new = (part.strip() for part in word.partition("="))
        if not (old and equals and new) or found.get(old, new) != new:
            raise UsageError(
                f"{word!r} does not say whose files go to whom", hint="--map user01=ada,user02=bob"
            )
        found[old] = new
    return found


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def backup_json(done: Backup) -> dict[str, Any]:
    return {
        "backup": str(done.path) if done.people else None,
        "people": [
            {
                "username": username,
                "archive": kept.archive,
                "bytes": kept.size,
                "entries": kept.entries,
                "sha256": kept.sha256,
                "changed": list(kept.changed),
                "left_out": list(kept.left_out),
            }
            for username, kept in done.files
        ],
    }


def show_backup(done: Backup) -> None:
    from provisioner.cli import output
    from provisioner.sizing import format_size
    from provisioner.workflow.backup import count_people

    if not done.people:
        output.stdout.print("There are no files of anybody on the server.")
        return
    output.stdout.print(
        f"Files of {count_people(len(done.people))} ({format_size(done.size)}) are in {done.path}",
        markup=False,
    )
    output.stdout.print(
        f"Put back   provision restore --from {done.path}", markup=False, soft_wrap=True
    )


def show_restored(done: tuple[Restored, ...]) -> None:
    from provisioner.cli import output

    headings = ("From", "To", "Restored", "There already", "Replaced", "Beside")
    rows = [
        (
            item.source,
            item.username,
            *(str(number or "") for number in (item.restored, item.same, item.replaced)),
            f"{item.aside} in ~/{item.folder}" if item.aside else "",
        )
        for item in done
    ]
    output.stdout.print(output.table(*headings, rows=rows))
    if any(item.aside for item in done):
        output.stdout.print("Beside: something else was in their place, and stays there.")
