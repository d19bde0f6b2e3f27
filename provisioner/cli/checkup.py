"""`doctor`: everything on the operator's side that a launch stands on."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from provisioner import __version__
from provisioner.cli import packages, surroundings, views, wiring
from provisioner.cli.output import print_json, stdout
from provisioner.errors import UsageError
from provisioner.models import Finding, Findings, Severity
from provisioner.settings import Settings
from provisioner.workflow import planning
from provisioner.workflow.tools import Tools


def run(tools: Tools, settings: Settings, *, fix: bool, as_json: bool) -> bool:
    """Look, mend what may be mended, say what is left. True when a launch could begin."""
    mended = surroundings.mend(tools.store) if fix else []
    for words in mended:
        tools.reporter.note(words)
    if fix and (missing := packages.missing(tools.provider, settings)):
        missing.install(tools.reporter)
        mended.append(f"{', '.join(missing.names)} installed")
    with tools.reporter.step("Looking at this computer and its network"):
        findings = look(tools, settings)
    good = not planning.errors(findings)
    if as_json:
        print_json({"ok": good, "mended": mended, "findings": views.findings_json(findings)})
    else:
        views.show_findings(findings)
        stdout.print(
            "[bold green]This machine can launch workshops.[/]"
            if good
            else "[bold red]Something stands in the way; see above.[/]"
        )
    return good


def look(tools: Tools, settings: Settings) -> Findings:
    """Everything, in the order in which a person would mend it."""
    return (
        *_versions(),
        *surroundings.home(tools.store),
        *surroundings.records(tools.store),
        *_packages(tools, settings),
        *surroundings.programs(settings),
        *surroundings.memory(settings),
        *surroundings.port(settings),
        *surroundings.network(settings),
        *_authorities(settings),
        *_provider(tools, settings),
    )


def _versions() -> Findings:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return (Finding(Severity.INFO, "provision", f"{__version__} on Python {version}"),)


def _packages(tools: Tools, settings: Settings) -> Findings:
    missing = packages.missing(tools.provider, settings)
    if missing is None:
        return (Finding(Severity.INFO, "packages", "all are installed"),)
    return (
        Finding(
            Severity.ERROR,
            "packages",
            f"missing: {', '.join(missing.names)}",
            f"{missing.command}\nor: provision doctor --fix",
        ),
    )


def _authorities(settings: Settings) -> Findings:
    try:
        count = wiring.private_authorities(settings)
    except UsageError as error:
        return (Finding(Severity.ERROR, "authorities", error.message, error.hint),)
    if not count:
        return ()
    words = f"{count} beyond the public ones are trusted here, and will be inside the machine too"
    return (Finding(Severity.INFO, "authorities", words),)


def _provider(tools: Tools, settings: Settings) -> Findings:
    now = datetime.now(UTC).strftime("%H%M%S")
    trial = settings.model_copy(update={"name": f"doctor-{now}"})
    made = planning.draft(tools.store, tools.provider, trial, base_image="")
    return planning.check(tools, trial, made.spec)
