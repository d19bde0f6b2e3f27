from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path


def median_seconds(words: list[str], *, runs: int = 15) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def test_help_against_python_doing_nothing() -> None:
    script = Path(sys.executable).with_name("provision")
    nothing = median_seconds([sys.executable, "-c", "pass"])
    asked = median_seconds([str(script), "--help"])
    typer = median_seconds([sys.executable, "-m", "provisioner.cli.app", "--help"])
    print(
        f"\nprovision --help ÷ python -c pass: {asked / nothing:.1f} (aim 2.5);"
        f" drawn by typer it would be {typer / nothing:.1f}"
    )
    assert asked < typer
