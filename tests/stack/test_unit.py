"""The unit that brings the workshop up, as systemd reads it."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "cloud-init/provision-stack.service"


@pytest.fixture(scope="module")
def unit() -> dict[str, dict[str, list[str]]]:
    """Section → option → its values: systemd passes over an option in the wrong section."""
    parser = configparser.RawConfigParser(strict=False, delimiters="=")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return {
        section: {option: value.split("\n") for option, value in parser[section].items()}
        for section in parser.sections()
    }


def test_a_start_that_failed_is_tried_again_however_long_nobody_is_there(
    unit: dict[str, dict[str, list[str]]],
) -> None:
    """At boot after a power cut, Docker or the network may be late."""
    assert unit["Service"]["Type"] == ["oneshot"]
    assert unit["Service"]["Restart"] == ["on-failure"], "a oneshot may not be tried `always`"
    assert 0 < int(unit["Service"]["RestartSec"][0]) <= 60
    assert unit["Unit"]["StartLimitIntervalSec"] == ["0"], "it never gives up"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_has_nothing_against_it(tmp_path: Path) -> None:
    """But that what it starts is not installed here."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )
    for word in ("Unknown key", "Failed to parse", "refusing", "Ignoring"):
        assert word not in done.stderr, done.stderr
