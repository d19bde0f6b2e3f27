"""Numbers over all visits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from provisioner.visits import Stage, Visit

TO_KERNEL = "login to kernel"
TO_FIRST_CELL = "login to first cell"
TOTAL = "all of it"


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds; `count` is of those who came through."""

    name: str
    count: int
    p50: float
    p95: float
    most: float


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed: one of them, nothing in between."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spreads(visits: Sequence[Visit]) -> tuple[Spread, ...]:
    """One for each stage that somebody came through, then of the ways through several."""
    columns: list[tuple[str, list[float]]] = [
        (stage, [span.seconds for visit in visits if (span := visit.stage(stage))])
        for stage in Stage
        if stage is not Stage.AGAIN
    ]
    for name, last in (
        (TO_KERNEL, Stage.KERNEL),
        (TO_FIRST_CELL, Stage.CELL),
        (TOTAL, Stage.NOTEBOOK),
    ):
        columns.append((name, [spent for visit in visits if (spent := visit.until(last))]))
    return tuple(
        Spread(
            name,
            len(values),
            round(percentile(values, 0.5), 2),
            round(percentile(values, 0.95), 2),
            round(max(values), 2),
        )
        for name, values in columns
        if values
    )
