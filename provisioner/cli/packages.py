"""System packages that the operator's machine lacks: named, and installed when that is wanted."""

from __future__ import annotations

import sys

import typer

from provisioner.errors import Refused
from provisioner.protocols import NeedsPackages, Provider, Reporter


def ensure(provider: Provider, reporter: Reporter, *, yes: bool) -> None:
    """Have them installed, asking first unless `yes`. Raises Refused with the command to type."""
    missing = provider.missing_packages() if isinstance(provider, NeedsPackages) else None
    if missing is None:
        return
    if not yes:
        reporter.note(f"This machine lacks {', '.join(missing.names)}. To install:")
        reporter.note(missing.command)
        if not (sys.stdin.isatty() and typer.confirm("Shall I run that?", err=True)):
            raise Refused(
                f"This machine lacks {', '.join(missing.names)}",
                hint=f"{missing.command}\nor let provision do it: provision doctor --fix",
            )
    missing.install(reporter)
