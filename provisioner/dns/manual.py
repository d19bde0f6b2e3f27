"""A person keeps the name: we say which record to make, and watch until it is there.

Nothing here writes, so nothing is ours to delete; `reminder` is for the end of the workshop.
"""

from __future__ import annotations

from provisioner.dns.authoritative import Authorities
from provisioner.dns.marks import record_type
from provisioner.errors import NotReady, NotYet
from provisioner.models import DnsOptions, Finding, Findings, Resource, Severity


class ManualDns:
    name = "manual"

    def __init__(self, options: DnsOptions, authorities: Authorities | None = None) -> None:
        self._options = options
        self._authorities = authorities or Authorities()

    def check(self, hostname: str, workshop_id: str) -> Findings:
        try:
            leads = self._leads(hostname)
        except NotReady as error:
            return (Finding(Severity.WARNING, "dns", error.message, error.hint),)
        if leads:
            now = f"{hostname} leads to {', '.join(leads)} now"
            message = f"{now}; you will be asked to change it once the machine has its address"
        else:
            message = f"you will be asked to make the record of {hostname} during the launch"
        return (Finding(Severity.INFO, "dns", message),)

    def point(self, hostname: str, address: str, workshop_id: str) -> None: ...

    def settled(self, hostname: str, address: str) -> None:
        try:
            zone = self._authorities.zone_of(hostname, self._options.zone)
            self._authorities.require(zone.servers, hostname, address)
        except NotYet as error:
            asked = self.instruction(hostname, address)
            raise NotYet(f"{asked} ({error.message})", details=error.details) from None

    def clear(self, hostname: str, workshop_id: str) -> None: ...

    def leftovers(self, hostname: str, workshop_id: str) -> list[Resource]:
        return []

    def instruction(self, hostname: str, address: str) -> str:
        """The record to make, as a zone file has it."""
        record = f"{hostname}. {self._options.ttl} IN {record_type(address)} {address}"
        return f"make this record: {record}"

    def reminder(self, hostname: str) -> str:
        """What to say after teardown; "" when the record is gone or nobody can tell."""
        try:
            leads = self._leads(hostname)
        except NotReady:
            return ""
        if not leads:
            return ""
        return (
            f"{hostname} still leads to {', '.join(leads)}, an address that somebody else may "
            "get next: delete that record"
        )

    def _leads(self, hostname: str) -> tuple[str, ...]:
        servers = self._authorities.zone_of(hostname, self._options.zone).servers
        return tuple(
            value
            for rdtype in ("A", "AAAA")
            for value in self._authorities.look(servers, hostname, rdtype)
        )
