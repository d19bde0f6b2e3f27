"""A launch that is repeated: what may differ from what was asked for the first time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provisioner.errors import UsageError
from provisioner.models import Person
from provisioner.seating import newcomers
from provisioner.settings import Settings, recorded
from provisioner.store import Record

REPEATABLE = frozenset({"expires", "sheet", "prewarm"})
"""Settings that may differ when a launch is repeated: the deadline stays as it was recorded, and
the others change nothing on the server."""

SHOWN = frozenset(
    {
        *("name", "users", "spare", "provider", "login.mode", "environment.base_image"),
        *("participant.memory", "participant.cpu", "participant.disk"),
        *("culling.idle", "culling.max_age", "dns.hostname", "dns.provider", "tls.mode"),
        *("local.bind", "local.https_port", "local.ssh_port", "local.accel", "local.image"),
        *("aws.region", "aws.instance_type", "aws.spot", "aws.static_ip", "aws.disk"),
        *("host.address", "host.port", "materials.branch", "materials.folder"),
    }
)
"""Whose values are told: short words and numbers that are nobody's secret."""


def refuse_changes(record: Record, asked: Settings) -> None:
    """Raises UsageError, with what would do it, when `asked` is not what the workshop is.

    A roster may have changed: who came and went is in the record, and only newcomers are refused.
    """
    known = recorded(record.settings)
    wanted, has = asked.model_dump(mode="json"), known.model_dump(mode="json")
    repeatable = REPEATABLE
    if known.roster and asked.roster:
        _refuse_newcomers(record, asked, known)
        repeatable |= {"roster", "users"}
    changed = [
        line for key in wanted if key not in repeatable for line in _differs(key, has, wanted)
    ]
    if asked.provider != record.provider or changed:
        more = (
            "\nor give more people a seat: provision users add --help"
            if asked.users != known.users
            else ""
        )
        raise UsageError(
            f"Workshop {record.name!r} exists already, with other settings:",
            details=tuple(changed),
            hint=f"launch under another name, or first: provision teardown {record.name}{more}",
        )


def _refuse_newcomers(record: Record, asked: Settings, known: Settings) -> None:
    """Who was removed since stands in the roster still, and is nobody new."""
    new = newcomers(asked.roster, record.people)
    at_first = (Person("", "", name=entry.name, email=entry.email) for entry in known.roster)
    new = newcomers(new, at_first)
    if new:
        raise UsageError(
            f"The roster names people who are not in workshop {record.name!r}:",
            details=tuple(f"{entry.name} {entry.email}".strip() for entry in new),
            hint=f"provision users add --workshop {record.name} --roster FILE adds them",
        )


def _differs(key: str, has: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    """A line for each dotted key below `key` that is not the same."""
    old, new = has.get(key), wanted.get(key)
    if old == new:
        return
    if key == "roster":
        yield f"roster: it has {len(old or ())} people, you ask for {len(new or ())}"
    elif isinstance(old, dict) and isinstance(new, dict) and key not in OPAQUE:
        for part in dict.fromkeys((*new, *old)):
            dotted = f"{key}.{part}"
            yield from _differs(dotted, _dotted(key, old), _dotted(key, new))
    elif key in SHOWN:
        yield f"{key}: it has {old!r}, you ask for {new!r}"
    else:
        yield f"{key}: not what it was"


OPAQUE = frozenset({"environment.dockerfile"})
"""Whose parts are files."""


def _dotted(key: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{key}.{part}": value for part, value in values.items()}
