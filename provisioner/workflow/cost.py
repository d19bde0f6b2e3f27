"""What a workshop has cost: hours × price. An estimate; the bill is the provider's."""

from __future__ import annotations

from datetime import UTC, datetime


def cost_so_far(hourly: float | None, since: datetime | None) -> float | None:
    """US dollars from `since` until now, as if it had never been paused; None when unknown."""
    if hourly is None or since is None:
        return None
    return hourly * (datetime.now(UTC) - since).total_seconds() / 3600
