"""Whose a name is: a TXT record beside it carries the workshop's id, and nothing else counts.

An address alone proves nothing: clouds hand the same ones out again.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from provisioner.errors import Refused
from provisioner.models import Finding, Severity

LABEL = "_provision"
PREFIX = "provision="


def mark_name(hostname: str) -> str:
    return f"{LABEL}.{hostname}"


def mark_value(workshop_id: str) -> str:
    """The TXT record's data in a zone file's form, quotes included."""
    return f'"{PREFIX}{workshop_id}"'


def marked_id(value: str) -> str:
    """Which workshop a TXT record's data (quoted) names; "" for any other text."""
    text = value.strip('"')
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else ""


def record_type(address: str) -> str:
    return "A" if ip_address(address).version == 4 else "AAAA"


def is_ours(marks: Iterable[str], workshop_id: str) -> bool:
    return set(marks) == {mark_value(workshop_id)}


def whose(hostname: str, leads: Iterable[str], marks: Iterable[str]) -> str:
    """One sentence about a name that is not this workshop's."""
    where = ", ".join(leads) or "no address"
    ids = [found for found in map(marked_id, marks) if found]
    if ids:
        return f"{hostname} leads to {where} already, for another workshop ({', '.join(ids)})"
    return f"{hostname} leads to {where} already, and is not of provision's making"


def refusal(sentence: str) -> Refused:
    return Refused(sentence, hint="another [dns] hostname, or --takeover to replace that record")


def taken(sentence: str, *, takeover: bool) -> Finding:
    if takeover:
        return Finding(Severity.WARNING, "dns", f"{sentence}; --takeover replaces it")
    refused = refusal(sentence)
    return Finding(Severity.ERROR, "dns", refused.message, refused.hint)
