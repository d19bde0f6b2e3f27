"""What a crowd of participants does, and what is told of each: words that travel as JSON.

Times are seconds since the crowd began.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from provisioner.models import Secret


class Stage(StrEnum):
    """What a participant does, in this order. NOTEBOOK includes CELL."""

    LOGIN = "login"
    SERVER = "server"
    KERNEL = "kernel"
    CELL = "first cell"
    NOTEBOOK = "notebook"
    AGAIN = "after the hold"


class Cause(StrEnum):
    """What went wrong, as far as a participant can tell."""

    HTTPS = "https"  # no connection, or a certificate that does not verify
    REFUSED = "login refused"
    HUB = "hub"  # it answers, with an error
    SPAWN = "server does not start"
    WEBSOCKET = "websocket"
    KERNEL = "kernel died"
    CELL = "cell failed"
    TIME = "out of time"
    LOST = "connection lost"


@dataclass(frozen=True, slots=True)
class Cell:
    number: int  # among all cells of the notebook, from 1, as a person counts them
    code: str
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """What everybody in the crowd does at the same time. Holds passwords: never shown or logged."""

    url: str
    ca: str  # PEM; "": what the system trusts
    guests: tuple[tuple[str, Secret], ...]  # user name, password
    cells: tuple[Cell, ...]
    hold: float  # everybody stays for so long after the last one has arrived
    patience: float = 1.0  # all limits times this: more on an emulated machine
    dial: tuple[str, int] | None = None  # where to connect to, in place of the URL's own
    kernel: str = "python3"
    folder: str = ""  # below everybody's home: where the notebook runs
    only_tidy: bool = False  # end the kernels of an earlier crowd, and do nothing else

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Script:
        values = json.loads(text)
        values["guests"] = tuple((name, Secret(word)) for name, word in values["guests"])
        values["cells"] = tuple(Cell(**cell) for cell in values["cells"])
        values["dial"] = tuple(values["dial"]) if values["dial"] else None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Failure:
    cause: Cause
    words: str
    cell: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """One stage of one participant is over."""

    username: str
    stage: Stage
    start: float
    end: float
    failure: Failure | None = None

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Held:
    """All have arrived or failed; so many sit there with an open websocket."""

    at: float
    people: int


@dataclass(frozen=True, slots=True)
class Effort:
    """What the crowd cost the computer that plays it: one core at most, as it is one thread."""

    cpu_mean: float  # cores
    cpu_peak: float
    late: float  # seconds that something due was late, at worst


Heard = Span | Held | Effort


def heard_json(heard: Heard) -> str:
    return json.dumps({type(heard).__name__: asdict(heard)})


def heard_from(line: str) -> Heard | None:
    """None for what is no such line."""
    try:
        values: dict[str, Any] = json.loads(line)
        if "Span" in values:
            span = values["Span"]
            if span["failure"]:
                span["failure"]["cause"] = Cause(span["failure"]["cause"])
                span["failure"] = Failure(**span["failure"])
            return Span(**span | {"stage": Stage(span["stage"])})
        if "Held" in values:
            return Held(**values["Held"])
        return Effort(**values["Effort"])
    except (ValueError, KeyError, TypeError):
        return None


@dataclass
class Visit:
    """All that is known of one participant."""

    username: str
    spans: list[Span] = field(default_factory=list)

    @property
    def failure(self) -> Failure | None:
        return next((span.failure for span in self.spans if span.failure), None)

    def stage(self, stage: Stage) -> Span | None:
        """That stage, if it was come through."""
        found = (span for span in self.spans if span.stage is stage and span.failure is None)
        return next(found, None)

    def until(self, stage: Stage) -> float | None:
        """Seconds from the login page to the end of `stage`."""
        begun, ended = (self.spans[0] if self.spans else None), self.stage(stage)
        return ended.end - begun.start if begun and ended else None


def visits_of(heard: list[Heard], usernames: tuple[str, ...]) -> tuple[Visit, ...]:
    found = {name: Visit(name) for name in usernames}
    for span in _spans(heard):
        found.setdefault(span.username, Visit(span.username)).spans.append(span)
    return tuple(found.values())


def _spans(heard: list[Heard]) -> Iterator[Span]:
    return (item for item in heard if isinstance(item, Span))
