"""The verb `rehearse`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provisioner.cli.options import Config, Json, Name, Yes

if TYPE_CHECKING:
    from provisioner.workflow.rehearsal.evidence import Evidence
    from provisioner.workflow.rehearsal.verdict import Verdict


def rehearse(
    name: Name = None,
    users: Annotated[
        int | None, typer.Option("--users", help="Default: all participants.", min=1, max=200)
    ] = None,
    notebook: Annotated[
        Path | None, typer.Option("--notebook", help="An .ipynb that everybody runs.")
    ] = None,
    where: Annotated[
        str, typer.Option("--from", help="Where the crowd is: server, or here.")
    ] = "server",
    hold: Annotated[
        float, typer.Option("--hold", help="Seconds that all stay connected.", min=0, max=3600)
    ] = 10.0,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a page with pictures: F.html")
    ] = None,
    clean_up: Annotated[
        bool, typer.Option("--clean-up", help="Only undo what one left that was killed.")
    ] = False,
    yes: Yes = False,
    config: Config = None,
    json_: Json = False,
) -> None:
    """Have everybody come at once, and say whether the workshop bears it: PASS or FAIL."""
    from provisioner.cli import opening, output, wiring
    from provisioner.errors import UsageError
    from provisioner.settings import recorded
    from provisioner.workflow.rehearsal import notebook as notebooks
    from provisioner.workflow.rehearsal.rehearse import HERE, SERVER, Plan
    from provisioner.workflow.rehearsal.rehearse import clean_up as undo
    from provisioner.workflow.rehearsal.rehearse import rehearse as run
    from provisioner.workflow.rehearsal.report import document
    from provisioner.workflow.rehearsal.verdict import judge

    if where not in {SERVER, HERE}:
        raise UsageError(f"--from {where}: it is server or here")
    if report is not None:
        _refuse_unwritable(report)
    read = notebooks.read_notebook(notebook) if notebook else None
    tools, record = opening.known(name, config)
    if clean_up:
        there = undo(tools, record.name, wiring.crowd())
        tools.reporter.note("It is undone." if there else "There is nothing to undo.")
        if json_:
            output.print_json({"name": record.name, "undone": there})
        return
    asked = recorded(record.settings)
    plan = Plan(
        notebook=read or notebooks.default_notebook(tuple(d.path for d in asked.data_sources())),
        users=users,
        where=where,
        hold=hold,
        folder=notebooks.home_folder(notebook, asked.materials_source()) if notebook else "",
    )
    seen = run(tools, record.name, plan, wiring.crowd(), lambda busy: _confirm(busy, yes=yes))
    verdict = judge(seen)
    if report is not None:
        try:
            _write(report, seen, verdict)
            tools.reporter.note(f"the report is {report}")
        except OSError as error:  # what was found out is worth more than its pictures
            tools.reporter.warn(f"The report {report} can't be written: {error.strerror}")
    if not json_:
        show(seen, verdict)
    _end(seen, verdict, json_)
    if json_:
        output.print_json(document(seen, verdict))


def _refuse_unwritable(report: Path) -> None:
    """Before everybody comes: afterwards it would be too late."""
    from provisioner.errors import UsageError

    folder = report.absolute().parent
    if not folder.is_dir():
        raise UsageError(f"The folder of {report} does not exist")
    if report.is_dir():
        raise UsageError(f"--report {report} is a folder", hint=f"--report {report / 'r.html'}")
    if not os.access(report if report.exists() else folder, os.W_OK):
        raise UsageError(f"--report {report} can't be written", hint="--report /tmp/r.html")


def _confirm(busy: frozenset[str], *, yes: bool) -> None:
    """Raises Refused when the answer is no."""
    from provisioner.errors import Refused

    if yes or not sys.stdin.isatty():
        return
    people = "1 person is" if len(busy) == 1 else f"{len(busy)} people are"
    question = (
        f"{people} at work. A rehearsal slows them down, and touches neither their files nor "
        "their servers. Go on?"
    )
    if not typer.confirm(question, err=True):
        raise Refused("Nothing was done")


def _end(seen: Evidence, verdict: Verdict, as_json: bool) -> None:
    """Raises NotReady unless it passed; the reasons are the message."""
    from provisioner.errors import NotReady
    from provisioner.workflow.rehearsal.report import document

    if verdict.passed:
        return
    bad = [reason for reason in verdict.reasons if not reason.warning]
    first, rest = bad[0], bad[1:]
    raise NotReady(
        f"The rehearsal failed: {first.what}",
        details=(*first.evidence, *(f"also: {item.what} → {item.change}" for item in rest)),
        hint=first.change,
        document=document(seen, verdict),
    )


def _write(path: Path, seen: Evidence, verdict: Verdict) -> None:
    from datetime import datetime

    from provisioner.workflow.rehearsal.page import page

    path.write_text(page(seen, verdict, at=datetime.now()), encoding="utf-8")


def show(seen: Evidence, verdict: Verdict) -> None:
    from rich.markup import escape

    from provisioner.cli.output import stdout, table
    from provisioner.sizing import format_size
    from provisioner.workflow.rehearsal.measures import spreads
    from provisioner.workflow.rehearsal.report import peaks

    rows = [
        (item.name, str(item.count), f"{item.p50:.1f}", f"{item.p95:.1f}", f"{item.most:.1f}")
        for item in spreads(seen.visits)
    ]
    stdout.print(table("Seconds", "People", "Half", "95 %", "Slowest", rows=[*rows]))
    if machine := peaks(seen):
        most = max(seen.used.values(), default=0)
        each = f"; one participant's server: {format_size(most)} at most" if most else ""
        stdout.print(
            f"Machine    CPU {machine.cpu_mean:.0%} of {machine.cores} cores, {machine.cpu:.0%} at "
            f"most; memory {format_size(machine.memory)} of {format_size(machine.memory_of)}{each}"
        )
        stdout.print(
            f"           disk {format_size(machine.disk)}/s, network "
            f"{format_size(machine.network)}/s at most"
        )
    if seen.effort:
        where = "on the server" if seen.where == "server" else "here"
        stdout.print(f"Crowd      {where}: {seen.effort.cpu_peak:.0%} of one core at most")
    if seen.patience > 1:
        stdout.print(f"Limits     {seen.patience:g} × as long, since the machine is emulated")
    for reason in verdict.reasons:
        if reason.warning:
            stdout.print(f"[yellow]![/] {escape(reason.what)}\n  → {escape(reason.change)}")
    colour = "green" if verdict.passed else "red"
    stdout.print(
        f"[bold {colour}]{verdict.word}[/]  {seen.held} of {len(seen.visits)} people sat there at "
        f"once with everything open, for {seen.hold:g} s"
    )
