from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.models import Credential, Person, Secret, SheetOptions
from provisioner.roster import plain_name
from provisioner.sheet.forms import Sheet
from provisioner.sheet.mail import letters, sender

BY = sender("Ada Lovelace <ada@example.org>")
AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def read(sheet: Sheet) -> list[EmailMessage]:
    made = letters(sheet, BY, AT)
    read_back = [message_from_bytes(letter.content, policy=default) for letter in made]
    return [message for message in read_back if isinstance(message, EmailMessage)]


def sheet(name: str = "Grace Hopper", **options: str) -> Sheet:
    person = Person("1", "grace-hopper", name=name, email="grace@example.org")
    without = Person("2", "user02")
    return Sheet(
        "tessera",
        "https://workshop.example.org",
        (Credential(person, Secret("tabi-reku-mofa-87")), Credential(without, Secret("x"))),
        options=SheetOptions(**options),
    )


def test_a_letter_says_where_as_whom_and_how() -> None:
    (message,) = read(sheet(title="Maps from space"))
    assert message["From"] == "Ada Lovelace <ada@example.org>"
    assert message["To"] == "Grace Hopper <grace@example.org>"
    assert message["Subject"] == "Maps from space: your user name and password"
    assert message["Date"].datetime == AT
    assert message["Message-ID"].endswith("@example.org>")
    text = message.get_content().replace("\r\n", "\n")
    for words in (
        "Dear Grace Hopper,",
        "https://workshop.example.org/hub/login?username=grace-hopper\n",
        "grace-hopper\n",
        "tabi-reku-mofa-87\n",
        "log in",
    ):
        assert words in text
    assert "tabi" not in str(message["Subject"])
    assert text.count("tabi-reku-mofa-87") == 1  # never in the address


def test_the_workshops_own_words_stand_in_for_ours() -> None:
    (message,) = read(sheet(start="Bring your laptop's charger."))
    assert "Bring your laptop's charger." in message.get_content()


def test_every_line_can_pass_any_mail_server() -> None:
    (letter,) = letters(sheet(name="李小龙 " * 10, title="Ł" * 80, start="é" * 200), BY, AT)
    assert letter.content.isascii()
    assert b"\r\n" in letter.content
    assert b"\n" not in letter.content.replace(b"\r\n", b"")
    assert max(map(len, letter.content.split(b"\r\n"))) <= 78


HEADERS = {
    *("From", "To", "Subject", "Date", "Message-ID"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
}


@pytest.mark.parametrize(
    "evil", ["x\r\nBcc: all@example.org", "x\nBcc: all@example.org", "\r\n\r\nx"]
)
def test_nothing_becomes_a_header(evil: str) -> None:
    (message,) = read(sheet(name=evil, title=evil, start=evil))
    assert set(message.keys()) == HEADERS
    assert [item.addr_spec for item in message["To"].addresses] == ["grace@example.org"]
    assert "\nBcc:" not in message.get_content()


@given(st.text(max_size=90), st.text(max_size=80))
def test_names_in_any_script_come_back_as_they_were(name: str, title: str) -> None:
    try:
        name = plain_name(name.encode("utf-8", "ignore").decode())
    except ValueError:
        name = "Grace"
    title = title.encode("utf-8", "ignore").decode()
    (message,) = read(sheet(name=name, title=title))
    assert set(message.keys()) == HEADERS
    (to,) = message["To"].addresses
    assert to.addr_spec == "grace@example.org"
    assert f"Dear {name}," in message.get_content()


@pytest.mark.parametrize("bad", ["", "Ada", "Ada <ada>", "a@example.org\nBcc: b@example.org"])
def test_who_writes_must_have_an_address(bad: str) -> None:
    with pytest.raises(ValueError, match=r"no sender|no e-mail address"):
        sender(bad)
