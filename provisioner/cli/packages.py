"""System packages that the operator's machine lacks: named, and installed when that is wanted."""

from __future__ import annotations

import sys

import typer

from provisioner.errors import Refused
from provisioner.protocols import NeedsPackages, Packages, Provider, Reporter
from provisioner.settings import Settings


def missing(provider: Provider, settings: Settings) -> Packages | None:
    if not isinstance(provider, NeedsPackages):
        return None
    return provider.missing_packages(settings.local_options(), settings.network_options())


def ensure(provider: Provider, settings: Settings, reporter: Reporter, *, yes: bool) -> None:
    """Have them installed, asking first unless `yes`. Raises Refused with the command to type."""
    lacking = missing(provider, settings)
    if lacking is None:
        return
    if not yes:
        reporter.note(f"This machine lacks {', '.join(lacking.names)}. To install:")
        reporter.note(lacking.command)
        if not (sys.stdin.isatty() and typer.confirm("Shall I run that?", err=True)):
            raise Refused(
                f"This machine lacks {', '.join(lacking.names)}",
                hint=f"{lacking.command}\nor let provision do it: provision doctor --fix",
            )
    lacking.install(reporter)
