"""Rules about time: how long people wait, and what would make it shorter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.visits import Stage
from provisioner.workflow.rehearsal.evidence import Evidence
from provisioner.workflow.rehearsal.measures import percentile
from provisioner.workflow.rehearsal.reasons import Reason


@dataclass(frozen=True, slots=True)
class Threshold:
    """p95 in seconds from the login page to a kernel that answers.

    What the notebook's own cells take is not the workshop's.
    """

    name: str
    most: float
    why: str


COLD = Threshold("cold", 60.0, "after a minute of waiting, people raise their hands")
WARM = Threshold("prewarmed", 15.0, "a server that runs already leaves nothing to wait for")

SATURATED = 0.90
"""Of all cores, on average while people wait: then more of them means less waiting."""

STOLEN = 0.10
"""Of the cores' time: the host sells it to others, or the machine's credits are used up."""

OWN_LIMIT = 0.85
"""Of the one core that the crowd itself can use: beyond, it measures itself."""

OWN_DELAY = 2.0
"""Seconds that the crowd itself was late."""


def too_slow(seen: Evidence) -> Iterator[Reason]:
    for threshold, warm in ((COLD, False), (WARM, True)):
        times = [
            spent
            for visit in seen.visits
            if (visit.username in seen.warm) is warm
            and (spent := visit.until(Stage.KERNEL)) is not None
        ]
        most = threshold.most * seen.patience
        if not times or (slow := percentile(times, 0.95)) <= most:
            continue
        stretched = f", {seen.patience:g} × more, as it is emulated" if seen.patience > 1 else ""
        yield Reason(
            f"{len(times)} people with {threshold.name} servers waited too long for a "
            f"kernel: 95 % had one after {slow:.0f} s ({most:.0f} s is the most{stretched}: "
            f"{threshold.why})",
            _faster(seen, cold=not warm),
            tuple(_load_words(seen)),
        )


def first_cell_slow(seen: Evidence) -> Iterator[Reason]:
    """More than half of a long wait for the first result is the notebook's own doing."""
    late = [
        cell.seconds
        for visit in seen.visits
        if (cell := visit.stage(Stage.CELL)) and (spent := visit.until(Stage.CELL))
        if spent > _most(seen, visit.username) and cell.seconds > spent / 2
    ]
    if not late or len(late) <= len(seen.visits) * (1 - 0.95):  # as with all that is slow
        return
    number = min(seen.lines, default=1)
    less = "let it do less: people see nothing before it is done"
    cores = f", or a machine with more cores than {seen.load.cores}"
    yield Reason(
        f"Cell {number} of {seen.notebook} itself takes {percentile(late, 0.5):.0f} s",
        less + (cores if _busy(seen) >= SATURATED else ", or more --cpu"),
        warning=True,
    )


def _most(seen: Evidence, username: str) -> float:
    return (WARM if username in seen.warm else COLD).most * seen.patience


def _faster(seen: Evidence, *, cold: bool) -> str:
    if _itself_busy(seen) and seen.where == "here":
        return "the computer that played the crowd was the bottleneck: rehearse with --from server"
    prewarm = f"provision prewarm {seen.name} before people come"
    if _busy(seen) >= SATURATED:
        cores = f"more cores than {seen.load.cores}"
        return f"{prewarm}; or a machine with {cores}" if cold else f"a machine with {cores}"
    if seen.where == "here":
        return f"the machine was not busy: {prewarm}, and --from server leaves your network out"
    return prewarm if cold else f"provision logs {seen.name} hub"


def _busy(seen: Evidence) -> float:
    """Of all cores, on average while people waited."""
    begun, ended = seen.rush()
    busy = [item.cpu + item.stolen for item in seen.load.samples() if begun <= item.at <= ended]
    return sum(busy) / len(busy) if busy else 0.0


def _load_words(seen: Evidence) -> Iterator[str]:
    if not seen.load.samples():
        return
    yield f"the {seen.load.cores} cores were busy to {_busy(seen):.0%} while people waited"
    waiting = max(item.waiting for item in seen.load.samples())
    if waiting > 0.3:
        yield f"up to {waiting:.0%} of the cores waited for the disk"


def cores_stolen(seen: Evidence) -> Iterator[Reason]:
    stolen = [item.stolen for item in seen.load.samples()]
    if stolen and (mean := sum(stolen) / len(stolen)) > STOLEN:
        yield Reason(
            f"The host of this virtual machine kept {mean:.0%} of its cores' time",
            "a kind of machine that is not burstable: not t3 or t4g",
            warning=True,
        )


MEASURABLE = 3.0
"""Seconds of a crowd's life below which its share of a core means nothing."""


def _itself_busy(seen: Evidence) -> bool:
    if seen.effort is None or seen.seconds < MEASURABLE:
        return False
    return seen.effort.cpu_peak > OWN_LIMIT or seen.effort.late > OWN_DELAY * seen.patience


def crowd_busy(seen: Evidence) -> Iterator[Reason]:
    if seen.effort and _itself_busy(seen):
        yield Reason(
            "Who played the crowd was busy itself: one core to "
            f"{seen.effort.cpu_peak:.0%}, {seen.effort.late:.1f} s late at worst",
            "times may be its own, not the workshop's: rehearse with --from "
            + ("server" if seen.where == "here" else "here"),
            warning=True,
        )
