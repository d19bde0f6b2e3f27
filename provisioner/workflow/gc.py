"""`gc`: what exists in an account and should not: expired, or without anybody who knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from provisioner.models import Found, Marked
from provisioner.protocols import Discovers, DiscoversEverywhere, FindsMarks
from provisioner.store import CorruptRecord
from provisioner.workflow.tools import Tools


@dataclass(frozen=True, slots=True)
class Doomed:
    """A workshop that may be deleted, and why."""

    found: Found
    why: str


def look(tools: Tools, found_everywhere: list[Found]) -> list[Doomed]:
    """Everything of this account that has outlived its deadline, or has none and no record here.

    What is within its deadline is somebody's, even if it does not run: another laptop has it.
    """
    doomed = []
    known = _known_ids(tools)
    for found in found_everywhere:
        if found.expires_at is not None and found.expires_at <= datetime.now(UTC):
            doomed.append(Doomed(found, "its deadline has passed"))
        elif found.expires_at is None and found.id not in known:
            doomed.append(Doomed(found, "it has no deadline, and nobody here has a record of it"))
    return doomed


def orphaned_names(tools: Tools, found_everywhere: list[Found]) -> list[Marked]:
    """Names whose workshop exists nowhere any more: each leads to somebody else's machine soon."""
    if not isinstance(tools.dns, FindsMarks):
        return []
    alive = {found.id for found in found_everywhere} | _known_ids(tools)
    return [mark for mark in tools.dns.strays() if mark.workshop_id not in alive]


def everywhere(tools: Tools) -> list[Found]:
    """What exists, asked once: it may mean every region of an account."""
    provider = tools.provider
    if isinstance(provider, DiscoversEverywhere):
        return provider.discover_everywhere()
    return provider.discover() if isinstance(provider, Discovers) else []


def _known_ids(tools: Tools) -> set[str]:
    ids = set()
    for name in tools.store.names():
        try:
            record = tools.store.load(name)
        except CorruptRecord:
            continue
        if record is not None:
            ids.add(record.id)
    return ids
