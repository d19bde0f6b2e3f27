"""`init` in front of an AWS account, and what a workshop there will cost and has cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.settings import load
from tests.aws.conftest import ZONE, World
from tests.cli.terminal import Terminal
from tests.cloud.fixture import REGION


def test_questions_offer_what_the_account_has(world: World) -> None:
    at = Terminal("init", "--name", "tessera", "--users", "2", environ=world.cloud.environ)
    at.answer("When does it end?", "8h")
    at.answer("Where does it run?", "aws")
    assert REGION in at.answer("In which region?", "mars-north-1")
    assert "is not" in at.answer("In which region?", REGION)
    assert ZONE in at.answer("Under which name", f"tessera.{ZONE}")
    at.answer("Which notebooks", "")
    assert at.end() == 0
    assert "Signed in to AWS: " in at.text
    settings = load({}, file=Path("workshop.toml"), environ={})
    assert (settings.provider, settings.aws.region) == ("aws", REGION)
    assert (settings.dns.hostname, settings.dns.provider) == (f"tessera.{ZONE}", "route53")


def test_money_before_and_after(world: World) -> None:
    made = world("plan", "--users", "30", "--expires", "10h", "--json").json["price"]
    assert made["usd_per_day"] == pytest.approx(made["usd_per_hour"] * 24, abs=0.01)
    assert made["usd_until_end"] == pytest.approx(made["usd_per_hour"] * 10, rel=0.02)
    assert made["usd_per_participant"] == pytest.approx(made["usd_until_end"] / 30, abs=0.01)
    assert "for each of 30 participants" in world("plan", "--users", "30").out
    assert world("launch", "--yes").code == 0
    ended = world("teardown", "--yes")
    assert ended.code == 0, ended.err
    assert "It cost about" in ended.out
    assert "for each of 2 participants" in ended.out
