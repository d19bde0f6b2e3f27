"""`init`: a few questions on a terminal, options everywhere else, one file in the end."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.cli import asking, wiring
from provisioner.cli.example import filled
from provisioner.errors import UsageError
from provisioner.settings import Settings, load
from tests.cli.terminal import Terminal
from tests.cli.test_app import provision

FILE = Path("workshop.toml")


def written() -> Settings:
    return load({}, file=FILE, environ={})


def test_a_dialogue_with_mistakes_ends_in_a_file_that_a_launch_takes() -> None:
    Path("people.csv").write_text("name,email\nAda Lovelace,ada@example.org\n")
    Path("notebooks").mkdir()
    at = Terminal("init", environ={"AWS_EC2_METADATA_DISABLED": "true"})
    at.answer("What is the workshop called?", "Tessera 2026")
    assert "'Tessera 2026' is not a workshop name" in at.answer("called?", "tessera")
    at.answer("How many participants?", "0")
    assert "greater than or equal to 1" in at.answer("How many participants?", "nobody.csv")
    assert "There is no roster" in at.answer("How many participants?", "people.csv")
    at.answer("When does it end?", "tomorrow")
    assert "neither a duration" in at.answer("When does it end?", "8h")
    assert "a server that you have" in at.answer("Where does it run?", "moon")
    assert "'moon' is not one" in at.answer("Where does it run?", "host")
    at.answer("Which server?", "you@server.example.org")
    at.answer("Which notebooks", "./notbooks")
    assert "there is no folder ./notbooks" in at.answer("Which notebooks", "./notebooks")
    assert at.end() == 0
    assert "provision plan" in at.text
    settings = written()
    assert (settings.name, settings.expires, settings.provider) == ("tessera", "8h", "host")
    assert [person.username for person in settings.people()] == ["ada-lovelace", "instructor"]
    assert settings.host.address == "you@server.example.org"
    assert settings.materials.source == str(Path("notebooks").resolve())


def test_enter_alone_is_the_default_and_options_are_not_asked_again() -> None:
    at = Terminal("init", "--name", "tessera", "--users", "30")
    assert "called" not in at.answer("When does it end?", "")
    at.answer("Where does it run?", "")
    at.answer("Which notebooks", "geotessera, numpy >= 2")
    assert at.end() == 0
    settings = written()
    assert (settings.name, settings.users, settings.provider) == ("tessera", 30, "local")
    assert settings.environment.python == ("geotessera", "numpy >= 2")


def test_ctrl_c_at_a_question_leaves_nothing() -> None:
    at = Terminal("init")
    at.until("What is the workshop called?")
    at.press(b"\x03")
    assert at.end() == 130
    assert "Nothing was written" in at.text
    assert not FILE.exists()


def test_a_file_that_exists_is_not_asked_about() -> None:
    FILE.write_text("# mine\n")
    at = Terminal("init")
    assert at.end() == 2
    assert "left as it is" in at.text
    assert "called?" not in at.text
    assert FILE.read_text() == "# mine\n"


def test_without_a_terminal_nothing_is_asked() -> None:
    done = provision("init", "--host", "you@server.example.org", "--users", "4", "--expires", "9h")
    assert done.returncode == 0, done.stderr
    settings = written()
    assert (settings.provider, settings.users, settings.expires) == ("host", 4, "9h")


def test_the_file_may_be_elsewhere_and_its_paths_still_lead_there() -> None:
    Path("people.csv").write_text("name\nAda\n")
    Path("w").mkdir()
    done = provision("init", "--output", "w/a b.toml", "--roster", "people.csv")
    assert done.returncode == 0, done.stderr
    assert "provision launch --config 'w/a b.toml'" in done.stderr
    assert load({}, file=Path("w/a b.toml"), environ={}).users == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--users", "0"), "users: Input should be greater than or equal to 1"),
        (("--name", "../up"), "is not a workshop name"),
        (("--provider", "moon"), "'moon' is not one"),
        (("--region", "europe"), "aws.region"),
        (("--roster", "none.csv"), "There is no roster none.csv"),
        (("--hostname", "a", "--dns", "route53"), "needs a hostname with its domain"),
        (("--package", "-e ."), "the server has no such folder"),
    ],
)
def test_wrong_options_write_nothing(words: tuple[str, ...], message: str) -> None:
    done = provision("init", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not FILE.exists()


def test_print_writes_no_file_and_minds_none() -> None:
    FILE.write_text("# mine\n")
    done = provision("init", "--print", "--name", "tessera")
    assert done.returncode == 0
    assert tomllib.loads(done.stdout)["name"] == "tessera"
    assert FILE.read_text() == "# mine\n"


class Typist:
    """Answers questions by their first words."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[str]]) -> None:
        self.offered: dict[str, object] = {}
        self._answers = answers
        monkeypatch.setattr("typer.prompt", self._prompt)

    def _prompt(self, question: str, *, default: object = None, **_: object) -> str:
        for words, answers in self._answers.items():
            if question.startswith(words):
                self.offered.setdefault(words, default)
                return answers.pop(0)
        return str(default)


ACCOUNT = wiring.Account(
    who="1 as arn:aws:iam::1:user/ada",
    region="eu-west-2",
    regions=("eu-central-1", "eu-west-2"),
    zones=("workshops.example.org",),
)


def test_aws_offers_what_the_account_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typist = Typist(
        monkeypatch,
        {
            "In which region": ["mars-1", "us-east-1", "eu-central-1"],
            "Under which name": ["tessera.workshops.example.org"],
        },
    )
    values = asking.ask({"provider": "aws"}, lambda: ACCOUNT)
    assert typist.offered["In which region"] == "eu-west-2"
    assert values["aws.region"] == "eu-central-1"
    assert values["dns.hostname"] == "tessera.workshops.example.org"
    assert values["dns.provider"] == "route53"
    said = capsys.readouterr().err
    assert "1 as arn:aws:iam::1:user/ada" in said
    assert "workshops.example.org" in said
    assert "'us-east-1' is not a region of this account" in said


def test_without_aws_credentials_the_questions_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Typist(monkeypatch, {"Under which name": ["w.example.org"], "In which": ["eu-west-1"]})
    nobody = wiring.Account(trouble="There are no AWS credentials on this computer")
    values = asking.ask({"provider": "aws"}, lambda: nobody)
    assert (values["aws.region"], values["dns.provider"]) == ("eu-west-1", "manual")
    assert "There are no AWS credentials" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("https://example.org/n.git", "materials.source", "https://example.org/n.git"),
        ("git@example.org:n.git", "materials.source", "git@example.org:n.git"),
        ("a, b c", "environment.python", ["a", "b", "c"]),
        ("a[x,y], b>=1,<2", "environment.python", ["a[x,y]", "b>=1,<2"]),
        ("g @ git+https://example.org/g.git", "environment.python", None),
        ("needed.txt", "environment.requirements", ["needed.txt"]),
    ],
)
def test_notebooks_or_packages(
    monkeypatch: pytest.MonkeyPatch, text: str, key: str, value: object
) -> None:
    Path("needed.txt").write_text("geotessera\n")
    Typist(monkeypatch, {"Which notebooks": [text]})
    assert asking.ask({})[key] == ([text] if value is None else value)


def test_a_wrong_option_is_told_before_the_first_question(monkeypatch: pytest.MonkeyPatch) -> None:
    Typist(monkeypatch, {})
    with pytest.raises(UsageError):
        asking.ask({"users": 0})


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXT, st.lists(TEXT, max_size=3), st.integers(1, 999))
def test_whatever_is_filled_in_is_what_the_file_says(
    text: str, several: list[str], number: int
) -> None:
    said = tomllib.loads(
        filled(
            {
                "users": number,
                "sheet.title": text,
                "environment.python": several,
                "materials.folder": text,
            }
        )
    )
    assert said["users"] == number
    assert said["sheet"]["title"] == said["materials"]["folder"] == text
    assert said["environment"]["python"] == several


def test_a_look_at_aws_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in os.environ if key.startswith("AWS_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    found = wiring.aws_account()
    assert not found.who
    assert "credentials" in found.trouble
