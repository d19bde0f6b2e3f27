from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import typer
from typer.testing import CliRunner, Result

from provisioner.cli import rehearsing, wiring, workshop
from provisioner.cli.funnel import verb
from provisioner.errors import Refused
from provisioner.visits import Cause, Effort, Failure, Heard, Held, Script, Span, Stage

app = typer.Typer()
app.command("launch")(verb(workshop.launch))
app.command("rehearse")(verb(rehearsing.rehearse))


def provision(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, words)


def rehearse(*words: str) -> Result:
    return provision("rehearse", "--from", "here", *words)


@pytest.fixture
def launched(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    done = provision("launch", "--provider", "fake", "--users", "2")
    assert done.exit_code == 0, done.output
    play(monkeypatch)
    return own_home


def play(monkeypatch: pytest.MonkeyPatch, failure: Failure | None = None) -> list[Script]:
    """user02 fails at its first cell, if anybody does."""
    scripts = []

    def crowd(script: Script, hear: Callable[[Heard], None]) -> None:
        scripts.append(script)
        for name, _ in script.guests:
            for number, stage in enumerate(Stage):
                failed = failure if name == "user02" and stage is Stage.CELL else None
                hear(Span(name, stage, number, number + 1, failed))
                if failed:
                    break
        hear(Held(6, len(script.guests)))
        hear(Effort(0.1, 0.2, 0))

    monkeypatch.setattr(wiring, "crowd", lambda: crowd)
    return scripts


BROKEN = Failure(Cause.CELL, "ValueError: [no] such thing", 3)


def test_a_pass_is_said_with_numbers(launched: Path) -> None:
    done = rehearse()
    assert done.exit_code == 0, done.output
    assert "PASS" in done.stdout
    assert "login to first cell" in done.stdout
    assert "2 of 2 people" in done.stdout


def test_a_failure_has_its_exit_code_its_reason_and_what_to_do(
    launched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, BROKEN)
    done = rehearse()
    assert done.exit_code == 4
    assert "FAIL" in done.stdout
    assert "ValueError: [no] such thing" in done.stderr
    assert "user02 of 2" in done.stderr
    assert "→" in done.stderr


def test_json_is_one_document_for_both(launched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = rehearse("--json")
    found = json.loads(passed.stdout)
    assert (passed.exit_code, found["verdict"], found["people"]) == (0, "PASS", 2)
    assert {"p50", "p95", "max"} <= {*found["stages"][0]}
    play(monkeypatch, BROKEN)
    failed = rehearse("--json")
    found = json.loads(failed.stdout)
    assert (failed.exit_code, found["verdict"], found["exit_code"]) == (4, "FAIL", 4)
    (bad,) = [item for item in found["participants"] if item["failure"]]
    assert bad["username"] == "user02"
    assert bad["failure"]["cell"] == 3
    assert found["reasons"][0]["change"]
    password = (launched / "workshop" / "credentials.csv").read_text().split(",")[-2]
    assert password not in failed.stdout


def test_the_report_is_written_for_a_failure_too(
    launched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, BROKEN)
    assert rehearse("--report", "r.html").exit_code == 4
    assert "ValueError" in Path("r.html").read_text()


def test_a_report_that_can_not_be_written_takes_nothing_from_the_verdict(
    launched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rehearsing, "_write", full)
    done = rehearse("--report", "r.html", "--json")
    assert done.exit_code == 0, done.output
    assert "No space left" in done.stderr
    assert json.loads(done.stdout)["verdict"] == "PASS"


def test_while_people_work_it_asks_what_it_means_for_them(
    launched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []

    def refuse(question: str, **_: object) -> bool:
        questions.append(question)
        return False

    monkeypatch.setattr(typer, "confirm", refuse)
    monkeypatch.setattr(sys, "stdin", Mock(isatty=lambda: True))
    with pytest.raises(Refused):
        rehearsing._confirm(frozenset({"user01"}), yes=False)
    rehearsing._confirm(frozenset({"user01"}), yes=True)
    (question,) = questions
    assert "1 person is at work" in question
    assert "neither their files nor their servers" in question


def test_the_organisers_own_notebook_is_what_runs(
    launched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [{"cell_type": "code", "source": "open_the_data()"}]
    Path("mine.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells}))
    scripts = play(monkeypatch)
    assert rehearse("--notebook", "mine.ipynb", "--users", "1", "--hold", "3").exit_code == 0
    (script,) = scripts
    assert [cell.code for cell in script.cells] == ["open_the_data()"]
    assert (len(script.guests), script.hold) == (1, 3)


def test_clean_up_after_nothing(launched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = play(monkeypatch)
    done = rehearse("--clean-up")
    assert done.exit_code == 0
    assert "nothing to undo" in done.stderr
    assert json.loads(rehearse("--clean-up", "--json").stdout)["undone"] is False
    assert not scripts


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--from", "moon"), 2, "server or here"),
        (("--notebook", "none.ipynb"), 2, "none.ipynb can't be read"),
        (("--report", "no/such/r.html"), 2, "folder of no/such/r.html"),
        (("--report", "."), 2, "is a folder"),
        (("elsewhere",), 2, "There is no workshop 'elsewhere'"),
        (("--users", "0"), 2, "users"),
        (("--users", "150"), 3, "150 people at once don't fit"),
    ],
)
def test_what_can_not_be_is_said_before_anything_is_done(
    words: tuple[str, ...],
    code: int,
    said: str,
    launched: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripts = play(monkeypatch)
    done = rehearse(*words)
    assert done.exit_code == code, done.output
    assert said in done.stderr
    assert not scripts
