"""`doctor`: everything on the operator's side that a launch stands on."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime

from provisioner import __version__
from provisioner.cli import packages, views, wiring
from provisioner.cli.output import print_json, stdout
from provisioner.models import Finding, Findings, Severity
from provisioner.settings import QUAY_NOTEBOOK, Settings
from provisioner.workflow import planning
from provisioner.workflow.tools import Tools


def run(tools: Tools, settings: Settings, *, fix: bool, as_json: bool) -> bool:
    """Look, mend what may be mended, say what is left. True when a launch could begin."""
    if fix and (missing := packages.missing(tools.provider, settings)):
        missing.install(tools.reporter)
    findings = (*_own(), *_packages(tools, settings), *_registry(), *_provider(tools, settings))
    good = not planning.errors(findings)
    if as_json:
        print_json(
            {
                "ok": good,
                "findings": [
                    {
                        "severity": item.severity,
                        "subject": item.subject,
                        "message": item.message,
                        "hint": item.hint,
                    }
                    for item in findings
                ],
            }
        )
    else:
        views.show_findings(findings)
        stdout.print(
            "[bold green]This machine can launch workshops.[/]"
            if good
            else "[bold red]Something stands in the way; see above.[/]"
        )
    return good


def _own() -> Findings:
    version = ".".join(str(part) for part in sys.version_info[:3])
    findings = [
        Finding(Severity.INFO, "provision", f"{__version__} on Python {version}"),
        Finding(Severity.INFO, "home", str(wiring.home())),
    ]
    if shutil.which("ssh") is None:
        findings.append(
            Finding(
                Severity.WARNING,
                "ssh",
                "there is no ssh command; launch works without, `provision ssh` does not",
                "install openssh-client",
            )
        )
    return tuple(findings)


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


def _registry() -> Findings:
    host = QUAY_NOTEBOOK.split("/", 1)[0]
    words = (
        f"{host} answers: notebook images start from {QUAY_NOTEBOOK}"
        if wiring.registry_answers(host)
        else f"{host} does not answer: notebook images are built from Debian packages"
    )
    return (Finding(Severity.INFO, "registry", words),)


def _provider(tools: Tools, settings: Settings) -> Findings:
    now = datetime.now(UTC).strftime("%H%M%S")
    trial = settings.model_copy(update={"name": f"doctor-{now}"})
    made = planning.draft(tools.store, tools.provider, trial, base_image="")
    return planning.check(tools, trial, made.spec)
