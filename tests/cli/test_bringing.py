from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from provisioner.cli import bringing, output, workshop
from provisioner.cli.funnel import verb
from provisioner.workflow.push import Change, Got, Pushed
from tests.doubles import fake_tools

app = typer.Typer()
app.command("launch")(verb(workshop.launch))
app.command("push")(verb(bringing.push))


def provision(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, words)


@pytest.fixture
def lessons(own_home: Path) -> Path:
    folder = Path("lessons")
    folder.mkdir()
    (folder / "intro.ipynb").write_text("{}")
    assert provision("launch", "--provider", "fake").exit_code == 0
    return folder


def test_a_push_as_json_and_in_words(lessons: Path) -> None:
    done = provision("push", "--source", "lessons", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["folder"], said["new"]) == ("lessons", ["intro.ipynb"])
    assert said["open"].endswith("/hub/user-redirect/lab/tree/lessons")
    assert {got["state"] for got in said["people"]} == {"next start"}
    shown = provision("push", "workshop").stdout
    assert "user01" in shown
    assert "In ~/lessons: 0 of 4 have it, 4 at their next start." in shown
    dry = provision("push", "--dry-run").stdout
    assert "Nothing was sent" in dry


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--source", "http://example.org/x.git"), "can't be trusted"),
        (("--source", "git://example.org/x.git"), "can't be trusted"),
        (("--source", "https://ada:gh0_x@example.org/x.git"), "holds a password"),
        (("--source", "lessons", "--folder", "../up"), "folder"),
        (("--source", "lessons", "--branch", "--upload-pack=x"), "branch"),
        ((), "has no materials"),
    ],
)
def test_what_is_refused_before_anything(lessons: Path, words: tuple[str, ...], says: str) -> None:
    done = provision("push", *words)
    assert done.exit_code == 2, done.output
    assert says in done.output
    assert "gh0_x" not in done.output


def test_everybodys_row(
    lessons: Path,
    own_home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output.stdout, "width", 120)
    record = fake_tools(own_home).store.load("workshop")
    assert record is not None
    got = (
        Got("user01", "now", added=("a", "b"), both=("c.ipynb",)),
        Got("user02", "in part", failed={"[red]x": "the home is full"}, counts={"failed": 4321}),
        Got("user03", "next start"),
        Got("instructor", "failed", "it took longer than 90 s"),
    )
    change = Change(("a", "b"), ("c.ipynb",), ("gone.ipynb",))
    bringing.show(Pushed(record, "course", change, got, "https://x", ""), dry_run=False)
    shown, warned = capsys.readouterr()
    assert "In ~/course: 1 of 4 have it, 1 at their next start." in shown
    assert "1 only in part." in shown
    assert "4321" in shown
    assert "In 1 case theirs and the new one are side by side" in shown
    assert "next start" in shown
    assert "it took longer than 90 s" in shown
    assert "removed  gone.ipynb" in shown
    assert "user02: [red]x: the home is full" in warned


def test_a_failure_is_in_the_one_document(
    lessons: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = fake_tools(own_home).store.load("workshop")
    assert record is not None
    got = (
        Got("user01", "now", added=("a",)),
        Got("user02", "in part", failed={"b": "the home is full"}),
        Got("user03", "failed", "it took longer than 90 s"),
    )
    done = Pushed(record, "course", Change(("a",), (), ()), got, "https://x", "")
    monkeypatch.setattr("provisioner.workflow.push.push", lambda *_, **__: done)
    shown = provision("push", "--json")
    assert shown.exit_code == 4
    said = json.loads(shown.stdout)
    assert [item["state"] for item in said["people"]] == ["now", "in part", "failed"]
    assert said["error"] == (
        "1 of 3 people could not be given the materials; 1 of 3 have them only in part"
    )
    assert said["details"] == ["user02: b: the home is full", "user03: it took longer than 90 s"]
