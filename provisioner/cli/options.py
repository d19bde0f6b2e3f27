"""The options that verbs share, and where each stands in workshop.toml."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

Name = Annotated[str | None, typer.Argument(help="The workshop; default: name in workshop.toml.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="Default: ./workshop.toml, if there.")
]
ProviderOption = Annotated[str | None, typer.Option("--provider", help="local, aws or host")]
Region = Annotated[str | None, typer.Option("--region", help="AWS region, such as eu-west-2.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Never ask; safe for scripts.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

BOTH_WAYS = frozenset({"prewarm"})
"""Of SETTINGS, those that are on unless somebody says no: they have a --no- form, too."""

SETTINGS: dict[str, tuple[str, type, str]] = {
    "users": ("users", int, "How many participants."),
    "roster": ("roster", str, "A CSV file of name,email, instead of a number."),
    "spare": ("spare", int, "Seats for people who just walk in."),
    "provider": ("provider", str, "local, aws or host"),
    "expires": ("expires", str, "8h, 1d, or a time; then it ends itself."),
    "memory": ("participant.memory", str, "Per participant, such as 1G."),
    "cpu": ("participant.cpu", float, "Cores per participant."),
    "disk": ("participant.disk", str, "Per participant, such as 2G."),
    "hostname": ("dns.hostname", str, "The name that participants type."),
    "dns": ("dns.provider", str, "Who keeps it: route53, rfc2136, manual or none."),
    "takeover": ("dns.takeover", bool, "Replace a record that provision did not make."),
    "bind": ("local.bind", str, "local: this machine's address in the classroom."),
    "accel": ("local.accel", str, "local: auto, kvm, hvf or tcg."),
    "region": ("aws.region", str, "aws: the region, such as eu-west-2."),
    "instance_type": ("aws.instance_type", str, "aws: instead of the cheapest that fits."),
    "ssh_from": ("aws.ssh_from", str, "aws: who may use SSH; default: your address."),
    "prewarm": ("prewarm", bool, "Start everybody's server at the end of a launch."),
    "host": ("host.address", str, "host: user@address of a machine that you have."),
}
"""Option → key of workshop.toml, type, help. Given to every verb that `asks`."""


def asks(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb all of SETTINGS as options; it gets those given, nested, as `asked`."""

    @functools.wraps(function)
    def run(*, name: str | None = None, **given: Any) -> None:
        values = {key: given.pop(key, None) for key in SETTINGS}
        if values["host"] and not values["provider"]:
            values["provider"] = "host"
        asked = nested({path: values[key] for key, (path, _, _) in SETTINGS.items()})
        function(asked={**asked, "name": name}, **given)

    own = inspect.signature(function, eval_str=True).parameters.values()
    options = [_parameter(key, kind, text) for key, (_, kind, text) in SETTINGS.items()]
    kept = [parameter for parameter in own if parameter.name != "asked"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    first = inspect.Parameter("name", keyword, default=None, annotation=Name)
    parameters = [first, *options, *(item.replace(kind=keyword) for item in kept)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    return run


def _parameter(key: str, kind: type, text: str) -> inspect.Parameter:
    word = key.replace("_", "-")
    flag = f"--{word}/--no-{word}" if key in BOTH_WAYS else f"--{word}"
    option: Any = typer.Option(flag, help=text)
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(
        key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as workshop.toml nests them; None means "not given" and is left out."""
    made: dict[str, Any] = {}
    for path, value in values.items():
        if value is None:
            continue
        *sections, key = path.split(".")
        place = made
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value
    return made
