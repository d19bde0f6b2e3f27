"""The verb `push`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provisioner.cli.options import Config, Json, Name

if TYPE_CHECKING:
    from provisioner.models import MaterialsSource
    from provisioner.workflow.push import Got, Pushed

KINDS = ("added", "updated", "kept", "both", "left", "failed")
SHOWN = 20
"""Paths of a list, on a terminal."""


def push(
    name: Name = None,
    source: Annotated[
        str, typer.Option("--source", help="A folder or git repository, instead of the last one.")
    ] = "",
    branch: Annotated[str, typer.Option("--branch", help="Of the repository.")] = "",
    folder: Annotated[
        str, typer.Option("--folder", help="In everybody's home; default: as before.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change; nobody gets anything.")
    ] = False,
    config: Config = None,
    json_: Json = False,
) -> None:
    """Bring new or corrected notebooks to everybody; what people changed stays theirs."""
    from provisioner.cli import opening, output
    from provisioner.workflow.push import push as run
    from provisioner.workflow.push import refuse_failures

    asked = _asked(source, branch, folder)
    tools, record = opening.known(name, config)
    done = run(tools, record.name, asked, dry_run=dry_run)
    said = as_json(done, dry_run=dry_run)
    if not json_:
        show(done, dry_run=dry_run)
    refuse_failures(done, document=said)  # which is printed with the failure, as one
    if json_:
        output.print_json(said)


def _asked(source: str, branch: str, folder: str) -> MaterialsSource | None:
    """Raises UsageError for what workshop.toml would not take either."""
    if not (source or branch or folder):
        return None
    from pydantic import ValidationError

    from provisioner.errors import UsageError
    from provisioner.models import MaterialsSource
    from provisioner.render.materials import is_repository
    from provisioner.sections.workshop import MaterialsSection

    if source and not is_repository(source):
        source = str(Path(source).expanduser().absolute())
    try:
        MaterialsSection(source=source or "as before", branch=branch, folder=folder)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise UsageError(
            "The materials can't be had like this:",
            details=tuple(
                f"--{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}"
                for item in found
            ),
            hint="provision push --help",
        ) from None
    return MaterialsSource(source, branch, folder)


def show(done: Pushed, *, dry_run: bool) -> None:
    from provisioner.cli import output

    for word, paths in _lists(done):
        for path in paths[:SHOWN]:
            output.stdout.print(f"{word:8} {path}", markup=False)
        if len(paths) > SHOWN:
            output.stdout.print(f"{word:8} and {len(paths) - SHOWN} more")
    if not done.change.count:
        output.stdout.print("The server has all of it already.")
    if dry_run:
        output.stdout.print(f"{done.change.count} files would change. Nothing was sent.")
        return
    if done.change.removed:
        output.stderr.print("[yellow]![/] What was removed: people keep theirs, newcomers get none")
    headings = ("User", "Added", "Updated", "Kept", "Both kept", "Failed", "")
    output.stdout.print(output.table(*headings, rows=[_row(got) for got in done.people]))
    for got in done.people:
        for path, why in list(got.failed.items())[:3]:
            output.stderr.print(f"! {got.username}: {path}: {why}", markup=False)
    states = [got.state for got in done.people]
    now, later, part = (states.count(word) for word in ("now", "next start", "in part"))
    some = f" {part} only in part." if part else ""
    both = f" In {plural(_files(done, 'both'), 'case')} theirs and the new one are side by side."
    output.stdout.print(
        f"In ~/{done.folder}: {now} of {len(states)} have it, {later} at their next start."
        + some
        + (both if _files(done, "both") else ""),
        markup=False,
    )
    output.stdout.print(f"Open       {done.open_link}", markup=False, soft_wrap=True)
    if done.pull_link:
        output.stdout.print(f"nbgitpuller {done.pull_link}", markup=False, soft_wrap=True)


def plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _files(done: Pushed, word: str) -> int:
    return sum(got.count(word) for got in done.people)


def _lists(done: Pushed) -> tuple[tuple[str, tuple[str, ...]], ...]:
    change = done.change
    return ("new", change.added), ("changed", change.changed), ("removed", change.removed)


def _row(got: Got) -> tuple[str, ...]:
    if got.state == "next start":
        return (got.username, "", "", "", "", "", "next start")
    numbers = [got.count(word) for word in ("added", "updated", "kept", "both", "failed")]
    last = got.why or (got.state if got.state == "in part" else "")
    return (got.username, *(str(number or "") for number in numbers), last)


def as_json(done: Pushed, *, dry_run: bool) -> dict[str, Any]:
    return {
        "name": done.record.name,
        "folder": done.folder,
        "branch": done.branch,
        "commit": done.commit,
        "dry_run": dry_run,
        "new": list(done.change.added),
        "changed": list(done.change.changed),
        "removed": list(done.change.removed),
        "open": done.open_link,
        "nbgitpuller": done.pull_link,
        "people": [
            {
                "username": got.username,
                "state": got.state,
                "why": got.why,
                "added": list(got.added),
                "updated": list(got.updated),
                "kept": list(got.kept),
                "both": list(got.both),
                "left": list(got.left),
                "failed": got.failed,
                "counts": {word: got.count(word) for word in KINDS},
            }
            for got in done.people
        ],
    }
