"""`provision credentials` over a workshop that is on disk: forms, files, and what is refused."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pypdf
import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from provisioner.keys import new_credentials
from provisioner.models import Phase, Server, ServerState
from provisioner.settings import Settings
from provisioner.store import Record, Store, credentials_csv
from tests.authority import Authority, pem
from tests.cli.test_app import provision

NAME = "tessera"


@pytest.fixture
def store(own_home: Path) -> Store:
    return Store(own_home)


def workshop(store: Store, *, ready: bool = True, person: str = "", **asked: Any) -> Record:
    """Of three people and the instructor; `person` is what the first one is called."""
    settings = Settings(name=NAME, users=3, provider="fake", **asked)
    first, *others = settings.people()
    people = (replace(first, name=person), *others)
    now = datetime.now(UTC)
    server = Server("0-1", ServerState.RUNNING, "127.0.0.1", "127.0.0.1", 2222, 8443)
    record = Record(
        id="0-1",
        name=NAME,
        provider="fake",
        phase=Phase.READY if ready else Phase.PREPARING,
        created_at=now,
        expires_at=now + timedelta(hours=8),
        people=people,
        site="localhost" if ready else "",
        settings=settings.model_dump(mode="json"),
        server=server if ready else None,
    )
    made = new_credentials(people, shared=False)
    return store.create(record, {"credentials.csv": credentials_csv(made, record.url)})


def passwords(store: Store) -> dict[str, str]:
    lines = store.folder(NAME).credentials.read_text(encoding="utf-8").splitlines()[1:]
    return {line.split(",")[2]: line.split(",")[3] for line in lines}


def words_of(path: Path) -> str:
    return "".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


@pytest.mark.parametrize(
    ("words", "to"),
    [
        (("--format", "pdf"), "tessera-sheet.pdf"),
        (("--format", "html"), "tessera-sheet.html"),
        (("--output", "cards.PDF"), "cards.PDF"),
        (("--output", "cards.htm"), "cards.htm"),
        (("--format", "pdf", "--output", "cards"), "cards"),
        (("--output", "all.csv"), "all.csv"),
        (("--output", "all.json"), "all.json"),
    ],
)
def test_the_form_follows_from_the_file_or_the_file_from_the_form(
    store: Store, words: tuple[str, ...], to: str
) -> None:
    workshop(store)
    Path(to).write_text("an older one")
    Path(to).chmod(0o644)
    done = provision("credentials", NAME, *words)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(Path(to).stat().st_mode) == 0o600
    content = Path(to).read_bytes()
    if content.startswith(b"%PDF"):
        content = words_of(Path(to)).encode()
    for password in passwords(store).values():
        assert password.encode() in content
        assert password not in done.stdout + done.stderr
    if not to.startswith("all"):
        assert to in done.stdout


def test_json_tells_where_the_cards_are(store: Store) -> None:
    workshop(store)
    done = provision("credentials", NAME, "--output", "cards.pdf", "--json")
    told = json.loads(done.stdout)
    assert told == {
        "name": NAME,
        "format": "pdf",
        "path": str(Path("cards.pdf").resolve()),
        "people": 4,
        "unprintable": [],
    }


@pytest.mark.parametrize("form", ["csv", "json", "html", "pdf"])
def test_json_tells_of_every_file_in_the_same_way(store: Store, form: str) -> None:
    workshop(store)
    to = f"all.{form}"
    done = provision("credentials", NAME, "--output", to, "--json")
    told = json.loads(done.stdout)
    assert (told["format"], told["people"]) == (form, 4)
    assert told["path"] == str(Path(to).resolve())
    assert Path(to).stat().st_size > 100


def test_json_alone_is_one_document(store: Store) -> None:
    workshop(store)
    done = provision("credentials", NAME, "--json")
    assert len(json.loads(done.stdout)) == 4


def test_names_have_a_column_when_there_are_any_and_no_password_is_broken(store: Store) -> None:
    workshop(store)
    assert "Name" not in provision("credentials", NAME).stdout.replace("User name", "")
    shutil.rmtree(store.folder(NAME).path)
    workshop(store, person="Anna Katharina Sophia von und zu Hohenstein-Waldburg " * 2)
    text = provision("credentials", NAME, COLUMNS="80").stdout
    assert "Name" in text.replace("User name", "")
    assert "Waldburg" in text
    for username, password in passwords(store).items():
        assert re.search(rf"{username}\W+{re.escape(password)}", text)


def test_the_sheet_takes_the_place_of_no_device_and_a_link_stays_one(store: Store) -> None:
    workshop(store)
    os.mkfifo("pipe")
    done = provision("credentials", NAME, "--format", "csv", "--output", "pipe")
    assert done.returncode == 2
    assert "is no file" in done.stderr
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    Path("folder").mkdir()
    Path("link.csv").symlink_to("folder/all.csv")
    assert provision("credentials", NAME, "--output", "link.csv").returncode == 0
    assert Path("link.csv").is_symlink()
    assert "user01" in Path("folder/all.csv").read_text()


def test_paper_and_cards_by_flag_over_those_of_the_launch(store: Store) -> None:
    workshop(store, sheet={"paper": "A4", "title": "Maps of the world", "wifi": "guests"})
    words = ("--format", "pdf", "--paper", "letter", "--cards", "10")
    assert provision("credentials", NAME, *words).returncode == 0
    file = pypdf.PdfReader("tessera-sheet.pdf")
    assert [round(float(size)) for size in file.pages[0].mediabox[2:]] == [612, 792]
    text = file.pages[0].extract_text()
    assert "Maps of the world" in text
    assert "guests" in text


def test_words_for_the_cards_may_come_after_the_launch(store: Store) -> None:
    workshop(store)
    Path("workshop.toml").write_text('name = "tessera"\n[sheet]\nwifi = "guests"\n')
    assert provision("credentials", "--format", "pdf").returncode == 0
    assert "guests" in words_of(Path("tessera-sheet.pdf"))
    Path("workshop.toml").write_text('name = "another"\n[sheet]\nwifi = "elsewhere"\n')
    assert provision("credentials", NAME, "--format", "pdf").returncode == 0
    assert "elsewhere" not in words_of(Path("tessera-sheet.pdf"))


def test_a_wifi_password_comes_from_the_file_and_where_there_is_none_that_is_said(
    store: Store,
) -> None:
    workshop(store, sheet={"wifi": "guests"})
    done = provision("credentials", NAME, "--format", "html")
    assert "no record keeps it" in " ".join(done.stderr.split())
    toml = 'name = "tessera"\n[sheet]\nwifi = "guests"\nwifi_password = "open sesame"\n'
    Path("workshop.toml").write_text(toml)
    done = provision("credentials", NAME, "--format", "html")
    assert "password" not in done.stderr
    assert "open sesame" in Path("tessera-sheet.html").read_text(encoding="utf-8")


def test_a_workshop_that_vouches_for_itself_says_what_to_do(store: Store) -> None:
    workshop(store)
    authority = Authority("tessera").certificate
    store.folder(NAME).ca.write_bytes(pem(authority))
    assert provision("credentials", NAME, "--format", "html").returncode == 0
    page = Path("tessera-sheet.html").read_text(encoding="utf-8")
    assert "certificate (ca.crt)" in page
    assert authority.fingerprint(SHA256()).hex(":").upper() in page


@pytest.mark.parametrize("form", ["table", "csv", "json", "html", "pdf"])
def test_only_some_people(store: Store, form: str) -> None:
    workshop(store)
    words = ("--format", form, "--only", "user03, instructor")
    done = provision("credentials", NAME, *words)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    if form == "html":
        text = Path("tessera-sheet.html").read_text(encoding="utf-8")
    if form == "pdf":
        text = words_of(Path("tessera-sheet.pdf"))
    for username, password in passwords(store).items():
        assert (password in text) is (username in {"user03", "instructor"})


def test_a_pdf_goes_through_a_pipe_and_not_to_a_terminal(store: Store) -> None:
    workshop(store)
    command = [sys.executable, "-m", "provisioner.cli.app", "credentials", NAME]
    command += ["--format", "pdf", "--output", "-"]
    piped = subprocess.run(command, capture_output=True, check=True)
    assert len(pypdf.PdfReader(io.BytesIO(piped.stdout)).pages) == 2
    terminal, inside = pty.openpty()
    try:
        refused = subprocess.run(command, stdout=inside, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(inside)
        os.close(terminal)
    assert refused.returncode == 2
    assert b"--output FILE.pdf" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "docx"), "table, csv, json, html or pdf"),
        (("--output", "cards.docx"), "--format table can't be written to a file"),
        (("--format", "table", "--output", "all.csv"), "can't be written to a file"),
        (("--format", "pdf", "--paper", "A5"), "A4 or Letter"),
        (("--format", "html", "--cards", "9"), "8 or 10"),
        (("--format", "csv", "--cards", "8"), "--cards is for --format pdf and html"),
        (("--only", "user03,user99"), "user99"),
        (("--format", "pdf", "--output", "no/such/folder/a.pdf"), "can't be written"),
        (("--format", "pdf", "--output", "."), "is a folder"),
        (("--json", "--format", "html", "--output", "-"), "can't both go"),
        (("--json", "--format", "csv"), "can't both go"),
        (("--json", "--format", "csv", "--output", "-"), "can't both go"),
        (("--json", "--format", "table"), "can't both go"),
    ],
)
def test_what_is_refused(store: Store, words: tuple[str, ...], message: str) -> None:
    workshop(store)
    done = provision("credentials", NAME, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path().iterdir())


@pytest.mark.parametrize("form", ["pdf", "html"])
def test_cards_without_an_address_are_not_printed(store: Store, form: str) -> None:
    workshop(store, ready=False)
    done = provision("credentials", NAME, "--format", form)
    assert done.returncode == 4
    assert f"provision launch {NAME}" in done.stderr
    assert provision("credentials", NAME).returncode == 0


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ('paper = "A5"', "sheet.paper"),
        ("cards = 9", "sheet.cards"),
        ('wifi_password = "x"', "wifi_password needs wifi"),
    ],
)
def test_a_sheet_section_that_cannot_be_printed(store: Store, key: str, message: str) -> None:
    workshop(store)
    Path("workshop.toml").write_text(f"[sheet]\n{key}\n")
    done = provision("credentials", NAME, "--format", "pdf")
    assert done.returncode == 2
    assert message in done.stderr


def test_environment_variables_reach_the_cards(store: Store) -> None:
    workshop(store)
    environ = {"PROVISION_NAME": NAME, "PROVISION_SHEET__CARDS": "10"}
    done = provision("credentials", "--format", "pdf", **environ)
    assert done.returncode == 0, done.stderr
    assert "10 cards a page" in done.stdout


def test_a_character_that_no_font_has_is_told_and_the_cards_are_made(store: Store) -> None:
    workshop(store, person="An\u0378a")  # a code point that Unicode has given to nothing
    done = provision("credentials", NAME, "--format", "pdf")
    assert done.returncode == 0
    assert "U+0378" in done.stderr
    assert "An\ufffda" in words_of(Path("tessera-sheet.pdf"))
