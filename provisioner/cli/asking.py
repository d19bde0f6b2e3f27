"""`init`'s questions. Each answer is tried on the settings at once, and asked again with what
they say against it. What was given as an option is not asked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer

from provisioner.cli import wiring
from provisioner.cli.options import nested
from provisioner.cli.output import stderr
from provisioner.errors import UsageError
from provisioner.settings import DEFAULT_EXPIRES, load

Values = dict[str, Any]  # dotted keys of workshop.toml → text, numbers, lists of text

DEFAULTS: Mapping[str, Any] = {"name": "workshop", "users": 3}
PLACES = {"local": "this computer", "aws": "your AWS account", "host": "a server that you have"}

_APART = re.compile(r"(?<![@,;\s])[,\s]+(?=[A-Za-z])(?![^\[]*\])")
"""Between packages. Not in "pkg @ git+https://…", "numpy >= 2" or "pkg[one,two]"."""

_GIT = re.compile(r"https?://|ssh://|[\w.-]+@[\w.-]+:")


def check(values: Mapping[str, Any]) -> None:
    """Raises UsageError unless these make a workshop."""
    provider = values.get("provider", "local")
    if provider not in wiring.PROVIDERS:
        raise UsageError(
            f"provider: {provider!r} is not one", hint=f"one of {', '.join(wiring.OFFERED)}"
        )
    load(nested(dict(values)), file=Path(os.devnull), environ={})


def with_defaults(given: Values) -> Values:
    """What stands in the file when nobody is asked."""
    name = {"name": given.get("name", DEFAULTS["name"])}
    people = {} if "roster" in given else {"users": given.get("users", DEFAULTS["users"])}
    return {**name, **people, **given}


def ask(given: Values, account: Callable[[], wiring.Account] = wiring.aws_account) -> Values:
    """All answers, with those that were given. Raises UsageError when one of those is wrong,
    before the first question."""
    check(given)
    values = dict(given)
    _until(values, "What is the workshop called?", DEFAULTS["name"], _name, "name")
    _until(
        values,
        "How many participants? A number, or a roster (CSV)",
        "3",
        _people,
        "users",
        "roster",
    )
    _until(
        values,
        "When does it end? 8h, 2d, or a time such as 2026-11-24T18:00",
        DEFAULT_EXPIRES,
        _expires,
        "expires",
    )
    for place, words in PLACES.items():
        stderr.print(f"  {place:<6} {words}")
    _until(values, "Where does it run?", "local", _provider, "provider")
    if values["provider"] == "host":
        _until(values, "Which server? user@address", None, _host, "host.address")
    if values["provider"] == "aws":
        _ask_aws(values, account())
    _until(
        values,
        "Which notebooks (a git address or a folder), or Python packages? Enter: none",
        "",
        _contents,
        *("materials.source", "environment.python", "environment.requirements"),
    )
    return values


def _ask_aws(values: Values, account: wiring.Account) -> None:
    if account.who:
        stderr.print(f"[green]✓[/] Signed in to AWS: {account.who}")
    else:
        stderr.print(f"[yellow]![/] {account.trouble}", soft_wrap=True)
        stderr.print("  Sign in before the launch: aws configure, or aws sso login")
    if account.regions:
        stderr.print(f"  Regions: {', '.join(account.regions)}")
    _until(
        values,
        "In which region? Enter: that of your profile",
        account.region,
        lambda text: _region(text, account.regions),
        "aws.region",
    )
    if account.zones:
        stderr.print(f"  Zones of yours in Route 53: {', '.join(account.zones)}")
    example = f"workshop.{account.zones[0] if account.zones else 'example.org'}"
    _until(
        values,
        f"Under which name, such as {example}? Enter: its address, and browsers warn",
        "",
        lambda text: _hostname(text, account.zones),
        "dns.hostname",
    )


def _until(
    values: Values, question: str, default: Any, take: Callable[[str], Values], *keys: str
) -> None:
    """Ask until an answer is right, unless one of the `keys` that it is about is known."""
    if any(key in values for key in keys):
        return
    while True:
        text = typer.prompt(question, default=default, show_default=bool(default), err=True)
        try:
            answer = take(str(text).strip())
            check({**values, **answer})
        except UsageError as error:
            for line in error.details or (error.message,):
                stderr.print(f"[red]✗[/] {line}", markup=True)
            continue
        values.update(answer)
        return


def _name(text: str) -> Values:
    return {"name": text}


def _people(text: str) -> Values:
    return {"users": int(text)} if re.fullmatch(r"[+-]?\d+", text) else {"roster": text}


def _expires(text: str) -> Values:
    return {"expires": text}


def _provider(text: str) -> Values:
    return {"provider": text.lower()}


def _host(text: str) -> Values:
    if not text:
        raise UsageError("the address, as you type it for ssh")
    return {"host.address": text}


def _region(text: str, known: tuple[str, ...]) -> Values:
    if text and known and text not in known:
        raise UsageError(f"{text!r} is not a region of this account")
    return {"aws.region": text} if text else {}


def _hostname(text: str, zones: tuple[str, ...]) -> Values:
    """Whoever keeps the zone keeps the name; a person does where that is nobody we know."""
    if not text:
        return {}
    ours = any(text.endswith(f".{zone}") for zone in zones)
    return {"dns.hostname": text, "dns.provider": "route53" if ours else "manual"}


def _contents(text: str) -> Values:
    """Notebooks are where an address or a folder leads; all else is for pip."""
    if not text:
        return {}
    path = Path(text).expanduser()
    if _GIT.match(text) or path.is_dir():
        return {"materials.source": text}
    if path.is_file():
        return {"environment.requirements": [text]}
    if text.startswith((".", "/", "~")):
        raise UsageError(f"there is no folder {text}")
    return {"environment.python": _APART.split(text)}


PATHS = ("roster", "materials.source", "environment.requirements")
"""Keys that may name a file or folder: in workshop.toml relative to it."""


def beside(values: Values, folder: Path) -> Values:
    """With paths as they are seen from `folder`, where the file will be."""
    made = dict(values)
    for key in PATHS:
        if isinstance(values.get(key), list):
            made[key] = [_seen_from(folder, item) for item in values[key]]
        elif values.get(key):
            made[key] = _seen_from(folder, values[key])
    return made


def _seen_from(folder: Path, text: str) -> str:
    if _GIT.match(text) or text.startswith(("/", "~")):
        return text
    seen = os.path.relpath(text, folder)
    return f"./{seen}" if text.startswith("./") and not seen.startswith(".") else seen
