"""How lists of workshops look: those that are there, and those that should not be."""

from __future__ import annotations

from typing import Any

from provisioner.cli.output import duration_words, print_json, stdout, table
from provisioner.cli.views import money
from provisioner.models import Marked
from provisioner.workflow.gc import Doomed
from provisioner.workflow.launch import local_time
from provisioner.workflow.listing import Listed


def show_list(lines: list[Listed], *, as_json: bool) -> None:
    if as_json:
        print_json([_listed_json(line) for line in lines])
        return
    if not lines:
        stdout.print("There are no workshops. To make one: provision launch --users 3")
        return
    headings = ("Name", "Phase", "Users", "URL", "Age", "Ends", "Cost so far", "")
    rows = [
        (
            line.name,
            line.phase,
            str(line.people or ""),
            line.url,
            duration_words(line.age) if line.age is not None else "",
            local_time(line.expires_at) if line.expires_at else "",
            money(line.cost) if line.cost is not None else "",
            line.note,
        )
        for line in lines
    ]
    wanted = [index for index in range(len(headings)) if any(row[index] for row in rows)]
    stdout.print(
        table(
            *(headings[index] for index in wanted),
            rows=[tuple(row[index] for index in wanted) for row in rows],
        )
    )


def _listed_json(line: Listed) -> dict[str, Any]:
    return {
        "name": line.name,
        "phase": line.phase,
        "url": line.url,
        "expires_at": line.expires_at.isoformat() if line.expires_at else None,
        "users": line.people,
        "age_seconds": None if line.age is None else round(line.age),
        "cost_usd": None if line.cost is None else round(line.cost, 2),
        "note": line.note,
    }


def show_doomed(doomed: list[Doomed], names: list[Marked]) -> None:
    if not doomed and not names:
        stdout.print("There is nothing that should not be there.")
        return
    rows = [
        (item.found.name, item.found.region, str(item.found.state), item.found.details, item.why)
        for item in doomed
    ]
    rows += [(mark.hostname, "", "", "DNS record", "its workshop is gone") for mark in names]
    stdout.print(table("Name", "Region", "State", "What", "Why", rows=[*rows]))


def doomed_json(doomed: list[Doomed], names: list[Marked]) -> list[dict[str, Any]]:
    machines = [
        {
            "name": item.found.name,
            "id": item.found.id,
            "region": item.found.region,
            "state": item.found.state,
            "details": item.found.details,
            "why": item.why,
        }
        for item in doomed
    ]
    return machines + [
        {
            "name": mark.hostname,
            "id": mark.workshop_id,
            "region": "",
            "state": "",
            "details": "DNS record",
            "why": "its workshop is gone",
        }
        for mark in names
    ]
