from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from provisioner.cli import people
from provisioner.cli.funnel import verb


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("word", "given", "told"),
    [
        ("launch", {"name": "tessera"}, "provision launch tessera"),
        ("launch", {"name": None}, "provision launch"),
        (
            "users reset",
            {"usernames": ["ada", "jo"], "workshop": "tessera"},
            "provision users reset ada jo --workshop tessera",
        ),
        ("users add", {"names": ["Ada Lovelace"]}, "provision users add 'Ada Lovelace'"),
    ],
)
def test_ctrl_c_tells_what_to_type_to_go_on(
    word: str, given: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        verb(interrupted, word)(**given)
    assert ended.value.exit_code == 130
    said = capsys.readouterr().err
    assert f"to go on: {told}\n" in said
    name = given.get("name") or given.get("workshop") or ""
    assert f"to end it: provision teardown {name}".rstrip() in said


def test_the_verbs_about_people_exist_as_they_are_told(
    own_home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.cli.opening.known", interrupted)
    app = typer.Typer()
    app.add_typer(people.users, name="users")
    done = CliRunner().invoke(app, ["users", "reset", "user02", "--workshop", "x"])
    assert done.exit_code == 130
    assert "provision users reset user02 --workshop x" in done.stderr
