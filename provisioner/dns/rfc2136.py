"""Dynamic updates (RFC 2136) signed with TSIG (RFC 8945), over TCP, to the zone's primary.

Every update carries its conditions: that nothing is there, or that our mark is. The primary
checks them and changes all or nothing, so nobody's record is overwritten and there is nothing to
repair after a kill.
"""

from __future__ import annotations

import shlex
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

import dns.name
import dns.update

from provisioner.dns import marks
from provisioner.dns.authoritative import Authorities
from provisioner.dns.delegation import check_delegation
from provisioner.dns.primary import Primary
from provisioner.dns.query import NameServer, hosts, values
from provisioner.dns.tsig import Key, check_privacy, read_key
from provisioner.errors import NotReady, Refused
from provisioner.models import DnsOptions, Finding, Findings, Resource, Severity

LEADS = ("A", "AAAA", "CNAME")


class Rfc2136Dns:
    name = "rfc2136"

    def __init__(self, options: DnsOptions, authorities: Authorities | None = None) -> None:
        self._options = options
        self._authorities = authorities or Authorities()

    def check(self, hostname: str, workshop_id: str) -> Findings:
        findings: list[Finding] = []
        try:
            findings += self._check_key()
            zone = self._zone(hostname)
            own = frozenset(hosts(self._primary.ask(zone, "NS")))
            sentence = self._somebody_else(zone, hostname, workshop_id)
        except (Refused, NotReady) as error:
            return (*findings, Finding(Severity.ERROR, "dns", error.message, error.hint))
        if sentence:
            findings.append(marks.taken(sentence, takeover=self._options.takeover))
        findings += check_delegation(self._authorities, zone, own, lacking=Severity.WARNING)
        return tuple(findings)

    def point(self, hostname: str, address: str, workshop_id: str) -> None:
        zone = self._zone(hostname)
        rdtype, mark = marks.record_type(address), marks.mark_name(hostname)
        attempts = [self._if_free(zone, hostname), self._if_ours(zone, hostname, workshop_id)]
        if self._options.takeover:
            attempts.append(self._primary.update(zone))
        for update in attempts:
            for lead in LEADS:
                update.delete(_name(hostname), lead)
            update.delete(_name(mark), "TXT")
            update.add(_name(hostname), self._options.ttl, rdtype, address)
            update.add(_name(mark), self._options.ttl, "TXT", marks.mark_value(workshop_id))
            if self._primary.send(update):
                return
        raise marks.refusal(self._whose(hostname))

    def settled(self, hostname: str, address: str) -> None:
        zone = self._zone(hostname)
        listed = self._authorities.servers(hosts(self._primary.ask(zone, "NS")))
        self._authorities.require((self._primary.server, *listed), hostname, address)

    def clear(self, hostname: str, workshop_id: str) -> None:
        zone = self._zone(hostname)
        update = self._if_ours(zone, hostname, workshop_id)
        for lead in LEADS:
            update.delete(_name(hostname), lead)
        update.delete(_name(marks.mark_name(hostname)), "TXT")
        self._primary.send(update)  # not ours: there is nothing to clear

    def leftovers(self, hostname: str, workshop_id: str) -> list[Resource]:
        mark = marks.mark_name(hostname)
        found = values(self._primary.ask(mark, "TXT"), "TXT")
        if not marks.is_ours(found, workshop_id):
            return []
        zone = self._zone(hostname)
        records = [(hostname, rdtype, value) for rdtype, value in self._leads(hostname)]
        records.append((mark, "TXT", " ".join(found)))
        return [
            Resource("DNS record", " ".join(record), self._delete_command(zone, *record[:2]))
            for record in records
        ]

    @cached_property
    def _primary(self) -> Primary:
        return Primary(self._server(), self._key())

    def _server(self) -> NameServer:
        host, port = split_port(self._options.server)
        try:
            return NameServer(host, (str(ip_address(host)),), port)
        except ValueError:
            return self._authorities.server(host, port)

    def _key(self) -> Key | None:
        return read_key(Path(self._options.key_file)) if self._options.key_file else None

    def _check_key(self) -> Findings:
        if not self._options.key_file:
            message = "updates go unsigned, so anybody who can send from this address can make them"
            hint = "[dns] key_file = a file that tsig-keygen wrote"
            return (Finding(Severity.WARNING, "dns", message, hint),)
        return check_privacy(Path(self._options.key_file))

    def _zone(self, hostname: str) -> str:
        return self._options.zone.rstrip(".") or self._primary.zone_of(hostname)

    def _if_free(self, zone: str, hostname: str) -> dns.update.UpdateMessage:
        update = self._primary.update(zone)
        for lead in LEADS:
            update.absent(_name(hostname), lead)
        update.absent(_name(marks.mark_name(hostname)), "TXT")
        return update

    def _if_ours(self, zone: str, hostname: str, workshop_id: str) -> dns.update.UpdateMessage:
        update = self._primary.update(zone)
        update.present(_name(marks.mark_name(hostname)), "TXT", marks.mark_value(workshop_id))
        return update

    def _somebody_else(self, zone: str, hostname: str, workshop_id: str) -> str:
        """Whose the name is; "" when it is free or ours. Changes nothing.

        Where nothing is, deleting it is the one question that only somebody gets answered who may
        write there. Asked as an update, a wildcard's answers are not mistaken for a record.
        """
        rehearsal = self._if_free(zone, hostname)
        rehearsal.delete(_name(hostname), "A")
        rehearsal.delete(_name(marks.mark_name(hostname)), "TXT")
        if self._primary.send(rehearsal):
            return ""
        if self._primary.send(self._if_ours(zone, hostname, workshop_id)):
            return ""
        return self._whose(hostname)

    def _whose(self, hostname: str) -> str:
        leads = [value for _, value in self._leads(hostname)]
        found = values(self._primary.ask(marks.mark_name(hostname), "TXT"), "TXT")
        return marks.whose(hostname, leads, found)

    def _leads(self, hostname: str) -> list[tuple[str, str]]:
        return [
            (rdtype, value)
            for rdtype in LEADS
            for value in values(self._primary.ask(hostname, rdtype), rdtype, owner=hostname)
        ]

    def _delete_command(self, zone: str, name: str, rdtype: str) -> str:
        host, port = split_port(self._options.server)
        lines = [f"server {host} {port}", f"zone {zone}", f"update delete {name}. {rdtype}", "send"]
        words = ["nsupdate", "-v"]
        if self._options.key_file:
            words += ["-k", self._options.key_file]
        return f"printf '%s\\n' {shlex.join(lines)} | {shlex.join(words)}"


def split_port(server: str) -> tuple[str, int]:
    """Host and port of "host", "host:port", "[2001:db8::1]:port" or a bare address."""
    host, colon, port = server.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return server.strip("[]"), 53


def _name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)
