from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import UsageError
from provisioner.roster import Entry, parse_roster, plain_email, plain_name, read_roster

ADA = Entry("Ada Lovelace", "ada@example.org")
JURGEN = Entry("Jürgen Groß", "jg@example.org")


def parse(content: str | bytes, encoding: str = "utf-8") -> tuple[Entry, ...]:
    text = content.encode(encoding) if isinstance(content, str) else content
    return parse_roster(text, called="people.csv")


def problems(content: str | bytes, encoding: str = "utf-8") -> list[str]:
    with pytest.raises(UsageError) as error:
        parse(content, encoding)
    assert "people.csv" in error.value.message
    return list(error.value.details)


AS_EXPORTED = {
    "by hand": "name,email\nJürgen Groß,jg@example.org\n",
    "Excel, German": "Name;E-Mail\r\nJürgen Groß;jg@example.org\r\n",
    "Excel with its own first line": "sep=;\r\nName;E-Mail\r\nJürgen Groß;jg@example.org\r\n",
    "tabs": "Full Name\tEmail Address\nJürgen Groß\tjg@example.org\n",
    "quoted": '"Name","Email"\n"Jürgen Groß","jg@example.org"\n',
    "spaces after commas": "name, email\nJürgen Groß, jg@example.org\n",
    "Moodle": "First name,Last name,ID number,Email address\nJürgen,Groß,7,jg@example.org\n",
    "Eventbrite": "Order no.,First Name,Surname,Email,Ticket Type\n"
    "123,Jürgen,Groß,jg@example.org,Free\n",
    "German, one name each": "Vorname;Name;E-Mail-Adresse\nJürgen;Groß;jg@example.org\n",
    "German": "Nachname;Vorname;Mail\nGroß;Jürgen;jg@example.org\n",
    "French": "Prénom;Nom de famille;Courriel\nJürgen;Groß;jg@example.org\n",
    "Spanish": "Nombre,Apellidos,Correo electrónico\nJürgen,Groß,jg@example.org\n",
    "Polish": "Imię;Nazwisko;Adres e-mail\nJürgen;Groß;jg@example.org\n",
    "Chinese": "姓名,邮件\nJürgen Groß,jg@example.org\n",
    "both the first and the whole name": "Name,First name,Email\n"
    "Jürgen Groß,Jürgen,jg@example.org\n",
    "blank lines and empty cells": "\n,,\nname,email,\n\nJürgen Groß,jg@example.org,\n ,\n",
    "other columns": "Affiliation,Name,Diet,Email\nETH,Jürgen Groß,vegan,jg@example.org\n",
    "a name in two lines": 'name,email\n"Jürgen\n  Groß",jg@example.org\n',
    "a link": "name,email\nJürgen Groß,mailto:jg@example.org\n",
    "old line ends": "name,email\rJürgen Groß,jg@example.org\r",
}


NOT_LATIN = {"Polish", "Chinese"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", AS_EXPORTED)
def test_rosters_as_programs_export_them(form: str, encoding: str) -> None:
    assert parse(AS_EXPORTED[form], encoding) == (JURGEN,)


@pytest.mark.parametrize("form", [form for form in AS_EXPORTED if form not in NOT_LATIN])
def test_rosters_as_older_windows_programs_export_them(form: str) -> None:
    assert parse(AS_EXPORTED[form], "cp1252") == (JURGEN,)


def test_user_names_can_be_given() -> None:
    text = "name,email,username\nAda Lovelace,ada@example.org,Ada\nJo,,\n"
    assert parse(text) == (Entry("Ada Lovelace", "ada@example.org", "ada"), Entry("Jo"))


def test_everything_that_is_wrong_is_said_at_once_with_its_line() -> None:
    text = (
        "name,email,username\n"
        "Ada Lovelace,ada@example.org,\n"
        "\n"
        "Grace Hopper,grace at navy,\n"
        ",nobody@example.org,\n"
        '"Two\nlines",ADA@example.org,\n'
        "Linus,l@example.org,,extra\n"
        "Guido,g@example.org,Guido van\n"
        "Ken,k@example.org,ken\n"
        "Dennis,d@example.org,ken\n"
        '=HYPERLINK("x"),x@example.org,\n'
    )
    said = problems(text)
    expected = [
        ("line 4", "'grace at navy' is no e-mail address"),
        ("line 5", "there is no name"),
        ("line 6", "the address ada@example.org is in line 2 already"),
        ("line 8", "4 columns, where the first line names 3"),
        ("line 9", "'guido van' is not a user name"),
        ("line 11", "the user name ken is in line 10 already"),
        ("line 12", "it begins like a formula"),
    ]
    assert len(said) == len(expected)
    for line, (where, words) in zip(said, expected, strict=True):
        assert line.startswith(f"{where}: ")
        assert words in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04rest", "workbook, not CSV"),
        (b"\xd0\xcf\x11\xe0rest", "workbook, not CSV"),
        (b"%PDF-1.7", "a PDF, not CSV"),
        (b"name,email\n\0\0\0", "not a text file"),
    ],
)
def test_what_is_not_csv_is_told_how_to_become_it(content: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        parse(content)
    assert "CSV UTF-8" in error.value.hint


def test_a_list_without_headings_is_told_to_have_them() -> None:
    (said,) = problems("Ada Lovelace,ada@example.org\nJo,jo@example.org\n")
    assert "the first line must name the columns" in said
    assert "'Ada Lovelace'" in said


@pytest.mark.parametrize("content", ["", "\n\n", "name,email\n", "name,email\n,\n"])
def test_a_list_of_nobody(content: str) -> None:
    assert "nobody in it" in problems(content)[0]


def test_an_old_code_page_that_can_not_be_told_is_not_guessed() -> None:
    (said,) = problems("Name;Email\nLech Wałęsa;l@example.org\n", "cp1250")
    assert said.startswith("line 2: ")
    assert "not UTF-8" in said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no roster .*none\.csv"):
        read_roster(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="can't be read"):
        read_roster(tmp_path)


def test_names_are_kept_as_people_write_them() -> None:
    assert plain_name(" Siobhán\u00a0  O’Brien\t") == "Siobhán O’Brien"
    assert plain_name("Jose\u0301") == "José"
    assert plain_name("evil\u202etxt\x07") == "eviltxt"
    assert plain_name("می‌خواهم") == "می‌خواهم"  # a joiner is part of the word


def test_addresses_of_every_country() -> None:
    assert plain_email(" ada@bücher.example.de ") == "ada@xn--bcher-kva.example.de"
    for bad in ("ada", "ada@", "Ada <ada@example.org>", "a@example.org\nBcc: b@example.org"):
        with pytest.raises(ValueError, match="no e-mail address"):
            plain_email(bad)


names = st.text(min_size=1, max_size=60)


@given(st.lists(names, min_size=1, max_size=20), st.sampled_from(",;\t"))
def test_any_names_come_back_in_order_or_are_refused_with_words(
    given_names: list[str], delimiter: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["name", "email"])
    for number, name in enumerate(given_names):
        writer.writerow([name, f"p{number}@example.org"])
    content = text.getvalue().encode("utf-8", "surrogatepass")
    try:
        found = parse_roster(content, called="x")
    except UsageError as error:
        said = error
    else:
        assert [entry.name for entry in found] == [plain_name(name) for name in given_names]
        return
    assert said.details or said.hint


@given(st.binary(max_size=300))
def test_no_file_makes_it_stumble(content: bytes) -> None:
    try:
        found = parse_roster(content, called="x")
    except UsageError:
        return
    assert all(entry.name for entry in found)


OTHER_CODE_PAGES = {
    "Cyrillic": ("Иван Петров", "cp1251"),
    "Greek": ("Γιάννης", "cp1253"),
    "Hebrew": ("דוד לוי", "cp1255"),
    "Polish": ("Łukasz", "cp1250"),
}


@pytest.mark.parametrize("script", OTHER_CODE_PAGES)
def test_names_in_another_code_page_do_not_become_other_letters(script: str) -> None:
    name, encoding = OTHER_CODE_PAGES[script]
    (said,) = problems(f"Name;Email\n{name};x@example.org\n", encoding)
    assert said.startswith("line 2: the name reads")
    assert "not UTF-8" in said


@pytest.mark.parametrize("name", ["Þór Þórðarson", "Åsa Öberg", "Zoë", "Ñu Ó Sé", "Ægir"])
def test_names_of_western_europe_are_read_and_shown_to_be_looked_at(name: str) -> None:
    told: list[str] = []
    text = f"Name;Email\n{name};x@example.org\nJo;jo@example.org\n"
    found = parse_roster(text.encode("cp1252"), called="people.csv", tell=told.append)
    assert found[0].name == name
    assert len(told) == 1
    assert f"people.csv is not UTF-8; read as Western European: {name}." in told[0]
    assert "CSV UTF-8" in told[0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_is_beyond_doubt_is_read_in_silence(encoding: str) -> None:
    told: list[str] = []
    parse_roster("Name\nZoë Groß\n".encode(encoding), called="x", tell=told.append)
    assert told == []


def test_an_entry_knows_its_line() -> None:
    assert [entry.line for entry in parse("name\n\nAda\nJo\n")] == [3, 4]
