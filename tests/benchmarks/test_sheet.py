"""The sheet of 500 people against that of 50."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from provisioner.sheet.forms import Sheet
from provisioner.sheet.html import html
from provisioner.sheet.pdf import pdf
from tests.unit.sheet.samples import NAMES, sheet


def median_seconds(form: Callable[[Sheet], object], users: int, *, runs: int = 3) -> float:
    """Each run has other passwords, so that nothing is remembered from the one before."""
    seconds = []
    for _ in range(runs):
        made = sheet(users, names=NAMES)
        start = time.perf_counter()
        form(made)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def test_ten_times_the_people_take_ten_times_as_long() -> None:
    for name, form in (("pdf", pdf), ("html", html)):
        few, many = median_seconds(form, 50), median_seconds(form, 500)
        print(f"\n{name}: 50 people {few:.2f} s, 500 people {many:.2f} s, × {many / few:.1f}")
        assert many < 20 * few  # linear is 10; squared would be 100
