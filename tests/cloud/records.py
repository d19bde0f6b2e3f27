"""Route 53: record sets changed in transactions, and changes that take their time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import xmltodict
from moto.route53.models import FakeZone, RecordSet

from tests.cloud import answers, state
from tests.cloud.answers import Answer, Refusal
from tests.cloud.call import Call
from tests.cloud.clock import CLOCK
from tests.cloud.settings import Settings

Key = tuple[str, str, str | None]


class Records:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.changes: dict[str, tuple[float, str]] = {}

    def change(self, call: Call) -> Answer:
        zone = state.hosted_zone(call.params.get("HostedZoneId") or call.params["Id"])
        if zone is None:
            raise Refusal("NoSuchHostedZone", "No hosted zone found with that ID")
        batch = xmltodict.parse(call.body)["ChangeResourceRecordSetsRequest"]["ChangeBatch"]
        changes = [(c["Action"], _record(c["ResourceRecordSet"])) for c in _many(batch, "Change")]
        call.facts["changes"] = "; ".join(
            f"{verb} {record.name} {record.type} {record.ttl} {' '.join(record.records)}"
            for verb, record in changes
        )
        zone.rrsets = _after(zone, changes)
        change_id = f"C{uuid4().hex[:20].upper()}"
        self.changes[change_id] = CLOCK.now(), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}"
        return self._info("ChangeResourceRecordSetsResponse", change_id)

    def get_change(self, call: Call) -> Answer:
        change_id = call.params["Id"]
        if change_id not in self.changes:
            words = f"Could not find resource with ID: {change_id}"
            raise Refusal("NoSuchChange", words)
        return self._info("GetChangeResponse", change_id)

    def _info(self, name: str, change_id: str) -> Answer:
        since, submitted = self.changes[change_id]
        status = "INSYNC" if CLOCK.now() - since >= self.settings.insync else "PENDING"
        inside = f"<Id>/change/{change_id}</Id><Status>{status}</Status>"
        inside += f"<SubmittedAt>{submitted}</SubmittedAt>"
        return answers.route53(name, f"<ChangeInfo>{inside}</ChangeInfo>")


def _after(zone: FakeZone, changes: list[tuple[str, RecordSet]]) -> list[RecordSet]:
    """All changes made, or a refusal that names every wrong one."""
    there: dict[Key, RecordSet] = {_key(one): one for one in zone.rrsets}
    wrong = []
    for verb, record in changes:
        key, what = _key(record), f"resource record set [name='{record.name}', type='{record.type}'"
        what += f", set-identifier='{record.set_identifier}']" if record.set_identifier else "]"
        if not f".{record.name}".endswith(f".{zone.name.rstrip('.')}."):
            wrong.append(f"RRSet with DNS name {record.name} is not permitted in zone {zone.name}")
        elif verb == "CREATE" and key in there:
            wrong.append(f"Tried to create {what} but it already exists")
        elif verb == "DELETE" and key not in there:
            wrong.append(f"Tried to delete {what} but it was not found")
        elif verb == "DELETE" and _content(there[key]) != _content(record):
            wrong.append(
                f"Tried to delete {what} but the values provided do not match the current values"
            )
        elif record.type != "CNAME" and (key[0], "CNAME", None) in there and verb != "DELETE":
            wrong.append(
                f"RRSet of type {record.type} with DNS name {record.name} is not permitted as it "
                "conflicts with other records with the same DNS name"
            )
        elif verb == "DELETE":
            del there[key]
        else:
            there[key] = record
    if wrong:
        raise Refusal("InvalidChangeBatch", f"[{', '.join(wrong)}]")
    return list(there.values())


def _record(said: dict[str, Any]) -> RecordSet:
    plain = {k: v for k, v in said.items() if k not in ("ResourceRecords", "TTL")}
    plain["Name"] = _octal(said["Name"].rstrip(".").lower() + ".")
    if "TTL" in said:
        plain["TTL"] = int(said["TTL"])
    inside = said.get("ResourceRecords") or {}
    plain["ResourceRecords"] = [one["Value"] for one in _many(inside, "ResourceRecord", "")]
    return RecordSet(plain)


def _many(parent: dict[str, Any], name: str, around: str = "Changes") -> Iterator[Any]:
    inside = (parent.get(around) or {}) if around else parent
    found = inside.get(name, [])
    yield from found if isinstance(found, list) else [found]


def _octal(name: str) -> str:
    """Route 53 stores a wildcard, and what else is unusual in a name, escaped."""
    return re.sub(r"[^a-z0-9_.\\-]", lambda found: f"\\{ord(found[0]):03o}", name)


def _key(record: RecordSet) -> Key:
    return record.name.lower().rstrip(".") + ".", str(record.type), record.set_identifier


def _content(record: RecordSet) -> tuple[Any, ...]:
    ttl = None if record.ttl is None else int(record.ttl)
    return ttl, sorted(record.records or []), record.alias_target, record.weight
