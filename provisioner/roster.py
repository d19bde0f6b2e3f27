"""A list of participants, as spreadsheets and registration sites write it: CSV → entries.

The first line names the columns; what is not known of them is passed over. Everything that is
wrong is found at once, each with its line, because people mend a file in one go.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from anyascii import anyascii
from email_validator import EmailNotValidError, validate_email

from provisioner.errors import UsageError
from provisioner.sections.workshop import USERNAME

LONGEST_NAME = 100
LARGEST_FILE = 10 * 1024**2
DELIMITERS = ",;\t|"

# Headings as they come down to a-z and 0-9, in the languages that registration forms are in.
_WORDS = {
    "first": "first firstname firstnames givenname givennames forename vorname prenom prenoms "
    "nombre nombres nome voornaam fornavn fornamn etunimi imie jmeno primeironome",
    "last": "last lastname lastnames surname familyname nachname familienname zuname nomdefamille "
    "apellido apellidos cognome achternaam etternavn efternavn efternamn sukunimi nazwisko "
    "prijmeni sobrenome apelido",
    "name": "name names nom naam navn namn nimi",  # beside a first name: the last name
    "full": "fullname completename displayname participant participantname student studentname "
    "attendee attendeename nomcomplet nometprenom prenometnom nombrecompleto nombreyapellidos "
    "nomecompleto nomeecognome vollername vollstandigername vorundnachname imieinazwisko "
    "volledigenaam xingming shiming",
    "email": "email emails emailaddress mail mailaddress emailadresse mailadresse epost eposta "
    "epostadresse epostadress emailadres correo correoelectronico courriel adressemail "
    "adresseemail adresseelectronique adressedecourriel indirizzoemail sahkoposti "
    "sahkopostiosoite adresemail email1value youjian dianziyoujian",
    "username": "username user userid login loginname account benutzername benutzer kennung "
    "nomdutilisateur identifiant usuario nomeutente gebruikersnaam brukernavn anvandarnamn",
}
HEADINGS = {word: column for column, words in _WORDS.items() for word in words.split()}

NOT_CSV = (
    (b"PK\x03\x04", "an Excel or OpenDocument workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"%PDF", "a PDF"),
)
EXPORT = "export it first: Excel: Save As > CSV UTF-8; LibreOffice and Google Sheets: CSV"


@dataclass(frozen=True, slots=True)
class Entry:
    """One who takes part. `username` is "" unless the file says it; `line` is where, or 0."""

    name: str
    email: str = ""
    username: str = ""
    line: int = field(default=0, compare=False)


Tell = Callable[[str], None]
"""For what a person should look at, and that is no error."""


def _silent(_: str) -> None: ...


def read_roster(path: Path, tell: Tell = _silent) -> tuple[Entry, ...]:
    """The entries of a file, in its order. Raises UsageError with everything that is wrong."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{path} is too large for a list of people")
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"There is no roster {path}", hint="a CSV file whose first line is: name,email"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    return parse_roster(content, called=str(path), tell=tell)


def parse_roster(content: bytes, *, called: str, tell: Tell = _silent) -> tuple[Entry, ...]:
    """`called` is how messages name the file. Raises UsageError with everything that is wrong."""
    for magic, kind in NOT_CSV:
        if content.startswith(magic):
            raise UsageError(f"{called} is {kind}, not CSV", hint=EXPORT)
    text, certain = _decoded(content)
    if "\0" in text:
        raise UsageError(f"{called} is not a text file", hint=EXPORT)
    try:
        entries, problems = _read(text, certain=certain)
    except csv.Error as error:
        raise UsageError(f"{called} is not CSV: {error}", hint=EXPORT) from None
    if problems:
        raise UsageError(
            f"The roster {called} is not right:",
            details=tuple(problems),
            hint="mend these lines, then the same command again",
        )
    read = [entry.name for entry in entries if not entry.name.isascii()]
    if read and not certain:
        shown = ", ".join(read[:2])
        tell(
            f"{called} is not UTF-8; read as Western European: {shown}. If that is wrong, {EXPORT}"
        )
    return entries


def plain_name(text: str) -> str:
    """A name as it is kept: composed, single spaces, without what can't be seen.

    Raises ValueError for what is no name: such text comes from strangers and is opened in
    spreadsheets, where a leading = makes a formula of it.
    """
    composed = unicodedata.normalize("NFC", text)
    spaced = "".join(" " if char.isspace() else char for char in composed)
    shown = "".join(char for char in spaced if not _hidden(char))
    name = " ".join(shown.split())
    if not name:
        raise ValueError("there is no name")
    if name[0] in "=+-@":
        raise ValueError(f"{name!r} is no name: it begins like a formula")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the name {name[:20]!r}… is longer than {LONGEST_NAME} characters")
    return name


def plain_email(text: str) -> str:
    """An address that any mail program can send to, or "". Raises ValueError."""
    address = text.strip().removeprefix("mailto:")
    if not address:
        return ""
    try:
        found = validate_email(address, check_deliverability=False).ascii_email
    except EmailNotValidError as error:
        raise ValueError(f"{address!r} is no e-mail address: {error}") from None
    if not found:
        raise ValueError(f"{address!r}: only a-z, 0-9 and punctuation can stand before the @")
    return found


def _hidden(char: str) -> bool:
    """Control characters and what turns the direction of writing; joiners are part of words."""
    return (
        unicodedata.category(char) == "Cc"
        or char in "\u061c\u200e\u200f\ufeff"
        or ("\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069")
    )


def _decoded(content: bytes) -> tuple[str, bool]:
    """The text, and whether the encoding is beyond doubt."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace"), True
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding), encoding == "utf-8-sig"
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1"), False


def _read(text: str, *, certain: bool) -> tuple[tuple[Entry, ...], list[str]]:
    if text[:4].lower() == "sep=":  # Excel's own first line
        first, _, rest = text.partition("\n")
        text, skipped, delimiters = rest, 1, first[4:5]
    else:
        skipped, delimiters = 0, DELIMITERS
    rows, columns = _best_reading(text, delimiters)
    if not rows:
        return (), ["there is nobody in it"]
    number, headings = rows[0]
    if not {"first", "last", "name", "full"} & set(columns.values()):
        shown = ", ".join(repr(heading.strip()) for heading in headings[:6])
        return (), [
            f"line {number + skipped}: the first line must name the columns, such as name,email; "
            f"this one is {shown}"
        ]
    if len(rows) == 1:
        return (), ["there is nobody in it, only the names of the columns"]
    return _entries(rows[1:], columns, len(headings), skipped=skipped, certain=certain)


def _best_reading(text: str, delimiters: str) -> tuple[list[tuple[int, list[str]]], dict[int, str]]:
    """Rows with their lines, and column → what it holds, by the delimiter that explains most."""
    readings = []
    for delimiter in delimiters:
        rows = list(_rows(text, delimiter))
        readings.append((rows, _columns(rows[0][1]) if rows else {}))
    return max(readings, key=lambda reading: len(reading[1]))


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the line that it begins in."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    begins = 1
    for row in reader:
        if any(cell.strip() for cell in row):
            yield begins, row
        begins = reader.line_num + 1


def _columns(headings: list[str]) -> dict[int, str]:
    known: dict[int, str] = {}
    for index, heading in enumerate(headings):
        column = HEADINGS.get(re.sub(r"[^a-z0-9]", "", anyascii(heading).lower()))
        if column is not None and column not in known.values():
            known[index] = column
    return known


def _entries(
    rows: list[tuple[int, list[str]]],
    columns: dict[int, str],
    width: int,
    *,
    skipped: int,
    certain: bool,
) -> tuple[tuple[Entry, ...], list[str]]:
    entries, problems = [], []
    emails: dict[str, int] = {}
    usernames: dict[str, int] = {}
    for begins, row in rows:
        line = begins + skipped
        wrong = []
        if any(cell.strip() for cell in row[width:]):
            wrong.append(f"{len(row)} columns, where the first line names {width}")
        cells = {column: row[at] for at, column in columns.items() if at < len(row)}
        entry, bad = _entry(cells, line, certain=certain)
        wrong += bad
        for value, seen, what in (
            (entry.email.casefold(), emails, "address"),
            (entry.username, usernames, "user name"),
        ):
            if value and value in seen:
                wrong.append(f"the {what} {value} is in line {seen[value]} already")
            seen.setdefault(value, line)
        entries.append(entry)
        problems += [f"line {line}: {words}" for words in wrong]
    return tuple(entries), problems


def _entry(cells: dict[str, str], line: int, *, certain: bool) -> tuple[Entry, list[str]]:
    wrong = []
    name = email = ""
    try:
        name = plain_name(_full_name(cells))
    except ValueError as error:
        wrong.append(str(error))
    if not certain and _misread(name):
        wrong.append(f"the name reads {name!r}: the file is not UTF-8. {EXPORT}")
    try:
        email = plain_email(cells.get("email", ""))
    except ValueError as error:
        wrong.append(str(error))
    username = cells.get("username", "").strip().lower()
    if username and not USERNAME.fullmatch(username):
        wrong.append(f"{username!r} is not a user name: a-z, 0-9, - and _, a letter first")
    return Entry(name, email, username, line), wrong


def _misread(name: str) -> bool:
    """Whether these are plainly not the letters that were meant: another code page's.

    A word of three letters without one of a-z is Cyrillic, Greek or Hebrew read as Latin.
    """
    if any(unicodedata.category(char)[0] in "SNC" for char in name if char > "~"):
        return True
    words = re.split(r"[\W\d_]+", name)
    return any(len(word) >= 3 and not re.search(r"[a-zA-Z]", word) for word in words)


def _full_name(cells: dict[str, str]) -> str:
    if cells.get("full", "").strip():
        return cells["full"]
    first, name = cells.get("first", "").strip(), cells.get("name", "").strip()
    if "last" in cells:
        last = cells["last"].strip()
        return f"{first} {last}" if first or last else name
    if first and name.casefold().startswith(f"{first.casefold()} "):
        return name  # "Name" is the whole one, beside a "First name"
    return f"{first} {name}"
