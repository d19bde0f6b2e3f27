"""Amazon Route 53. Address and mark are made, changed and deleted in one transaction each.

DELETE names the exact record that was read and CREATE fails where there is one, so a change that
somebody else made meanwhile is never overwritten: the whole batch fails, and is read anew.
Amazon Route 53 API Reference: ChangeResourceRecordSets, GetChange, ListResourceRecordSets.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from provisioner.dns import marks
from provisioner.dns.authoritative import Authorities
from provisioner.dns.delegation import check_delegation
from provisioner.dns.route53_errors import translated
from provisioner.errors import NotReady, NotYet, Refused
from provisioner.models import DnsOptions, Finding, Findings, Marked, Resource, Severity

Record = dict[str, Any]  # a ResourceRecordSet, as the API has it

LEADS = frozenset({"A", "AAAA", "CNAME"})
ATTEMPTS = 4  # of boto3, a few seconds together; it knows PriorRequestNotComplete and Throttling


@dataclass(frozen=True, slots=True)
class Held:
    """What the zone says about one name."""

    leads: list[Record]
    marks: list[Record]

    def is_ours(self, workshop_id: str) -> bool:
        return marks.is_ours((value for each in self.marks for value in _values(each)), workshop_id)

    def is_free(self) -> bool:
        return not self.leads and not self.marks

    def whose(self, hostname: str) -> str:
        return marks.whose(
            hostname,
            [value for each in self.leads for value in _values(each)],
            [value for each in self.marks for value in _values(each)],
        )


class Route53Dns:
    name = "route53"

    def __init__(
        self, options: DnsOptions, *, profile: str = "", authorities: Authorities | None = None
    ) -> None:
        self._options, self._profile = options, profile
        self._authorities = authorities or Authorities()
        self._change = ""  # the last change of this process; another one asks the servers only
        self._listed: dict[str, frozenset[str]] = {}  # host name → its zone's name servers

    def check(self, hostname: str, workshop_id: str) -> Findings:
        try:
            zone = self._zone(hostname)
            held = self._held(zone, hostname)
            servers = self._name_servers(zone)
        except (Refused, NotReady) as error:
            return (Finding(Severity.ERROR, "dns", error.message, error.hint),)
        findings = list(
            check_delegation(
                self._authorities, _plain(zone["Name"]), servers, lacking=Severity.ERROR
            )
        )
        if not (held.is_free() or held.is_ours(workshop_id)):
            findings.append(marks.taken(held.whose(hostname), takeover=self._options.takeover))
        return tuple(findings)

    def point(self, hostname: str, address: str, workshop_id: str) -> None:
        zone = self._zone(hostname)
        held = self._held(zone, hostname)
        ours = held.is_ours(workshop_id)
        if not (ours or held.is_free() or self._options.takeover):
            raise marks.refusal(held.whose(hostname))
        lead = self._record(hostname, marks.record_type(address), address)
        mark = self._record(marks.mark_name(hostname), "TXT", marks.mark_value(workshop_id))
        self._replace(zone, [*held.leads, *held.marks], [lead, mark])

    def settled(self, hostname: str, address: str) -> None:
        if self._change:
            with translated(self._profile):
                change = self._client.get_change(Id=self._change)["ChangeInfo"]
            if change["Status"] != "INSYNC":
                raise NotYet("Route 53 has not brought the change to all of its servers yet")
        if hostname not in self._listed:
            self._listed[hostname] = self._name_servers(self._zone(hostname))
        servers = self._authorities.servers(self._listed[hostname])
        try:
            self._authorities.require(servers, hostname, address)
        except NotYet as error:
            heard = any(f" says of {hostname}" in line for line in error.details)
            if heard or not self._change:
                raise
            # Nobody can be heard from this network; INSYNC is Route 53's own word for all of them.

    def clear(self, hostname: str, workshop_id: str) -> None:
        for zone, held in self._ours(hostname, workshop_id):
            self._replace(zone, [*held.leads, *held.marks], [])

    def leftovers(self, hostname: str, workshop_id: str) -> list[Resource]:
        return [
            Resource("DNS record", _words(record), self._delete_command(zone, record))
            for zone, held in self._ours(hostname, workshop_id)
            for record in (*held.leads, *held.marks)
        ]

    def strays(self) -> list[Marked]:
        """Every name in this account's public zones that carries a workshop's mark."""
        found = []
        for zone in self._zones():
            for record in self._records(zone):
                name = _plain(record["Name"])
                if record["Type"] != "TXT" or not name.startswith(f"{marks.LABEL}."):
                    continue
                hostname = name.removeprefix(f"{marks.LABEL}.")
                ids = filter(None, map(marks.marked_id, _values(record)))
                found += [Marked(hostname, workshop_id) for workshop_id in ids]
        return found

    def zones(self) -> list[str]:
        """The names of this account's public zones."""
        return sorted(_plain(zone["Name"]) for zone in self._zones())

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=5,
            read_timeout=20,
        )
        with translated(self._profile):
            session = boto3.Session(profile_name=self._profile or None)
            return session.client("route53", config=config)

    def _zones(self) -> list[Record]:
        with translated(self._profile):
            pages = self._client.get_paginator("list_hosted_zones").paginate()
            zones = [zone for page in pages for zone in page["HostedZones"]]
        return [zone for zone in zones if not zone.get("Config", {}).get("PrivateZone")]

    def _zone(self, hostname: str) -> Record:
        """The longest public zone that holds the name; of two alike, the one delegated to."""
        wanted = self._options.zone.rstrip(".").lower()
        holding = [
            zone
            for zone in self._zones()
            if f".{hostname}".endswith(f".{_plain(zone['Name'])}")
            and wanted in {"", _plain(zone["Name"])}
        ]
        if not holding:
            raise NoZone(
                f"This AWS account has no public hosted zone {wanted or 'that holds'} "
                f"{'for ' if wanted else ''}{hostname}",
                hint="aws route53 list-hosted-zones; another account: [aws] profile",
            )
        longest = max(len(zone["Name"]) for zone in holding)
        holding = [zone for zone in holding if len(zone["Name"]) == longest]
        if len(holding) > 1:
            told = self._authorities.delegation(_plain(holding[0]["Name"]))
            holding.sort(key=lambda zone: not told & self._name_servers(zone))
        return holding[0]

    def _name_servers(self, zone: Record) -> frozenset[str]:
        with translated(self._profile):
            answer = self._client.get_hosted_zone(Id=zone["Id"])
        return frozenset(_plain(name) for name in answer["DelegationSet"]["NameServers"])

    def _records(self, zone: Record, first: str = "") -> Iterator[Record]:
        """From the name `first` on, in the API's order: by labels from the right."""
        start = {"StartRecordName": first} if first else {}
        with translated(self._profile):
            pages = self._client.get_paginator("list_resource_record_sets").paginate(
                HostedZoneId=zone["Id"], **start
            )
            for page in pages:
                yield from page["ResourceRecordSets"]

    def _held(self, zone: Record, hostname: str) -> Held:
        return Held(
            self._at(zone, hostname, LEADS),
            self._at(zone, marks.mark_name(hostname), frozenset({"TXT"})),
        )

    def _at(self, zone: Record, name: str, types: frozenset[str]) -> list[Record]:
        found = []
        for record in self._records(zone, name):
            if _plain(record["Name"]) != name:
                break
            if record["Type"] in types:
                found.append(record)
        return found

    def _ours(self, hostname: str, workshop_id: str) -> list[tuple[Record, Held]]:
        """The zone and what is ours in it: one or none."""
        try:
            zone = self._zone(hostname)
        except NoZone as error:
            self._prove_absent(hostname, workshop_id, error)
            return []
        held = self._held(zone, hostname)
        return [(zone, held)] if held.is_ours(workshop_id) else []

    def _prove_absent(self, hostname: str, workshop_id: str, error: NoZone) -> None:
        """No zone may mean that it was deleted, or that this is another account: DNS knows."""
        try:
            servers = self._authorities.zone_of(hostname).servers
            found = self._authorities.look(servers, marks.mark_name(hostname), "TXT")
        except NotYet:
            raise error from None
        if marks.is_ours(found, workshop_id):
            raise error

    def _record(self, name: str, rdtype: str, value: str) -> Record:
        return {
            "Name": name,
            "Type": rdtype,
            "TTL": self._options.ttl,
            "ResourceRecords": [{"Value": value}],
        }

    def _replace(self, zone: Record, old: list[Record], new: list[Record]) -> None:
        """One transaction from the records that were read to those that shall be."""
        gone = [each for each in old if _key(each) not in map(_key, new)]
        come = [each for each in new if _key(each) not in map(_key, old)]
        changes = [{"Action": "DELETE", "ResourceRecordSet": each} for each in gone]
        changes += [{"Action": "CREATE", "ResourceRecordSet": each} for each in come]
        if not changes:
            return
        with translated(self._profile):
            answer = self._client.change_resource_record_sets(
                HostedZoneId=zone["Id"], ChangeBatch={"Comment": "provision", "Changes": changes}
            )
        self._change = answer["ChangeInfo"]["Id"]

    def _delete_command(self, zone: Record, record: Record) -> str:
        batch = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": record}]}
        words = ["aws", "route53", "change-resource-record-sets"]
        words += ["--hosted-zone-id", zone["Id"].rpartition("/")[2]]
        words += ["--change-batch", json.dumps(batch)]
        return shlex.join(words + (["--profile", self._profile] if self._profile else []))


class NoZone(Refused):
    """The account that these credentials belong to does not hold the name."""


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


def _values(record: Record) -> list[str]:
    if alias := record.get("AliasTarget"):
        return [f"the alias {_plain(alias['DNSName'])}"]
    return [item["Value"] for item in record.get("ResourceRecords", ())]


def _key(record: Record) -> str:
    return json.dumps(record | {"Name": _plain(record["Name"])}, sort_keys=True)


def _words(record: Record) -> str:
    return f"{_plain(record['Name'])} {record['Type']} {' '.join(_values(record))}"
