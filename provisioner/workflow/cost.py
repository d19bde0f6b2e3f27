"""What a workshop costs: hours × price. An estimate; the bill is the provider's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provisioner import sizing
from provisioner.errors import ProvisionError
from provisioner.models import GIB, Quote
from provisioner.settings import recorded
from provisioner.store import Record, Store, read_events

Pause = tuple[datetime, datetime | None]
"""From when to when a machine was off; None is "still"."""

DISK_MONTH = 0.1
"""US dollars for a GiB of a machine's disk, about: all that a machine costs while it is off."""

HOURS_A_MONTH = 730


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a machine will cost, in US dollars."""

    hourly: float
    daily: float
    total: float  # until the deadline
    each: float  # of the total, for each participant


def forecast(quote: Quote, record: Record, *, now: datetime | None = None) -> Forecast:
    """From now until the deadline, never paused."""
    hours = max(0.0, _hours(now or datetime.now(UTC), record.expires_at))
    total = quote.hourly * hours
    return Forecast(quote.hourly, quote.hourly * 24, total, total / participants(record))


def cost_so_far(hourly: float | None, since: datetime | None) -> float | None:
    """US dollars from `since` until now, as if it had never been paused; None when unknown."""
    return cost_at(hourly, since, datetime.now(UTC))


def cost_at(
    hourly: float | None,
    since: datetime | None,
    when: datetime,
    *,
    pauses: Sequence[Pause] = (),
    idle: float = 0.0,
) -> float | None:
    """US dollars from `since` until `when`; `idle` is the price of an hour in a pause."""
    if hourly is None or since is None:
        return None
    off = sum(max(0.0, _hours(max(begin, since), min(end or when, when))) for begin, end in pauses)
    return hourly * max(0.0, _hours(since, when) - off) + min(idle, hourly) * off


def cost_of(store: Store, record: Record, when: datetime | None = None) -> float | None:
    """What this workshop has cost until `when` (now), its pauses counted as disk alone.

    None where nothing costs. After its deadline a machine has ended itself and costs no more.
    """
    if record.hourly is None:
        return None
    until = min(when or datetime.now(UTC), record.expires_at)
    pauses = tuple(pauses_in(read_events(store.folder(record.name).events)))
    idle = 0.0
    if pauses:
        with contextlib.suppress(ProvisionError):  # settings that this version can't read
            idle = idle_hourly(record)
    return cost_at(record.hourly, record.created_at, until, pauses=pauses, idle=idle)


def idle_hourly(record: Record) -> float:
    """US dollars, about: the disk of a machine that is off."""
    settings = recorded(record.settings)
    size = sizing.machine_for(
        len(record.people), settings.limits(), cores=1, data=record.data_bytes
    )
    return max(size.disk, settings.aws.disk) / GIB * DISK_MONTH / HOURS_A_MONTH


def pauses_in(events: Iterable[dict[str, Any]]) -> Iterator[Pause]:
    """When the machine was off, as events.jsonl tells of `stop` and `start`."""
    since: datetime | None = None
    for event in events:
        step = (event.get("step"), event.get("event"), event.get("outcome"))
        if step == ("stop", "end", "ok") and since is None:
            since = _moment(event)
        elif step[:2] == ("start", "start") and since is not None:
            yield since, _moment(event)
            since = None
    if since is not None:
        yield since, None


def participants(record: Record) -> int:
    """How many share the price; at least one."""
    return max(1, sum(not person.admin for person in record.people))


def _moment(event: dict[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(str(event.get("at")))
    except ValueError:
        return None


def _hours(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds() / 3600
