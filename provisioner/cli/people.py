"""The verbs about people: users list, add, remove, reset; and mail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli.funnel import verb
from provisioner.cli.options import Config, Json, Name, Yes

if TYPE_CHECKING:
    from provisioner.models import Credential
    from provisioner.store import Record

Workshop = Annotated[
    str | None, typer.Option("--workshop", "-w", help="Default: name in workshop.toml.")
]
Usernames = Annotated[list[str], typer.Argument(metavar="USER…", help="User names.")]

users = typer.Typer(
    help="People who come and go while the workshop runs: list, add, remove, reset.",
    no_args_is_help=True,
)


def list_(
    name: Name = None, workshop: Workshop = None, config: Config = None, json_: Json = False
) -> None:
    """Who belongs to the workshop."""
    from provisioner.cli import opening, output

    _, record = opening.known(name or workshop, config)
    if json_:
        output.print_json([_person_json(person) for person in record.people])
        return
    rows = [(item.seat, item.name, item.username, item.email) for item in record.people]
    output.stdout.print(output.table("Seat", "Name", "User name", "E-mail", rows=[*rows]))


def add(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help='Such as "Ada Lovelace".')
    ] = None,
    email: Annotated[str, typer.Option("--email", help="Of the one who is added.")] = "",
    roster: Annotated[
        Path | None, typer.Option("--roster", help="A CSV file; who is there already stays.")
    ] = None,
    workshop: Workshop = None,
    config: Config = None,
    json_: Json = False,
) -> None:
    """Give more people a seat and a password, while the others work on."""
    from provisioner.cli import opening, output, wiring
    from provisioner.errors import UsageError
    from provisioner.roster import Entry, plain_email, plain_name, read_roster
    from provisioner.workflow.people import add as run

    if bool(names) == (roster is not None) or (email and len(names or []) != 1):
        raise UsageError(
            "Names or a roster, and --email with one name alone",
            hint='provision users add "Ada Lovelace" --email ada@example.org'
            "\nprovision users add --roster people.csv",
        )
    if roster is not None:
        entries = read_roster(roster, wiring.warn)
    else:
        try:
            entries = tuple(Entry(plain_name(name), plain_email(email)) for name in names or [])
        except ValueError as error:
            raise UsageError(f"Nobody was added: {error}") from None
    tools, record = opening.known(workshop, config)
    done = run(tools, record.name, entries)
    if json_:
        output.print_json(
            {
                "name": record.name,
                "added": _sheet_json(done.record, done.credentials),
                "already": _sheet_json(done.record, done.already),
                "reprint": _reprint(done.record, (*done.credentials, *done.already)),
            }
        )
        return
    for item in done.already:
        person = item.person
        output.stdout.print(f"{person.name} is there already: {person.username}", markup=False)
    if done.credentials or not done.already:
        _show(done.record, done.credentials, "Added")
    if done.already:  # added by a command that was killed, perhaps: nobody has seen their cards
        _show(done.record, done.already, "There already")


def remove(
    usernames: Usernames,
    discard_home: Annotated[
        bool, typer.Option("--discard-home", help="Delete their files unseen.")
    ] = False,
    workshop: Workshop = None,
    config: Config = None,
    yes: Yes = False,
    json_: Json = False,
) -> None:
    """End somebody's login and server at once; their files come home first."""
    from provisioner.cli import opening, output
    from provisioner.errors import Refused
    from provisioner.workflow.people import remove as run

    tools, record = opening.known(workshop, config)
    question = f"Delete the files of {', '.join(usernames)} without a copy?"
    if discard_home and not yes and sys.stdin.isatty() and not typer.confirm(question, err=True):
        raise Refused("Nothing was done")
    done = run(tools, record.name, usernames, discard_home=discard_home)
    home = done.backup.path if done.backup is not None and done.backup.people else None
    if json_:
        output.print_json(
            {
                "name": record.name,
                "removed": list(done.usernames),
                "backup": str(home) if home else None,
            }
        )
        return
    output.stdout.print(f"[bold green]Removed.[/] {', '.join(done.usernames)} can't log in.")
    if home:
        output.stdout.print(f"Files      {home}")


def reset(
    usernames: Usernames, workshop: Workshop = None, config: Config = None, json_: Json = False
) -> None:
    """Give somebody a new password; sessions under the old one end, files stay."""
    from provisioner.cli import opening, output
    from provisioner.workflow.people import reset as run

    tools, record = opening.known(workshop, config)
    done = run(tools, record.name, usernames)
    if json_:
        output.print_json(
            {
                "name": record.name,
                "reset": _sheet_json(done.record, done.credentials),
                "reprint": _reprint(done.record, done.credentials),
            }
        )
        return
    _show(done.record, done.credentials, "Reset")


def mail(
    name: Name = None,
    only: Annotated[
        str, typer.Option("--only", help="These people's alone, such as user03,user07.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the letters; nothing is sent.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option("--output", help="A folder; default: ./NAME-mail")
    ] = None,
    by: Annotated[str, typer.Option("--from", help='"Ada Lovelace <ada@example.org>"')] = "",
    config: Config = None,
    json_: Json = False,
) -> None:
    """Write one ready letter (.eml) for each participant with an e-mail address."""
    from provisioner.cli import letters, opening, output, sheets

    tools, record = opening.known(name, config)
    options = sheets.options(record, config)
    sheet = sheets.sheet_of(tools.store.folder(record.name), record, options)
    chosen = letters.chosen(sheet, only)
    written = letters.write(chosen, record, by=by, to=to, dry_run=dry_run)
    if json_:
        output.print_json(written.as_json())
    else:
        letters.show(written)


for word, function in (("list", list_), ("add", add), ("remove", remove), ("reset", reset)):
    users.command(word)(verb(function, f"users {word}"))


def _show(record: Record, credentials: tuple[Credential, ...], word: str) -> None:
    from provisioner.cli import output
    from provisioner.cli.sheets import listed
    from provisioner.sheet.forms import Sheet

    if not credentials:
        output.stdout.print("Nobody is new.")
        return
    sheet = Sheet(record.name, record.url, credentials)
    output.stdout.print(f"[bold green]{word}.[/] They log in at {record.url}")
    output.stdout.print(listed(sheet))
    output.stdout.print(f"Print      {_reprint(record, credentials)}", soft_wrap=True)
    if reached := [item.person.username for item in credentials if item.person.email]:
        sender = '--from "NAME <ADDRESS>"'
        letter = f"provision mail {record.name} --dry-run {sender} --only {','.join(reached)}"
        output.stdout.print(f"Mail       {letter}", soft_wrap=True, markup=False)


def _reprint(record: Record, credentials: tuple[Credential, ...]) -> str:
    """What is typed to print these cards alone; "" when there are none."""
    if not credentials:
        return ""
    usernames = ",".join(item.person.username for item in credentials)
    return f"provision credentials {record.name} --only {usernames} --output {record.name}-new.pdf"


def _sheet_json(record: Record, credentials: tuple[Credential, ...]) -> list[dict[str, Any]]:
    from provisioner.sheet.forms import Sheet

    return Sheet(record.name, record.url, credentials).as_json()


def _person_json(person: Any) -> dict[str, Any]:
    return {
        "seat": person.seat,
        "name": person.name,
        "username": person.username,
        "email": person.email,
        "admin": person.admin,
    }
