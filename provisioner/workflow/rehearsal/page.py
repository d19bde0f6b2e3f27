"""The report as one HTML file that asks nothing of the network and runs no script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from provisioner import sizing
from provisioner.models import MIB
from provisioner.visits import Stage, Visit
from provisioner.workflow.rehearsal.drawing import Bar, Line, Mark, Row, chart, timeline
from provisioner.workflow.rehearsal.evidence import Evidence
from provisioner.workflow.rehearsal.measures import spreads
from provisioner.workflow.rehearsal.report import peaks
from provisioner.workflow.rehearsal.slowness import COLD, WARM
from provisioner.workflow.rehearsal.verdict import Verdict

TEMPLATE = "page.html.j2"

SHOWN = (Stage.LOGIN, Stage.SERVER, Stage.KERNEL, Stage.CELL, Stage.NOTEBOOK)
KIND = {
    Stage.LOGIN: "login",
    Stage.SERVER: "server",
    Stage.KERNEL: "kernel",
    Stage.CELL: "cell",
    Stage.NOTEBOOK: "notebook",
    Stage.AGAIN: "again",
}


def page(seen: Evidence, verdict: Verdict, *, at: datetime) -> str:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = (files("provisioner.workflow.rehearsal") / TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(
        seen=seen,
        verdict=verdict,
        at=at.strftime("%Y-%m-%d %H:%M"),
        spreads=spreads(seen.visits),
        peaks=peaks(seen),
        size=sizing.format_size,
        timeline=_timeline(seen),
        legend=[*((KIND[stage], str(stage)) for stage in SHOWN), ("held", "stays connected")],
        waits=_waits(seen),
        load=_load(seen),
        traffic=_traffic(seen),
        failed=[(visit, failure) for visit, failure in seen.failed],
        used=sorted(seen.used.values()),
    )


def _timeline(seen: Evidence) -> Markup:
    ordered = sorted(seen.visits, key=lambda visit: (_end(visit), visit.username))
    rows = [
        Row(
            visit.username,
            tuple(_bars(visit)),
            next((span.end for span in visit.spans if span.failure), None),
        )
        for visit in ordered
    ]
    return timeline(rows, seconds=seen.seconds)


def _end(visit: Visit) -> float:
    arrived = [span.end for span in visit.spans if span.stage is not Stage.AGAIN]
    return max(arrived, default=0.0)


def _bars(visit: Visit) -> Iterator[Bar]:
    first = visit.stage(Stage.CELL)
    for span in visit.spans:
        start = first.end if span.stage is Stage.NOTEBOOK and first else span.start
        says = f"{visit.username}: {span.stage}, {span.end - start:.1f} s"
        if span.failure:
            says += f": {span.failure.words}"
        yield Bar(start, span.end, f"bar {KIND[span.stage]}", says)
    done, again = visit.stage(Stage.NOTEBOOK), visit.stage(Stage.AGAIN)
    if done and again:
        yield Bar(done.end, again.start, "bar held", f"{visit.username}: stays connected")


def _waits(seen: Evidence) -> Markup:
    """How many had a kernel, their first cell, and all of the notebook, after so many seconds."""
    people = len(seen.visits)
    lines = []
    for stage, label in (
        (Stage.KERNEL, "kernel"),
        (Stage.CELL, "first cell"),
        (Stage.NOTEBOOK, "whole notebook"),
    ):
        times = sorted(spent for visit in seen.visits if (spent := visit.until(stage)))
        points = [(spent, 100 * number / people) for number, spent in enumerate(times, 1)]
        lines.append(Line(label, KIND[stage], ((0.0, 0.0), *points), stepped=True))
    warm = all(visit.username in seen.warm for visit in seen.visits)
    threshold = WARM if warm else COLD
    most = threshold.most * seen.patience
    mark = Mark(most, f"{most:g} s: a kernel for 95 % by here")
    widest = max(at for line in lines for at, _ in line.points)
    marks = (mark,) if most < 3 * widest else ()  # else it would flatten everything
    return chart(lines, x="seconds after opening the login page", y="% of people", marks=marks)


def _load(seen: Evidence) -> Markup:
    samples = seen.load.samples()
    lines = (
        Line("CPU", "cpu", tuple((item.at, 100 * item.cpu) for item in samples)),
        Line("memory", "memory", tuple((item.at, 100 * item.memory) for item in samples)),
    )
    return chart(lines, x="seconds since the first login", y="% of the machine", y_most=100.0)


def _traffic(seen: Evidence) -> Markup:
    samples = seen.load.samples()
    lines = (
        Line("disk", "disk", tuple((item.at, item.disk / MIB) for item in samples)),
        Line("network", "network", tuple((item.at, item.network / MIB) for item in samples)),
    )
    return chart(lines, x="seconds since the first login", y="MiB a second")
