"""The options that verbs share, and how they nest into workshop.toml's keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Name = Annotated[str | None, typer.Argument(help="The workshop; default: name in workshop.toml.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="Default: ./workshop.toml, if there.")
]
ProviderOption = Annotated[str | None, typer.Option("--provider", help="local")]
Users = Annotated[int | None, typer.Option("--users", help="How many participants.")]
Expires = Annotated[
    str | None, typer.Option("--expires", help="8h, 1d, or a time; then it ends itself.")
]
Memory = Annotated[str | None, typer.Option("--memory", help="Per participant, such as 1G.")]
Cpu = Annotated[float | None, typer.Option("--cpu", help="Cores per participant.")]
Disk = Annotated[str | None, typer.Option("--disk", help="Per participant, such as 2G.")]
Bind = Annotated[
    str | None, typer.Option("--bind", help="This machine's address in the classroom.")
]
Accel = Annotated[str | None, typer.Option("--accel", help="auto, kvm, hvf or tcg.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Never ask; safe for scripts.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def flags(
    name: str | None,
    users: int | None,
    provider: str | None,
    expires: str | None,
    memory: str | None,
    cpu: float | None,
    disk: str | None,
    bind: str | None,
    accel: str | None,
) -> dict[str, Any]:
    """Flags, nested as in workshop.toml; None means "not given"."""
    return {
        "name": name,
        "users": users,
        "provider": provider,
        "expires": expires,
        "participant": {"memory": memory, "cpu": cpu, "disk": disk},
        "local": {"bind": bind, "accel": accel},
    }
