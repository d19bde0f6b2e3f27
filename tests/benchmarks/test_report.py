"""Figures of this run's real machines, as ratios. Run after tests/e2e."""

from __future__ import annotations

import json

import pytest

from tests.e2e.machine import artefacts


@pytest.mark.e2e
def test_report() -> None:
    file = artefacts() / "measured.json"
    if not file.exists():
        pytest.skip("nothing was measured: the end-to-end tests have not run")
    figures = json.loads(file.read_text())
    rungs = figures.pop("rung_seconds", {})
    lines = [f"{name}: {value}" for name, value in figures.items()]
    lines += [f"rung {name}: {seconds}" for name, seconds in rungs.items()]
    boot, ready = figures.get("bare_boot_seconds"), figures.get("launch_with_two_kills_seconds")
    if boot and ready:
        lines.append(
            f"launch, killed twice on its way ÷ bare boot to SSH: {ready / boot:.1f} (aim 4)"
        )
    if figures.get("bake_cached_seconds"):
        ratio = figures["bake_seconds"] / figures["bake_cached_seconds"]
        lines.append(f"bake cold ÷ cached: {ratio:.0f}")
    print("\n" + "\n".join(lines))
    assert figures
