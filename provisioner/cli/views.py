"""How results look: the sheet, a status, a plan. Values in, words out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.markup import escape

from provisioner import sizing
from provisioner.cli.output import duration_words, seconds_words, stdout
from provisioner.cli.sheets import listed
from provisioner.models import Findings, Quote, Severity
from provisioner.protocols import Bakes
from provisioner.settings import Settings
from provisioner.sheet.forms import Sheet
from provisioner.store import Folder, Record
from provisioner.workflow.backup import count_people
from provisioner.workflow.cost import forecast, participants
from provisioner.workflow.launch import Launched, local_time
from provisioner.workflow.planning import Draft, errors
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
    stdout.print(listed(sheet))
    stdout.print(f"Sheet      {folder.credentials}")
    stdout.print(f"Print      provision credentials {record.name} --format pdf")
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


LOOKED_IN = {
    "local": "on this computer (local)",
    "aws": "in this AWS account, in any region (aws)",
    "host": "on a machine that you have (host)",
}
"""Provider → where a teardown looked."""


def show_torn_down(done: TornDown) -> None:
    if not done.deleted:
        where = LOOKED_IN.get(done.looked_in, f"({done.looked_in})")
        stdout.print(f"There is no workshop {done.name!r} {where}; nothing to do.", markup=False)
        if done.looked_in != "aws":
            more = f"provision teardown {done.name} --provider aws --region REGION"
            stdout.print(f"Elsewhere  {more}", markup=False)
        return
    stdout.print()
    if done.backup is not None and done.backup.people:
        stdout.print(f"Files of {count_people(len(done.backup.people))} are in {done.backup.path}")
    if done.logs is not None:
        stdout.print(f"What explains its failure is in {done.logs}")
    if done.cost is not None:
        share = each(done.cost / max(1, done.participants), done.participants)
        stdout.print(f"It cost about {money(done.cost)}: {share}")
    stdout.print(f"[bold green]Gone.[/] Nothing of workshop {done.name!r} is left.")
    if done.reminder:
        stdout.print(done.reminder)


def torn_down_json(done: TornDown) -> dict[str, Any]:
    return {
        "name": done.name,
        "deleted": done.deleted,
        "leftovers": [],
        "looked_in": done.looked_in,
        "backup": str(done.backup.path) if done.backup and done.backup.people else None,
        "cost_usd": None if done.cost is None else round(done.cost, 2),
        "cost_usd_per_participant": None
        if done.cost is None
        else round(done.cost / max(1, done.participants), 2),
    }


def each(dollars: float, people: int) -> str:
    whom = f"each of {people} participants" if people > 1 else "one participant"
    return f"{money(dollars)} for {whom}"


def money(dollars: float) -> str:
    return f"{dollars:.2f} USD"


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
        "price": _price_json(made, quote),
        "expires_at": made.record.expires_at.isoformat(),
        "findings": findings_json(findings),
        "ok": not errors(findings),
    }


def _price_json(made: Draft, quote: Quote | None) -> dict[str, Any] | None:
    if quote is None:
        return None
    costs = forecast(quote, made.record)
    return {
        "machine": quote.machine,
        "usd_per_hour": quote.hourly,
        "usd_per_day": round(costs.daily, 2),
        "usd_until_end": round(costs.total, 2),
        "usd_per_participant": round(costs.each, 2),
        "as_of": quote.as_of,
    }


def findings_json(findings: Findings) -> list[dict[str, str]]:
    return [
        {
            "severity": item.severity,
            "subject": item.subject,
            "message": item.message,
            "hint": item.hint,
        }
        for item in findings
    ]


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
    disk = sizing.explain_disk(people, limits, made.record.data_bytes)
    stdout.print(f"  disk       {disk}, filled as it is used")
    stdout.print(f"  cores      {size.cores}, at most {limits.cpu:g} for each participant")
    stdout.print(f"  user-data  {len(made.spec.user_data):,} of 16,384 bytes")
    stdout.print(f"  ends       {local_time(made.record.expires_at)}, by itself")
    if quote is not None:
        costs = forecast(quote, made.record)
        stdout.print(f"  machine    {quote.machine}")
        for reason in quote.reasons:
            stdout.print(f"             {escape(reason)}")
        stdout.print(
            f"  price      {money(costs.hourly)} an hour, {money(costs.daily)} a day,"
            f" {money(costs.total)} until it ends, by the price list of {quote.as_of}"
        )
        stdout.print(f"             {each(costs.each, participants(made.record))}")
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
