from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from provisioner.cli import homes, people, workshop
from provisioner.cli.funnel import verb

app = typer.Typer()
for function in (workshop.launch, workshop.teardown, homes.backup, homes.restore):
    app.command(function.__name__)(verb(function))
app.add_typer(people.users, name="users")


def provision(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, words)


def as_json(*words: str) -> Any:
    done = provision(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def machine(home: Path) -> Path:
    (path,) = (home / ".fake").glob("*.json")
    return path


def put(home: Path, homes: dict[str, dict[str, str]]) -> None:
    path = machine(home)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"homes": homes}))


def there(home: Path) -> Any:
    return json.loads(machine(home).read_text())["homes"]


@pytest.fixture
def home(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    as_json("launch", "--provider", "fake", "--users", "2")
    (found,) = own_home.rglob(".fake")
    put(found.parent, {"user01": {"a.txt": "1"}, "user02": {"b.txt": "2"}})
    return found.parent


def test_home_and_back_into_the_next_workshop(home: Path) -> None:
    saved = as_json("backup")
    assert saved["name"] == "workshop"
    assert [item["username"] for item in saved["people"]] == ["user01", "user02"]
    assert set(saved["people"][0]) == {
        *("username", "archive", "bytes", "entries", "sha256", "changed", "left_out")
    }
    as_json("teardown", "--yes")
    as_json("launch", "--provider", "fake", "--users", "2")
    put(home, {"user01": {"a.txt": "mine"}, "user02": {}})
    done = as_json("restore", "--from", saved["backup"])
    numbers = {item["username"]: (item["restored"], item["aside"]) for item in done["people"]}
    assert numbers == {"user01": (0, 1), "user02": (1, 0)}
    assert there(home)["user01"]["a.txt"] == "mine"
    assert there(home)["user02"] == {"b.txt": "2"}
    as_json("restore", "--from", saved["backup"], "--only", "user01", "--replace", "--yes")
    assert there(home)["user01"]["a.txt"] == "1"


def test_what_people_read(home: Path) -> None:
    done = provision("backup", "--only", "user02", "--output", "saved")
    assert done.exit_code == 0, done.output
    assert "Files of 1 person" in done.stdout
    line = next(line for line in done.stdout.splitlines() if line.startswith("Put back"))
    words = line.split()[3:]
    assert provision(*words).exit_code == 0
    shown = provision(*words, "--map", "user02=user01").stdout
    assert "user02" in shown
    assert "user01" in shown
    assert there(home)["user01"] == {"a.txt": "1", "b.txt": "2"}


def test_nobody_has_files_yet(home: Path) -> None:
    put(home, {})
    assert "no files of anybody" in provision("backup").stdout
    assert as_json("backup")["backup"] is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("backup", "nowhere"), 2, "no workshop"),
        (("backup", "--only", "eve"), 2, "no files of eve"),
        (("restore",), 2, "Which backup?"),
        (("restore", "--from", "nowhere"), 2, "is no backup"),
        (("restore", "--from", "saved", "--map", "user01"), 2, "whose files go to whom"),
        (("restore", "--from", "saved", "--map", "user01=eve"), 3, "there is no eve here"),
        (("restore", "--from", "saved", "--only", "eve"), 2, "no files of eve"),
    ],
)
def test_refusals(home: Path, words: tuple[str, ...], code: int, said: str) -> None:
    assert provision("backup", "--output", "saved").exit_code == 0
    before = there(home)
    done = provision(*words)
    assert done.exit_code == code, done.output
    assert said in done.output
    assert there(home) == before
