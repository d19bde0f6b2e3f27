"""PROVISION_* variables say all that workshop.toml can."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.settings import load

SAID = [
    ("SPARE", "3", "spare", 3),
    ("PREWARM", "false", "prewarm", False),
    ("MATERIALS__SOURCE", "https://example.org/n.git", "materials.source", None),
    ("MATERIALS__BRANCH", "main", "materials.branch", None),
    ("CULLING__IDLE", "2h", "culling.idle", 7200.0),
    ("CULLING__MAX_AGE", "off", "culling.max_age", 0.0),
    ("NOTICE__BEFORE", '["10m", "1m"]', "notice.before", (600.0, 60.0)),
    ("SHEET__CARDS", "10", "sheet.cards", 10),
    ("SHEET__PAPER", "letter", "sheet.paper", "Letter"),
    ("SHEET__WIFI", "room", "sheet.wifi", None),
    ("ENVIRONMENT__PYTHON", '["geotessera"]', "environment.python", ("geotessera",)),
    ("ENVIRONMENT__CONSTRAINTS", '["numpy<2"]', "environment.constraints", ("numpy<2",)),
    ("ENVIRONMENT__REQUIREMENTS", '["needed.txt"]', "environment.python", ("rasterio",)),
    ("ENVIRONMENT__VARIABLES", '{"A": "b"}', "environment.variables", {"A": "b"}),
    ("LOGIN__ADMINS", '["ada"]', "login.admins", ("ada",)),
]


@pytest.mark.parametrize(("variable", "text", "path", "value"), SAID)
def test_a_variable_for_each_key(variable: str, text: str, path: str, value: object) -> None:
    Path("needed.txt").write_text("rasterio\n")
    environ = {f"PROVISION_{variable}": text}
    if path == "materials.branch":
        environ["PROVISION_MATERIALS__SOURCE"] = "https://example.org/n.git"
    found: object = load({}, file=None, environ=environ)
    for part in path.split("."):
        found = getattr(found, part)
    assert found == (text if value is None else value)


def test_data_and_a_dockerfile_from_variables() -> None:
    Path("Dockerfile").write_text("FROM quay.io/jupyter/minimal-notebook:2025-12-31\n")
    settings = load(
        {},
        file=None,
        environ={
            "PROVISION_DATA": '[{"source": "s3://bucket/x", "path": "/x", "variable": "X_DIR"}]',
            "PROVISION_ENVIRONMENT__DOCKERFILE": "Dockerfile",
        },
    )
    assert settings.data_sources()[0].path == "/x"
    assert dict(settings.environment_for("").variables) == {"X_DIR": "/x"}
    assert dict(settings.environment.context())["Dockerfile"].startswith(b"FROM quay.io")
