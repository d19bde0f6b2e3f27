"""What `mail` writes and says. It never sends: whose server may send is not ours to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

from provisioner.cli.output import stdout
from provisioner.errors import UsageError
from provisioner.models import Person
from provisioner.sheet.forms import Sheet
from provisioner.sheet.mail import letters, sender
from provisioner.store import Record, write_private

SENDING = """\
open them in Thunderbird (drag them into its outbox folder, or open each: Message > Edit As New)
or with msmtp: for letter in {folder}/*.eml; do msmtp --read-recipients < "$letter"; done"""


@dataclass(frozen=True, slots=True)
class Written:
    folder: Path
    files: tuple[Path, ...]
    without: tuple[Person, ...]  # participants who have no address
    outdated: tuple[Path, ...] = ()  # letters of an earlier time to people who have left

    def as_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "written": [path.name for path in self.files],
            "without_email": [person.username for person in self.without],
            "outdated": [path.name for path in self.outdated],
        }


def chosen(sheet: Sheet, only: str) -> Sheet:
    """`only` are user names with commas between; "" is everybody. Raises UsageError."""
    wanted = [word.strip() for word in only.split(",") if word.strip()]
    try:
        return sheet.only(wanted) if wanted else sheet
    except KeyError as unknown:
        raise UsageError(
            f"{sheet.workshop!r} has nobody with the user name {', '.join(unknown.args)}",
            hint=f"provision users list --workshop {sheet.workshop}",
        ) from None


def write(sheet: Sheet, record: Record, *, by: str, to: Path | None, dry_run: bool) -> Written:
    """One .eml a person with an address. Raises UsageError before anything is written."""
    folder = to or Path(f"{record.name}-mail")
    command = f'provision mail {record.name} --dry-run --from "NAME <ADDRESS>"'
    if not dry_run:
        raise UsageError(
            "provision sends no mail itself; it writes letters that your mail program sends",
            hint=f"{command}\nthen {SENDING.format(folder=folder)}",
        )
    try:
        sent_by = sender(by)
    except ValueError as error:
        raise UsageError(str(error) if by else "Who writes the letters?", hint=command) from None
    if not record.url:
        raise UsageError(
            "The workshop has no address yet, so nobody can be told",
            hint=f"provision launch {record.name}",
        )
    made = letters(sheet, sent_by, datetime.now().astimezone())
    people = [item.person for item in sheet.credentials]
    without = tuple(item for item in people if not item.email and not item.admin)
    if not made:
        raise UsageError(
            "Nobody in this workshop has an e-mail address"
            if sheet.complete
            else "None of these people has an e-mail address",
            hint="a roster gives them: provision launch --roster people.csv (name,email)",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = []
    for letter in made:
        files.append(folder / f"{letter.username}.eml")
        write_private(files[-1], letter.content)
    outdated = _outdated(folder, {person.username for person in record.people})
    for path in outdated:
        path.unlink()
    return Written(folder, tuple(files), without, outdated)


def _outdated(folder: Path, there: set[str]) -> tuple[Path, ...]:
    """Letters of ours to people who have left, which whoever sends the folder would send too."""
    found = []
    for path in sorted(folder.glob("*.eml")):
        if path.stem in there or not path.is_file():
            continue
        subject = str(message_from_bytes(path.read_bytes())["Subject"] or "")
        if subject.endswith("your user name and password"):
            found.append(path)
    return tuple(found)


def show(written: Written) -> None:
    count = len(written.files)
    letters = "1 letter is" if count == 1 else f"{count} letters are"
    stdout.print(f"{letters} in {written.folder}; nothing was sent. To send:", soft_wrap=True)
    stdout.print(SENDING.format(folder=written.folder), markup=False, soft_wrap=True)
    if written.outdated:
        names = ", ".join(path.stem for path in written.outdated)
        stdout.print(f"Deleted, as they have left: {names}", markup=False, soft_wrap=True)
    if written.without:
        names = ", ".join(person.username for person in written.without)
        stdout.print(f"Without an address: {names}", markup=False, soft_wrap=True)
