"""What is wrong, and what to change: each rule looks at the evidence and may have a reason.

A rehearsal passes when no rule has one. The thresholds are data, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from provisioner import sizing
from provisioner.models import MIB, Limits
from provisioner.visits import Cause, Stage, Visit
from provisioner.workflow.rehearsal import slowness
from provisioner.workflow.rehearsal.evidence import Evidence
from provisioner.workflow.rehearsal.reasons import Reason, alike, people_words

FULL = 0.90
"""Of the machine's memory or a disk: the rest goes in one careless cell, and then for everybody."""


@dataclass(frozen=True, slots=True)
class Verdict:
    reasons: tuple[Reason, ...]

    @property
    def passed(self) -> bool:
        return all(reason.warning for reason in self.reasons)

    @property
    def word(self) -> str:
        return "PASS" if self.passed else "FAIL"


def judge(seen: Evidence) -> Verdict:
    reasons = [reason for rule in RULES for reason in rule(seen)]
    if seen.failed and all(reason.warning for reason in reasons):
        reasons += _others(seen)
    return Verdict(tuple(reasons))


def _simple(cause: Cause, what: str, change: str) -> Callable[[Evidence], Iterator[Reason]]:
    """A rule for failures that say themselves what is wrong."""

    def rule(seen: Evidence) -> Iterator[Reason]:
        for words, _, names in alike(seen.with_cause(cause)):
            who = people_words(names, len(seen.visits))
            yield Reason(f"{what} ({who}): {words}", change.format(name=seen.name))

    return rule


def _websocket(seen: Evidence) -> Iterator[Reason]:
    here = (
        "if `--from server` passes, it is a proxy or firewall of the network that you are in: "
        "have participants open /check/ on the workshop's address from the room's network"
    )
    there = f"provision logs {seen.name} proxy, and: provision logs {seen.name} caddy"
    for words, _, names in alike(seen.with_cause(Cause.WEBSOCKET)):
        who = people_words(names, len(seen.visits))
        what = f"No websocket to the kernel ({who}): {words}"
        yield Reason(what, there if seen.where == "server" else f"{here}; else {there}")


def _memory_each(seen: Evidence) -> Iterator[Reason]:
    """Somebody's own limit."""
    killed = {name.removeprefix("jupyter-") for name in seen.killed if name.startswith("jupyter-")}
    played = [visit.username for visit in seen.visits]
    names = [name for name in played if name in killed]
    if not names:
        return
    limit = seen.limits.memory
    cells = sorted({failure.cell for visit, failure in seen.failed if visit.username in names})
    where = f", in cell {cells[0]}" if cells and cells[0] else ""
    more = Limits(limit * 2, seen.limits.cpu, seen.limits.disk)
    yield Reason(
        f"The notebook needs more memory than the {sizing.format_size(limit)} that each has: "
        f"kernels were killed ({people_words(names, len(played))}{where})",
        f"--memory {sizing.flag_size(limit * 2)} for each; for {len(played)} people the machine "
        f"needs {sizing.explain_memory(len(played), more)}, and has "
        f"{_size(seen.load.memory)}. Or let the notebook load less at once",
        tuple(f"{name}: {seen.killed[f'jupyter-{name}']} × killed" for name in names[:5]),
    )


def _kernel(seen: Evidence) -> Iterator[Reason]:
    """Kernels that died of something else, as far as Docker knows."""
    others = [
        pair
        for pair in seen.with_cause(Cause.KERNEL)
        if f"jupyter-{pair[0].username}" not in seen.killed
    ]
    for words, cell, names in alike(others):
        at = f" in cell {cell}" if cell else ""
        yield Reason(
            f"A kernel failed{at} ({people_words(names, len(seen.visits))}): {words}",
            f"provision logs {seen.name} {names[0]}",
        )


def _memory_machine(seen: Evidence) -> Iterator[Reason]:
    has, peak = seen.load.memory, seen.load.peak_memory()
    services = sorted(name for name in seen.killed if not name.startswith("jupyter-"))
    if services:
        yield Reason(
            f"Parts of the workshop itself were killed for want of memory: {', '.join(services)}",
            f"a larger machine, or fewer people: provision logs {seen.name}",
        )
    if not has or peak <= FULL * has:
        return
    people = len(seen.visits)
    share = sizing.share_that_fits(has, people, system=sizing.SYSTEM_MEMORY)
    fewer = share >= 128 * MIB and not any(_memory_each(seen))  # not what is too little already
    less = f", or --memory {sizing.flag_size(share)} for each" if fewer else ""
    yield Reason(
        f"The machine's memory is full: {sizing.format_size(peak)} of {sizing.format_size(has)} "
        f"({peak / has:.0%}; {FULL:.0%} is the most)",
        f"a machine with {sizing.explain_memory(people, seen.limits)}{less}",
    )


def _notebook(seen: Evidence) -> Iterator[Reason]:
    full = ("No space left on device", "Disk quota exceeded")
    for words, cell, names in alike(seen.with_cause(Cause.CELL)):
        who = people_words(names, len(seen.visits))
        what = f"Cell {cell} of {seen.notebook} fails ({who}): {words}"
        if any(text in words for text in full):
            each = sizing.format_size(seen.limits.disk)
            change = (
                f"each has {each}: --disk {sizing.flag_size(2 * seen.limits.disk)}, "
                "or let the notebook write less"
            )
        elif len(names) == len(seen.visits):
            change = "mend the notebook, or add what it needs to [environment]; then rehearse again"
        else:
            change = (
                "it fails for some only: what others do at the same time, or what lies in "
                f"these people's homes. provision logs {seen.name} {names[0]}"
            )
        begins = seen.lines.get(cell, "")
        yield Reason(what, change, (f"the cell begins: {begins}",) if begins else ())


def _time(seen: Evidence) -> Iterator[Reason]:
    """What was not done in time: a cell, or what comes before the first one."""
    pairs = seen.with_cause(Cause.TIME)
    for stage in Stage:
        for words, cell, names in alike([pair for pair in pairs if _failed_at(pair[0]) is stage]):
            who = people_words(names, len(seen.visits))
            said = f"was {words}" if words.startswith("not done") else f"was not done: {words}"
            if cell:
                begins = seen.lines.get(cell, "")
                yield Reason(
                    f"Cell {cell} of {seen.notebook} {said} ({who})",
                    "let it do less, or more --cpu",
                    (f"the cell begins: {begins}",) if begins else (),
                )
            else:
                where = "hub" if stage in {Stage.LOGIN, Stage.SERVER} else names[0]
                yield Reason(f"“{stage}” {said} ({who})", f"provision logs {seen.name} {where}")


def _failed_at(visit: Visit) -> Stage | None:
    return next((span.stage for span in visit.spans if span.failure), None)


def _disk(seen: Evidence) -> Iterator[Reason]:
    for where, (size, used) in seen.load.fullest().items():
        if size and used > FULL * size:
            yield Reason(
                f"The disk at {where} is full: {sizing.format_size(used)} of "
                f"{sizing.format_size(size)} ({used / size:.0%}; {FULL:.0%} is the most)",
                "a machine with a larger disk, or less shared data",
            )


def _unfinished(seen: Evidence) -> Iterator[Reason]:
    """No failure was told of them, and no end either."""
    names = [
        visit.username
        for visit in seen.visits
        if visit.failure is None and visit.stage(Stage.AGAIN) is None
    ]
    if names:
        yield Reason(
            f"Nothing was heard to the end ({people_words(names, len(seen.visits))})",
            f"rehearse again; if it stays so: provision logs {seen.name}",
        )


def _others(seen: Evidence) -> Iterator[Reason]:
    for words, _, names in alike(seen.failed):
        who = people_words(names, len(seen.visits))
        yield Reason(f"Failed ({who}): {words}", f"provision logs {seen.name}")


def _size(size: int) -> str:
    return sizing.format_size(size) if size else "an unknown size"


RULES: tuple[Callable[[Evidence], Iterator[Reason]], ...] = (
    _simple(
        Cause.HTTPS,
        "HTTPS fails",
        "provision status {name}, and for the certificate: provision logs {name} caddy",
    ),
    _simple(Cause.REFUSED, "The hub refuses a login", "provision logs {name} hub"),
    _simple(Cause.HUB, "The hub fails", "provision logs {name} hub"),
    _simple(
        Cause.SPAWN,
        "A server does not start",
        "provision logs {name} hub; `provision launch {name}` brings back what is missing",
    ),
    _websocket,
    _memory_each,
    _kernel,
    _memory_machine,
    _notebook,
    _disk,
    _time,
    _simple(
        Cause.LOST,
        "A connection broke while it was held open",
        "provision logs {name} proxy, and: provision logs {name} caddy",
    ),
    _unfinished,
    slowness.too_slow,
    slowness.first_cell_slow,
    slowness.cores_stolen,
    slowness.crowd_busy,
)
