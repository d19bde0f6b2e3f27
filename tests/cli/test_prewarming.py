from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from provisioner.cli import prewarming, workshop
from provisioner.cli.funnel import verb
from provisioner.workflow import prewarm as warming
from provisioner.workflow.prewarm import Warmed

app = typer.Typer()
app.command("launch")(verb(workshop.launch))
app.command("prewarm")(verb(prewarming.prewarm))

FINE = Warmed("user01", True, 2.5)
BROKEN = Warmed("user02", False, 9.0, "no such image")


def provision(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, words)


@pytest.mark.parametrize(("warmed", "code"), [((FINE,), 0), ((FINE, BROKEN), 4)])
def test_json_is_one_document_for_both(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, warmed: tuple[Warmed, ...], code: int
) -> None:
    def start(*_: Any, **__: Any) -> tuple[Warmed, ...]:
        return warmed

    assert provision("launch", "--provider", "fake", "--users", "2").exit_code == 0
    monkeypatch.setattr(warming, "prewarm", start)
    done = provision("prewarm", "--json")
    assert done.exit_code == code
    document = json.loads(done.stdout)
    assert [item["username"] for item in document["servers"]] == [warm.username for warm in warmed]
    assert document.get("exit_code", 0) == code
    assert document["servers"][-1]["why"] == warmed[-1].why
