"""Every test lives in a home of its own; nothing outside it is read or written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No PROVISION_* of the developer, no workshop.toml of the folder pytest started in."""
    for key in list(os.environ):
        if key.startswith("PROVISION_") and key not in {"PROVISION_CACHE", "PROVISION_ARTEFACTS"}:
            monkeypatch.delenv(key)
    home = tmp_path / "provision-home"
    monkeypatch.setenv("PROVISION_HOME", str(home))
    working = tmp_path / "cwd"
    working.mkdir()
    monkeypatch.chdir(working)
    return home
