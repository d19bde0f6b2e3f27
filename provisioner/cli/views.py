"""How results look: the sheet, a status, a plan. Values in, words out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.markup import escape

from provisioner import sizing
from provisioner.cli.output import duration_words, print_json, seconds_words, stderr, stdout, table
from provisioner.errors import UsageError
from provisioner.models import Findings, Quote, Severity
from provisioner.protocols import Bakes
from provisioner.settings import Settings
from provisioner.sheet.forms import HEADINGS, Sheet
from provisioner.store import (
    Folder,
    Record,
    Store,
    credentials_csv,
    read_credentials,
    write_private,
)
from provisioner.workflow.backup import count_people
from provisioner.workflow.launch import Launched, local_time
from provisioner.workflow.planning import Draft, errors
from provisioner.workflow.status import Status
from provisioner.workflow.teardown import TornDown
from provisioner.workflow.tools import Tools

MARKS = {Severity.ERROR: "[red]✗[/]", Severity.WARNING: "[yellow]![/]", Severity.INFO: "[cyan]·[/]"}


def show_launched(launched: Launched, folder: Folder) -> None:
    record = launched.record
    sheet = Sheet(record.name, record.url, launched.credentials)
    stdout.print()
    stdout.print(
        f"[bold green]Ready.[/] A participant has logged in and run a cell at {record.url}"
    )
    stdout.print()
    stdout.print(table(*HEADINGS, rows=[*sheet.rows()]))
    stdout.print(f"Sheet      {folder.credentials}")
    if folder.ca.exists():
        stdout.print(f"CA         {folder.ca}  (browsers must trust it: no public one vouches)")
    show_deadline(record)
    stdout.print(f"Look       provision status {record.name}")
    stdout.print(f"End it     provision teardown {record.name}")


def launch_json(launched: Launched) -> dict[str, Any]:
    record = launched.record
    return {
        "name": record.name,
        "provider": record.provider,
        "url": record.url,
        "address": record.server.address if record.server else "",
        "users": sum(not person.admin for person in record.people),
        "phase": record.phase,
        "expires_at": record.expires_at.isoformat(),
        "credentials": Sheet(record.name, record.url, launched.credentials).as_json(),
        "timings": launched.timings,
    }


def show_deadline(record: Record) -> None:
    left = duration_words((record.expires_at - datetime.now(UTC)).total_seconds())
    stdout.print(f"Ends       {local_time(record.expires_at)}, in {left}, by itself")


def show_stopped(record: Record) -> None:
    stdout.print(f"[bold green]Stopped.[/] {record.name} is off; its disk is kept.")
    show_deadline(record)
    stdout.print("           but not while it is off, when its disk goes on costing")
    stdout.print(f"Go on      provision start {record.name}")
    stdout.print(f"End it     provision teardown {record.name}")


def show_sheet(store: Store, record: Record, form: str, to: Path | None) -> None:
    folder = store.folder(record.name)
    credentials = read_credentials(folder.credentials, record.people)
    sheet = Sheet(record.name, record.url, credentials)
    if not record.url:
        stderr.print("[yellow]![/] The workshop has no address yet")
    if form == "csv":
        _put(credentials_csv(credentials, record.url), to)
    elif form == "json":
        if to is None:
            print_json(sheet.as_json())
        else:
            import json

            _put(json.dumps(sheet.as_json(), indent=2, ensure_ascii=False) + "\n", to)
    elif form == "table" and to is None:
        stdout.print(table(*HEADINGS, rows=[*sheet.rows()], title=f"{record.name}  {record.url}"))
    else:
        raise UsageError(
            f"--format {form} can't be written{' to a file' if to else ''}",
            hint="--format table, csv or json; --output goes with csv and json",
        )


def _put(text: str, to: Path | None) -> None:
    if to is None:
        print(text, end="")
        return
    try:
        write_private(to, text)
    except OSError as error:
        raise UsageError(f"{to} can't be written: {error.strerror}") from None


def show_torn_down(done: TornDown) -> None:
    if not done.deleted:
        stdout.print(f"There is no workshop {done.name!r}; nothing to do.")
        return
    stdout.print()
    if done.backup is not None and done.backup.people:
        stdout.print(f"Files of {count_people(len(done.backup.people))} are in {done.backup.path}")
    if done.logs is not None:
        stdout.print(f"What explains its failure is in {done.logs}")
    if done.cost is not None:
        stdout.print(f"It cost about {money(done.cost)}")
    stdout.print(f"[bold green]Gone.[/] Nothing of workshop {done.name!r} is left.")
    if done.reminder:
        stdout.print(done.reminder)


def torn_down_json(done: TornDown) -> dict[str, Any]:
    return {
        "name": done.name,
        "deleted": done.deleted,
        "leftovers": [],
        "backup": str(done.backup.path) if done.backup and done.backup.people else None,
        "cost_usd": None if done.cost is None else round(done.cost, 2),
    }


def money(dollars: float) -> str:
    return f"{dollars:.2f} USD"


def show_status(status: Status) -> None:
    record = status.record
    left = status.seconds_left
    ends = f"in {duration_words(left)}" if left > 0 else "the deadline has passed"
    stdout.print(f"[bold]{record.name}[/]  {status.phase}  {record.url}")
    stdout.print(f"Ends {local_time(record.expires_at)}, {ends}")
    if record.failure:
        stdout.print(f"[red]{escape(record.failure)}[/]")
    for check in status.checks:
        mark = "[green]✓[/]" if check.ok else "[red]✗[/]"
        stdout.print(f"  {mark} {check.name:<8} {escape(check.says)}")
    if status.seats:
        rows = [(seat.username, seat.state, seat.memory) for seat in status.seats]
        stdout.print(table("User name", "Server", "Memory", rows=[*rows]))


def plan_json(
    settings: Settings, made: Draft, findings: Findings, quote: Quote | None
) -> dict[str, Any]:
    size = made.spec.size
    return {
        "name": settings.name,
        "provider": settings.provider,
        "users": settings.users,
        "machine": {"memory": size.memory, "cores": size.cores, "disk": size.disk},
        "user_data_bytes": len(made.spec.user_data),
        "price": None
        if quote is None
        else {"machine": quote.machine, "usd_per_hour": quote.hourly, "as_of": quote.as_of},
        "expires_at": made.record.expires_at.isoformat(),
        "findings": [
            {
                "severity": item.severity,
                "subject": item.subject,
                "message": item.message,
                "hint": item.hint,
            }
            for item in findings
        ],
        "ok": not errors(findings),
    }


def show_plan(
    settings: Settings, made: Draft, findings: Findings, quote: Quote | None, tools: Tools
) -> None:
    people, limits, size = len(made.record.people), settings.limits(), made.spec.size
    admins = ", ".join(settings.login.admins)
    stdout.print(
        f"[bold]{settings.name}[/]: {settings.users} participants"
        f"{f' and {admins}' if admins else ''} on one machine ({settings.provider})"
    )
    if not made.files:
        stdout.print(f"  exists     {made.record.phase}; a launch goes on from there")
    stdout.print(f"  memory     {sizing.explain_memory(people, limits)}")
    stdout.print(f"  disk       {sizing.explain_disk(people, limits)}, filled as it is used")
    stdout.print(f"  cores      {size.cores}, at most {limits.cpu:g} for each participant")
    stdout.print(f"  user-data  {len(made.spec.user_data):,} of 16,384 bytes")
    stdout.print(f"  ends       {local_time(made.record.expires_at)}, by itself")
    if quote is not None:
        hours = max(0.0, (made.record.expires_at - datetime.now(UTC)).total_seconds() / 3600)
        stdout.print(f"  machine    {quote.machine}")
        for reason in quote.reasons:
            stdout.print(f"             {escape(reason)}")
        stdout.print(
            f"  price      {money(quote.hourly)} an hour, {money(quote.hourly * hours)} until it"
            f" ends, by the price list of {quote.as_of}"
        )
    if isinstance(tools.provider, Bakes):
        baked = tools.provider.baked(made.spec)
        usual = tools.store.usual("bake", settings.provider)
        time = f", usually {seconds_words(usual)}" if usual else ""
        stdout.print(f"  image      {'is there' if baked else f'will be made first{time}'}")
    show_findings(findings)
    if not errors(findings):
        stdout.print(f"Go         provision launch {settings.name}")


def show_findings(findings: Findings) -> None:
    for item in findings:
        stdout.print(f"{MARKS[item.severity]} {item.subject}: {escape(item.message)}")
        for line in item.hint.splitlines():
            stdout.print(f"    → {escape(line)}")
