"""How many servers start at once: the pace of stack/prewarm.py, without a hub."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

STACK = Path(__file__).parents[2] / "stack"


@pytest.fixture(scope="module")
def prewarm() -> ModuleType:
    sys.path.insert(0, str(STACK))
    try:
        spec = importlib.util.spec_from_file_location("prewarm", STACK / "prewarm.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["prewarm"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(STACK))
    return module


def test_idle_cores_get_more_and_busy_ones_less(prewarm: ModuleType) -> None:
    pace = prewarm.Pace(cores=2)
    assert pace.limit == 2
    for _ in range(20):
        pace.finished(2.0)
    assert pace.limit == 8, "as long as each is as quick as the first, up to four a core"
    for _ in range(20):
        pace.finished(9.0)
    assert pace.limit == 1, "and never none"


def test_the_pace_settles_where_a_machine_is_full(prewarm: ModuleType) -> None:
    """A machine of two cores on which a start is one second of one core's work."""
    pace = prewarm.Pace(cores=2)
    seen = []
    for _ in range(60):
        pace.finished(max(1.0, pace.limit / 2))
        seen.append(pace.limit)
    assert set(seen[-20:]) <= {4, 5}


ANSWERS: dict[str, list[dict[str, Any]]] = {
    "runs": [{"status": 200, "body": {"servers": {"": {"ready": True}}}}],
    "new": [
        {"status": 404, "body": None},
        {"status": 201, "body": {"servers": {}}},
        {"status": 202, "body": None},
        {"status": 200, "body": {"servers": {"": {"ready": False, "pending": "spawn"}}}},
        {"status": 0, "body": "the hub restarts"},
        {"status": 200, "body": {"servers": {"": {"ready": True}}}},
    ],
    "second": [
        {"status": 200, "body": {"servers": {}}},
        {"status": 202, "body": None},
        {"status": 200, "body": {"servers": {}}},
        {"status": 200, "body": 'data: {"message": "Spawn failed: no space"}\n\n'},
        {"status": 200, "body": {"servers": {}}},
        {"status": 201, "body": None},
        {"status": 200, "body": {"servers": {"": {"ready": True}}}},
    ],
    "never": [
        {"status": 200, "body": {"servers": {}}},
        {"status": 202, "body": None},
        {"status": 200, "body": {"servers": {}}},
        {"status": 200, "body": 'data: {"message": "Spawn failed: no space"}\n\n'},
    ]
    * 2,
}


@pytest.mark.parametrize(
    ("case", "ok", "why"),
    [
        ("runs", True, None),
        ("new", True, None),
        ("second", True, None),
        ("never", False, "Spawn failed: no space"),
    ],
)
def test_one_person(
    prewarm: ModuleType, monkeypatch: pytest.MonkeyPatch, case: str, ok: bool, why: str | None
) -> None:
    left = list(ANSWERS[case])
    monkeypatch.setattr(prewarm, "ask", lambda *question: left.pop(0))
    monkeypatch.setattr(prewarm.time, "sleep", lambda seconds: None)
    said = prewarm.start("user01")
    assert (said["name"], said["ok"], said.get("why")) == ("user01", ok, why)
    assert not left, "asked as often as it had to"
