"""Options that stand for keys of workshop.toml."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from provisioner.cli.options import asks


@pytest.mark.parametrize(
    ("words", "prewarm"), [((), None), (("--prewarm",), True), (("--no-prewarm",), False)]
)
def test_what_is_on_anyway_can_be_said_no_to(words: tuple[str, ...], prewarm: bool | None) -> None:
    seen: list[dict[str, Any]] = []
    app = typer.Typer()

    @app.command()
    @asks
    def verb(*, asked: dict[str, Any]) -> None:
        seen.append(asked)

    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    assert seen[0].get("prewarm") is prewarm
