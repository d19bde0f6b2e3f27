"""What the name servers serve: the registry's own zone, and those of the fake Route 53."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dns.name
import dns.rdatatype
import dns.rrset

from tests.twin.network import CA, REGISTRY

TOP = dns.name.from_text("test")
REGISTRY_HOST = "ns.registry.test."
CA_HOST = "acme.test"
APEX = ("NS", "SOA")


@dataclass(frozen=True, slots=True)
class Zone:
    name: dns.name.Name
    servers: tuple[str, ...]  # host names, with their last dots
    sets: tuple[dns.rrset.RRset, ...]

    @classmethod
    def make(cls, name: dns.name.Name, hosts: Sequence[str], *sets: dns.rrset.RRset) -> Zone:
        """With the records that every zone has at its top; the numbers are Route 53's."""
        servers = tuple(f"{host.rstrip('.')}." for host in hosts)
        soa = f"{servers[0]} hostmaster.registry.test. 1 7200 900 1209600 86400"
        apex = (rrset(name, "SOA", soa), rrset(name, "NS", *servers, ttl=172_800))
        return cls(name, servers, (*apex, *sets))

    def find(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        wanted = (kind, dns.rdatatype.CNAME)
        return next((one for one in self.sets if one.name == name and one.rdtype in wanted), None)

    def exists(self, name: dns.name.Name) -> bool:
        return any(one.name.is_subdomain(name) for one in self.sets)


def rrset(name: dns.name.Name | str, kind: str, *values: str, ttl: int = 900) -> dns.rrset.RRset:
    absolute = dns.name.from_text(name) if isinstance(name, str) else name
    return dns.rrset.from_text(absolute, ttl, "IN", kind, *values)


TOP_ZONE = Zone.make(
    TOP, [REGISTRY_HOST], rrset(REGISTRY_HOST, "A", REGISTRY), rrset(CA_HOST, "A", CA)
)


@dataclass(frozen=True, slots=True)
class Zones:
    hosted: tuple[Zone, ...]

    def holding(self, name: dns.name.Name) -> Zone | None:
        found = [zone for zone in self.hosted if name.is_subdomain(zone.name)]
        return max(found, key=lambda zone: len(zone.name), default=None)

    def serves(self, host: dns.name.Name) -> bool:
        """Whether a zone is delegated to this host."""
        return any(host.to_text().lower() in zone.servers for zone in self.hosted)


def route53(client: Any) -> list[Zone]:
    """Everything that the fake holds now. `client` is boto3's.

    What it holds at a zone's top is not in a zone file's form, so that part comes from us.
    """
    zones = []
    for zone in client.list_hosted_zones()["HostedZones"]:
        hosts = client.get_hosted_zone(Id=zone["Id"])["DelegationSet"]["NameServers"]
        sets = client.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
        ours = [one for one in sets if one.get("ResourceRecords") and one["Type"] not in APEX]
        zones.append(Zone.make(dns.name.from_text(zone["Name"]), hosts, *map(_rrset, ours)))
    return zones


def _rrset(said: dict[str, Any]) -> dns.rrset.RRset:
    values = (record["Value"] for record in said["ResourceRecords"])
    return rrset(said["Name"], said["Type"], *values, ttl=said["TTL"])
