"""One letter a person, ready for any mail program: RFC 5322 with what stands on their card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr

from provisioner.models import Credential
from provisioner.roster import plain_email, plain_name
from provisioner.sheet.forms import START_OWN_AUTHORITY, Sheet

START = "Open the address in a browser, log in, and open a notebook from the list on the left."


@dataclass(frozen=True, slots=True)
class Letter:
    username: str
    to: str  # the address alone
    content: bytes


def sender(text: str) -> Address:
    """ "Ada Lovelace <ada@example.org>", or the address alone. Raises ValueError."""
    name, address = parseaddr(text) if text.isprintable() else ("", "")
    found = plain_email(address) if address else ""
    if not found:
        raise ValueError(f'{text!r} is no sender: write "Ada Lovelace <ada@example.org>"')
    return Address(display_name=plain_name(name) if name else "", addr_spec=found)


def letters(sheet: Sheet, by: Address, at: datetime) -> tuple[Letter, ...]:
    """A letter to everybody who has an address; who has none has no letter."""
    return tuple(_letter(sheet, item, by, at) for item in sheet.credentials if item.person.email)


def _letter(sheet: Sheet, item: Credential, by: Address, at: datetime) -> Letter:
    person = item.person
    message = EmailMessage(policy=SMTP)
    message["From"] = by
    message["To"] = _recipient(person.name, person.email)
    message["Subject"] = f"{_line(sheet.title)}: your user name and password"
    message["Date"] = format_datetime(at)
    message["Message-ID"] = make_msgid(domain=by.domain)
    # Quoted-printable: lines of any length and script pass through every mail server.
    message.set_content(_text(sheet, item), charset="utf-8", cte="quoted-printable")
    return Letter(person.username, person.email, message.as_bytes())


def _recipient(name: str, email: str) -> Address:
    try:
        return Address(display_name=_line(name), addr_spec=email)
    except (HeaderParseError, ValueError):  # a name that no header can hold
        return Address(addr_spec=email)


def _text(sheet: Sheet, item: Credential) -> str:
    start = sheet.options.start or START
    notes = [
        START_OWN_AUTHORITY if sheet.authority else "",
        f"The workshop ends {_line(sheet.ends)}: download what you want to keep before that."
        if sheet.ends
        else "",
    ]
    return "\n".join(
        [
            f"Dear {_line(item.person.name)},",
            "",
            f"this is your way into {_line(sheet.title)}:",
            "",
            f"  Address    {sheet.login_url(item.person.username)}",
            f"  User name  {item.person.username}",
            f"  Password   {item.password}",
            "",
            _line(start),
            *(line for note in notes if note for line in ("", note)),
            "",
            "The password is yours alone; please bring this message with you.",
            "",
        ]
    )


def _line(text: str) -> str:
    """On one line, so that nothing in it can become a header or another paragraph."""
    return " ".join(text.split())
