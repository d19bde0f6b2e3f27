from __future__ import annotations

import json
import stat
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from provisioner.cli import people, workshop
from provisioner.cli.funnel import verb
from provisioner.store import Store

ROSTER = "Name,Email\nAda Lovelace,ada@example.org\n李小龙,\n"

app = typer.Typer()
app.command("launch")(verb(workshop.launch))
app.command("mail")(verb(people.mail))
app.add_typer(people.users, name="users")


def provision(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, words)


def as_json(*words: str) -> Any:
    done = provision(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def launched(own_home: Path) -> Path:
    Path("people.csv").write_text(ROSTER, encoding="utf-8")
    as_json("launch", "--provider", "fake", "--roster", "people.csv", "--spare", "1")
    return own_home


def test_a_launch_from_a_roster_counts_spare_seats_and_knows_names(own_home: Path) -> None:
    Path("people.csv").write_text(ROSTER, encoding="utf-8")
    made = as_json("launch", "--provider", "fake", "--roster", "people.csv", "--spare", "1")
    assert made["users"] == 3
    assert [(item["seat"], item["name"], item["username"]) for item in made["credentials"]] == [
        ("1", "Ada Lovelace", "ada-lovelace"),
        ("2", "李小龙", "lixiaolong"),
        ("3", "", "spare01"),
        ("instructor", "", "instructor"),
    ]


def test_users_list(launched: Path) -> None:
    listed = as_json("users", "list")
    assert listed[0] == {
        "seat": "1",
        "name": "Ada Lovelace",
        "username": "ada-lovelace",
        "email": "ada@example.org",
        "admin": False,
    }
    for words in (("users", "list", "workshop"), ("users", "list", "--workshop", "workshop")):
        shown = provision(*words).stdout
        assert "李小龙" in shown
        assert "spare01" in shown


def test_users_add_shows_the_card_and_how_to_print_it(launched: Path) -> None:
    done = provision("users", "add", "Grace Hopper", "--email", "grace@example.org")
    assert done.exit_code == 0, done.output
    assert "grace-hopper" in done.stdout
    assert "provision credentials workshop --only grace-hopper --output" in done.stdout
    again = provision("users", "add", "Grace Hopper", "--email", "grace@example.org")
    assert "Grace Hopper is there already: grace-hopper" in again.stdout
    assert "provision mail workshop --dry-run" in done.stdout
    assert "--only grace-hopper\n" in done.stdout
    for line in done.stdout.splitlines()[1:]:  # the password and both commands once more
        assert line in again.stdout
    both = as_json("users", "add", "Grace Hopper", "--email", "grace@example.org")
    assert both["added"] == []
    assert both["already"][0]["password"] in done.stdout
    assert "--only grace-hopper" in both["reprint"]
    as_json("users", "remove", "spare01")
    more = as_json("users", "add", "Jo", "Bo")
    assert [item["username"] for item in more["added"]] == ["jo", "bo"]
    assert "--only jo,bo" in more["reprint"]
    assert set(more["added"][0]) == {"seat", "name", "username", "password", "url"}


def test_users_add_from_a_longer_roster(launched: Path) -> None:
    Path("people.csv").write_text(ROSTER + "Zoë,zoe@example.org\n", encoding="utf-8")
    done = as_json("users", "add", "--roster", "people.csv")
    assert [item["username"] for item in done["added"]] == ["zoe"]
    assert [item["username"] for item in done["already"]] == ["ada-lovelace", "lixiaolong"]


def test_users_remove_and_reset(launched: Path) -> None:
    old = {item["username"]: item for item in as_json("launch")["credentials"]}
    done = as_json("users", "reset", "ada-lovelace")
    assert done["reset"][0]["password"] != old["ada-lovelace"]["password"]
    as_json("users", "add", "Jo")  # has a home from then on, and so has everybody
    gone = as_json("users", "remove", "lixiaolong")
    assert gone["removed"] == ["lixiaolong"]
    assert (Path(gone["backup"]) / "lixiaolong.tar.zst").exists()
    assert "lixiaolong" not in [item["username"] for item in as_json("users", "list")]
    discarded = as_json("users", "remove", "jo", "--discard-home", "--yes")
    assert discarded["backup"] is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add",), 2, "Names or a roster"),
        (("add", "Jo", "--roster", "people.csv"), 2, "Names or a roster"),
        (("add", "Jo", "Bo", "--email", "x@example.org"), 2, "--email with one name alone"),
        (("add", "Jo", "--email", "nowhere"), 2, "no e-mail address"),
        (("add", "=1+1"), 2, "begins like a formula"),
        (("add", "--roster", "none.csv"), 2, "There is no roster none.csv"),
        (("add", "a", "b", "c", "d", "e"), 3, "Nobody was added"),
        (("remove", "ada"), 2, "did you mean ada-lovelace?"),
        (("remove", "instructor"), 3, "is an admin"),
        (("reset", "nobody"), 2, "nobody called nobody"),
        (("list", "elsewhere"), 2, "There is no workshop 'elsewhere'"),
    ],
)
def test_what_can_not_be_done_is_said_in_words(
    words: tuple[str, ...], code: int, said: str, launched: Path
) -> None:
    before = Store(launched).load("workshop")
    done = provision("users", *words)
    assert done.exit_code == code, done.output
    assert said in done.stderr
    assert Store(launched).load("workshop") == before


def test_mail_writes_one_private_letter_each_and_names_who_has_no_address(launched: Path) -> None:
    done = as_json("mail", "--dry-run", "--from", "Jo <jo@example.org>", "--output", "letters")
    assert done == {
        "folder": "letters",
        "written": ["ada-lovelace.eml"],
        "without_email": ["lixiaolong", "spare01"],
        "outdated": [],
    }
    path = Path("letters/ada-lovelace.eml")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    message = message_from_bytes(path.read_bytes(), policy=default)
    assert message["To"] == "Ada Lovelace <ada@example.org>"
    shown = provision("mail", "--dry-run", "--from", "jo@example.org")
    assert "1 letter is in workshop-mail; nothing was sent" in shown.stdout
    assert "msmtp" in shown.stdout
    assert "Without an address: lixiaolong, spare01" in shown.stdout


def test_mail_never_sends(launched: Path) -> None:
    done = provision("mail", "--from", "jo@example.org")
    assert done.exit_code == 2
    assert "sends no mail itself" in done.stderr
    assert "--dry-run" in done.stderr
    assert not Path("workshop-mail").exists()
    nameless = provision("mail", "--dry-run")
    assert nameless.exit_code == 2
    assert "Who writes the letters?" in nameless.stderr


def test_a_workshop_whose_people_have_no_addresses(own_home: Path) -> None:
    as_json("launch", "--provider", "fake")
    done = provision("mail", "--dry-run", "--from", "jo@example.org")
    assert done.exit_code == 2
    assert "--roster people.csv" in done.stderr


BY = ("mail", "--dry-run", "--from", "jo@example.org")


def test_letters_to_some_people_alone(launched: Path) -> None:
    as_json("users", "remove", "spare01", "--yes")
    as_json("users", "add", "Grace Hopper", "--email", "grace@example.org")
    assert as_json(*BY, "--only", "grace-hopper")["written"] == ["grace-hopper.eml"]
    assert provision(*BY, "--only", "nobody").exit_code == 2
    none = provision(*BY, "--only", "lixiaolong")
    assert none.exit_code == 2
    assert "None of these people has an e-mail address" in none.stderr


def test_letters_to_people_who_have_left_are_not_sent_with_the_others(launched: Path) -> None:
    as_json("users", "remove", "spare01", "--yes")
    as_json("users", "add", "Grace Hopper", "--email", "grace@example.org")
    as_json(*BY)
    Path("workshop-mail/own.eml").write_text("Subject: a letter of mine\n\n")
    as_json("users", "remove", "ada-lovelace", "--yes")
    done = as_json(*BY)
    assert done["outdated"] == ["ada-lovelace.eml"]
    left = sorted(path.name for path in Path("workshop-mail").iterdir())
    assert left == ["grace-hopper.eml", "own.eml"]


def test_letters_say_what_cards_say_now(launched: Path) -> None:
    Path("workshop.toml").write_text('[sheet]\ntitle = "Maps of Mars"\nstart = "Open mars.ipynb"\n')
    as_json(*BY)
    letter = message_from_bytes(Path("workshop-mail/ada-lovelace.eml").read_bytes(), policy=default)
    assert letter["Subject"].startswith("Maps of Mars")
    assert "Open mars.ipynb" in letter.get_content()
