"""`provision credentials`: which form of the sheet is meant, and where it goes."""

from __future__ import annotations

import json
import sys
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from provisioner.cli import wiring
from provisioner.cli.opening import ANY_DEADLINE
from provisioner.cli.output import print_json, stderr, stdout, table
from provisioner.errors import NotReady, UsageError
from provisioner.models import SheetOptions
from provisioner.sections import SheetSection
from provisioner.settings import recorded
from provisioner.sheet.forms import Sheet
from provisioner.store import Folder, Record, credentials_csv, read_credentials, write_private
from provisioner.workflow.launch import local_time

FORMS = ("table", "csv", "json", "html", "pdf")
CARDS = ("html", "pdf")
SUFFIXES = {".csv": "csv", ".json": "json", ".html": "html", ".htm": "html", ".pdf": "pdf"}
STDOUT = Path("-")
SHOWN = 8
"""Characters that no font has, as a warning lists them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for, in itself consistent. `to` None is the form's own default."""

    form: str
    to: Path | None
    changes: dict[str, Any]
    only: tuple[str, ...]
    json: bool


def asked(
    form: str | None,
    to: Path | None,
    paper: str | None,
    cards: int | None,
    only: str,
    *,
    json_: bool,
) -> Asked:
    """Raises UsageError for what can't be meant."""
    form = form or _form_of(to) or ("json" if json_ else "table")
    if form not in FORMS:
        raise UsageError(
            f"There is no --format {form}", hint="--format table, csv, json, html or pdf"
        )
    if form == "table" and to is not None:
        raise UsageError(
            "--format table can't be written to a file",
            hint="--format csv, json, html or pdf; or a file whose name ends like that",
        )
    given = {"paper": paper, "cards": cards}
    changes = {key: value for key, value in given.items() if value is not None}
    if changes and form not in CARDS:
        raise UsageError(f"--{next(iter(changes))} is for --format pdf and html, not for {form}")
    if form == "pdf" and to == STDOUT and sys.stdout.isatty():
        raise UsageError(
            "A PDF can't be shown on a terminal", hint="--output FILE.pdf, or pipe it to a program"
        )
    if json_ and form != "json" and (to == STDOUT or (to is None and form not in CARDS)):
        raise UsageError(
            f"--json and --format {form} can't both go to standard output",
            hint="--output FILE, or only one of the two",
        )
    people = tuple(word.strip() for word in only.split(",") if word.strip())
    return Asked(form, to, _checked(changes), people, json_)


def _form_of(to: Path | None) -> str | None:
    return SUFFIXES.get(to.suffix.lower()) if to is not None else None


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
    """The same rules for flags as for workshop.toml."""
    try:
        section = SheetSection(**changes)
    except ValueError:
        raise UsageError("--paper is A4 or Letter, and --cards 8 or 10 a page") from None
    return {key: getattr(section, key) for key in changes}


def options(record: Record, config: Path | None, form: str = "pdf") -> SheetOptions:
    """As workshop.toml has them now, if it is this workshop's and has any; else as at launch.

    They are words on paper only, so a Wi-Fi password that is known later needs no new launch.
    """
    now = wiring.settings(config, ANY_DEADLINE, only={"name", "sheet"})
    if now.name == record.name and "sheet" in now.model_fields_set:
        return now.sheet_options()
    known = recorded(record.settings).sheet_options()
    if form in CARDS and known.wifi and not known.wifi_password:
        stderr.print(
            "[yellow]![/] The Wi-Fi's password, if it has one, is not on the cards: no record keeps"
            " it\n    → type it where this workshop's workshop.toml is, or name that: --config FILE"
        )
    return known


def show(asked: Asked, folder: Folder, record: Record, options: SheetOptions) -> None:
    sheet = sheet_of(folder, record, replace(options, **asked.changes))
    if asked.only:
        sheet = _only(sheet, asked.only)
    if not record.url:
        if asked.form in CARDS:
            raise NotReady(
                f"Cards of {record.name!r} would have no address: it has none yet",
                hint=f"provision launch {record.name}",
            )
        stderr.print("[yellow]![/] The workshop has no address yet")
    if asked.form == "table":
        stdout.print(listed(sheet, title=f"{record.name}  {record.url}"))
    else:
        _write(asked, sheet)


def listed(sheet: Sheet, *, title: str = "") -> Table:
    """For a terminal. A long name takes more lines, and a password never does."""
    made = table(*sheet.headings(), rows=sheet.rows(), title=title)
    for column in made.columns:
        column.no_wrap = column.header != "Name"
    return made


def sheet_of(folder: Folder, record: Record, options: SheetOptions) -> Sheet:
    return Sheet(
        record.name,
        record.url,
        read_credentials(folder.credentials, record.people),
        options,
        authority=_authority(folder, record),
        ends=local_time(record.expires_at),
    )


def _authority(folder: Folder, record: Record) -> str:
    """The fingerprint of a workshop's own authority, as browsers show one; "" if it has none."""
    if recorded(record.settings).tls_options().mode != "internal":
        return ""
    from cryptography.hazmat.primitives.hashes import SHA256

    from provisioner.certificate import read_chain

    try:
        return read_chain(folder.ca.read_bytes())[0].fingerprint(SHA256()).hex(":").upper()
    except (OSError, ValueError, IndexError):
        return ""


def _only(sheet: Sheet, people: tuple[str, ...]) -> Sheet:
    try:
        return sheet.only(people)
    except KeyError as unknown:
        names = ", ".join(unknown.args)
        raise UsageError(
            f"{sheet.workshop!r} has nobody with the user name {names}",
            hint=f"provision credentials {sheet.workshop}",
        ) from None


def _write(asked: Asked, sheet: Sheet) -> None:
    """Cards to a file even when none was named: thirty passwords are not for a terminal's
    scrollback. What goes to a file is told, and in all forms in the same way."""
    to = asked.to or STDOUT
    if asked.to is None and asked.form in CARDS:
        to = Path(f"{sheet.workshop}-sheet.{asked.form}")
    content, missing = _made(asked.form, sheet)
    if missing:
        _warn(missing)
    _put(content, to)
    if to == STDOUT:
        return
    if asked.json:
        print_json(
            {
                "name": sheet.workshop,
                "format": asked.form,
                "path": str(to.resolve()),
                "people": len(sheet.credentials),
                "unprintable": [*missing],
            }
        )
    else:
        size = f"{sheet.options.paper}, {sheet.options.cards} cards a page"
        what = f"  ({size})" if asked.form in CARDS else ""
        stdout.print(f"Sheet      {escape(str(to))}{what}", soft_wrap=True)


def _made(form: str, sheet: Sheet) -> tuple[str | bytes, tuple[str, ...]]:
    if form == "csv":
        return credentials_csv(sheet.credentials, sheet.url), ()
    if form == "json":
        return json.dumps(sheet.as_json(), indent=2, ensure_ascii=False) + "\n", ()
    if form == "html":
        from provisioner.sheet.html import html

        return html(sheet), ()
    from provisioner.sheet.pdf import pdf

    printed = pdf(sheet)
    return printed.content, printed.missing


def _warn(missing: tuple[str, ...]) -> None:
    named = [
        f"{letter} (U+{ord(letter):04X} {unicodedata.name(letter, '')})".replace(" )", ")")
        for letter in missing[:SHOWN]
    ]
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    stderr.print(
        f"[yellow]![/] No font here has {', '.join(named)}{more}; printed as \ufffd\n"
        "    → install a font that has it, or use --format html"
    )


def _put(content: str | bytes, to: Path) -> None:
    if to == STDOUT:
        data = content.encode() if isinstance(content, str) else content
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    if to.is_dir():
        raise UsageError(f"{to} is a folder", hint=f"--output {to / 'sheet.pdf'}")
    to = to.resolve()  # a link stays one, and leads to the sheet
    if to.exists() and not to.is_file():  # as root a device would become a file for everybody
        raise UsageError(f"{to} is no file", hint="--output - is standard output")
    try:
        write_private(to, content)
    except OSError as error:
        raise UsageError(f"{to} can't be written: {error.strerror}") from None
