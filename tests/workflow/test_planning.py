"""What a draft keeps, and what a launch is told before anything exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import Refused
from provisioner.models import Finding, Severity
from provisioner.settings import Settings, recorded
from provisioner.workflow import planning
from tests.doubles import fake_tools


def test_the_record_has_no_password_of_the_network(own_home: Path) -> None:
    tools = fake_tools(own_home)
    sheet = {"wifi": "guests", "wifi_password": "open sesame", "title": "Maps"}
    asked = Settings(name="tessera", users=2, provider="fake", sheet=sheet)  # type: ignore[arg-type]
    made = planning.draft(tools.store, tools.provider, asked, base_image="")
    assert "open sesame" not in made.record.model_dump_json()
    kept = recorded(made.record.settings).sheet_options()
    assert (kept.title, kept.wifi, kept.wifi_password) == ("Maps", "guests", "")


def test_warnings_are_told_and_errors_stop_it() -> None:
    findings = (
        Finding(Severity.WARNING, "data", "also shared: keys"),
        Finding(Severity.ERROR, "disk", "too small"),
    )
    said: list[str] = []
    with pytest.raises(Refused) as error:
        planning.refuse_errors(findings, name="tessera", warn=said.append)
    assert said == ["data: also shared: keys"]
    assert error.value.details == ("disk: too small",)
