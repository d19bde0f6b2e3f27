"""All that a rehearsal has brought to light: what the verdict is judged from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioner.models import Limits
from provisioner.visits import Cause, Effort, Failure, Stage, Visit
from provisioner.workflow.rehearsal.machine import Load


@dataclass(frozen=True, slots=True)
class Evidence:
    name: str  # of the workshop
    notebook: str
    where: str  # "server" or "here": where the crowd was
    hold: float
    seconds: float  # from the first login to the last goodbye
    visits: tuple[Visit, ...]
    warm: frozenset[str]  # whose server ran before
    limits: Limits
    lines: Mapping[int, str] = field(default_factory=dict)  # cell → how its code begins
    held: int = 0  # who sat there at once, with everything open
    patience: float = 1.0  # more than 1: the machine is emulated
    guests: tuple[str, ...] = ()  # temporary participants
    busy: frozenset[str] = frozenset()  # who was at work meanwhile
    load: Load = field(default_factory=Load)
    effort: Effort | None = None
    killed: Mapping[str, int] = field(default_factory=dict)  # container → killed for memory
    used: Mapping[str, int] = field(default_factory=dict)  # user name → bytes, during the hold

    @property
    def failed(self) -> tuple[tuple[Visit, Failure], ...]:
        return tuple((visit, visit.failure) for visit in self.visits if visit.failure)

    def with_cause(self, *causes: Cause) -> tuple[tuple[Visit, Failure], ...]:
        return tuple(pair for pair in self.failed if pair[1].cause in causes)

    def rush(self) -> tuple[float, float]:
        """When the first came and when the last had run a cell: while people wait."""
        starts = [visit.spans[0].start for visit in self.visits if visit.spans]
        ends = [span.end for visit in self.visits if (span := visit.stage(Stage.CELL))]
        return (min(starts, default=0.0), max(ends, default=self.seconds))
