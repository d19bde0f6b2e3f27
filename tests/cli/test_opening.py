"""A workshop that exists is looked after whatever became of the files that made it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from provisioner.cli import during, people, wiring, workshop
from provisioner.cli.funnel import verb

app = typer.Typer()
for function in (workshop.launch, workshop.credentials, workshop.teardown, during.list_):
    app.command(function.__name__.rstrip("_"))(verb(function))
app.add_typer(people.users, name="users")


def provision(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, words)


def done(*words: str) -> Result:
    result = provision(*words)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def launched(own_home: Path) -> Path:
    """A workshop whose roster and other files are gone since."""
    Path("people.csv").write_text("name\nAda Lovelace\n", encoding="utf-8")
    Path("workshop.toml").write_text('provider = "fake"\nroster = "people.csv"\nspare = 1\n')
    done("launch")
    Path("people.csv").unlink()
    lines = '[environment]\ndockerfile = "gone/"\nrequirements = ["gone.txt"]\n'
    with Path("workshop.toml").open("a") as file:
        file.write(lines)
    return own_home


VERBS = [
    ("users", "list"),
    ("users", "reset", "ada-lovelace"),
    ("users", "remove", "spare01", "--discard-home", "--yes"),
    ("credentials",),
    ("list",),
    ("teardown",),
]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_verbs_need_nothing_that_the_record_has(words: tuple[str, ...], launched: Path) -> None:
    assert "gone" not in done(*words).output


def test_a_name_needs_no_file_at_all(launched: Path) -> None:
    Path("workshop.toml").write_text("name = [broken")
    done("users", "list", "workshop")
    done("teardown", "workshop")
    assert not (launched / "workshop").exists()


def edit(home: Path, **settings: Any) -> None:
    path = home / "workshop" / "record.json"
    values = json.loads(path.read_text())
    values["settings"] |= settings
    path.write_text(json.dumps(values))


def test_settings_of_another_version_stop_no_teardown(launched: Path) -> None:
    done("users", "add", "Jo")  # there are files from then on
    edit(launched, hologram={"size": 3}, participant={"memory": "much"})
    refused = provision("users", "list")
    assert refused.exit_code == 2
    assert "provision teardown workshop" in refused.stderr
    ended = json.loads(done("teardown", "--json").stdout)
    assert ended["backup"] is not None
    assert not (launched / "workshop").exists()


def test_a_place_that_can_not_be_read_is_told_with_the_file_and_the_provider(
    launched: Path,
) -> None:
    edit(launched, aws={"continent": "Europe"})
    refused = provision("teardown")
    assert refused.exit_code == 2
    assert str(launched / "workshop" / "record.json") in refused.stderr
    assert "provision teardown workshop --provider fake" in refused.stderr


def test_one_record_that_can_not_be_read_does_not_hide_other_machines(launched: Path) -> None:
    store = wiring.Store(launched)
    record = store.load("workshop")
    assert record is not None
    for name, host in (("good", {"address": "me@192.0.2.7"}), ("bad", {"planet": "Mars"})):
        made = record.but(name=name, provider="host", settings={"name": name, "host": host})
        store.create(made, {})
    found = wiring._machines(wiring.HostOptions())
    assert [machine.address for machine in found] == ["me@192.0.2.7"]


def test_a_teardown_of_nothing_says_where_it_looked(own_home: Path) -> None:
    shown = done("teardown", "tessera", "--provider", "local").stdout
    assert "'tessera' on this computer (local); nothing to do" in shown
    assert "provision teardown tessera --provider aws --region REGION" in shown
    told = json.loads(done("teardown", "tessera", "--provider", "fake", "--json").stdout)
    assert told["looked_in"] == "fake"
