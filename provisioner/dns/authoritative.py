"""Which servers have the last word about a name, and what each of them says.

From the topmost zone that this machine's resolver knows, we follow referrals down ourselves: so
the resolver hears of that one zone and of name servers' hosts, never of the workshop's name, nor
of a name between that may not exist (RFC 8020: then nothing beneath it does, for the cache).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from provisioner.dns.query import NameServer, Silent, ask, authoritative, hosts, values
from provisioner.dns.resolver import Resolver
from provisioner.errors import NotYet

DEEPEST = 16  # referrals; a loop of them would be the zone's fault, not a reason to hang


@dataclass(frozen=True, slots=True)
class Zone:
    name: str
    servers: tuple[NameServer, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a zone begins, in the words of the zone above it."""

    zone: dns.name.Name
    hosts: tuple[str, ...]
    glue: dict[str, tuple[str, ...]] = field(default_factory=dict)  # host → addresses


class Authorities:
    """`port` is where name servers listen that are known by name only."""

    def __init__(self, resolver: Resolver | None = None, port: int = 53) -> None:
        self._resolver = resolver or Resolver()
        self._port = port
        self._found: dict[str, Zone] = {}  # whoever polls shall not ask the registry each second

    def zone_of(self, hostname: str, zone: str = "") -> Zone:
        """The zone that holds `hostname`, with every server that anybody is sent to.

        That is what the zone above says and what the zone itself says, which may differ.
        `zone` is where to begin, if known. Raises NotYet when no server answers from here.
        """
        if hostname in self._found:
            return self._found[hostname]
        name = dns.name.from_text(hostname)
        starts = [dns.name.from_text(zone)] if zone else _above(name)
        failure = NotYet(
            f"Who serves {hostname} can't be found: this machine's resolver knows no zone above it",
            hint="is this machine online? [dns] zone = names the zone",
        )
        for start in self._known(starts):
            try:
                *_, cut = self._cuts(start, name)
                own = hosts(self._heard(cut, cut.zone, "NS"))
            except NotYet as error:
                failure = error
                continue
            names = sorted({*cut.hosts, *own})
            found = Zone(_text(cut.zone), tuple(self._server(host, cut) for host in names))
            if all(server.addresses for server in found.servers):
                self._found[hostname] = found
            return found
        raise failure

    def delegation(self, zone: str) -> frozenset[str]:
        """The name servers that the zone above names; none when it does not know `zone`.

        Raises NotYet when no server above answers from here.
        """
        name = dns.name.from_text(zone)
        failure: NotYet | None = None
        for start in self._known([*_above(name), name]):
            try:
                for cut in self._cuts(start, name):
                    if cut.zone == name:
                        return frozenset(cut.hosts)
            except NotYet as error:
                failure = error
            else:
                return frozenset()
        if failure:
            raise failure
        return frozenset()

    def servers(self, names: Iterable[str]) -> tuple[NameServer, ...]:
        return tuple(self.server(name) for name in sorted(names))

    def server(self, name: str, port: int = 0) -> NameServer:
        return NameServer(name, self._resolver.addresses(name), port or self._port)

    def look(self, servers: Iterable[NameServer], name: str, rdtype: str) -> tuple[str, ...]:
        """What the first of `servers` that answers holds of that type. Raises NotYet."""
        for server in servers:
            for address in server.addresses:
                try:
                    message = ask(address, server.port, name, rdtype)
                except Silent:
                    continue
                if authoritative(message):
                    return values(message, rdtype)
        raise NotYet(f"No name server of {name} answers from here")

    def require(self, servers: tuple[NameServer, ...], hostname: str, address: str) -> None:
        """Raises NotYet, naming the server, until each says `address` and no other one."""
        with ThreadPoolExecutor(max_workers=max(1, len(servers))) as pool:
            verdicts = list(pool.map(lambda each: _verdict(each, hostname, address), servers))
        wrong = [verdict for verdict in verdicts if verdict]
        if wrong or not servers:
            agreed = f"{len(servers) - len(wrong)} of {len(servers)} name servers agree"
            first = f": {wrong[0]}" if wrong else ""
            raise NotYet(agreed + first, details=tuple(wrong))

    def _known(self, zones: Iterable[dns.name.Name]) -> Iterator[Cut]:
        for zone in zones:
            if found := self._resolver.name_servers(_text(zone)):
                yield Cut(zone, found)

    def _cuts(self, start: Cut, name: dns.name.Name) -> Iterator[Cut]:
        """`start` and every cut beneath it, down to the zone that holds `name`."""
        cut: Cut | None = start
        for _ in range(DEEPEST):
            if cut is None:
                return
            yield cut
            cut = self._below(cut, name)

    def _below(self, cut: Cut, name: dns.name.Name) -> Cut | None:
        message = self._heard(cut, name, "SOA")
        if (referral := _referral(message, cut, name)) is not None:
            return referral
        for rrset in (*message.answer, *message.authority):
            deeper = rrset.name != cut.zone and rrset.name.is_subdomain(cut.zone)
            if rrset.rdtype == dns.rdatatype.SOA and deeper and name.is_subdomain(rrset.name):
                # This server serves the zone below as well, and so answers without a referral.
                return Cut(rrset.name, hosts(self._heard(cut, rrset.name, "NS")))
        return None

    def _heard(self, cut: Cut, name: dns.name.Name, rdtype: str) -> dns.message.Message:
        """The first answer or referral of a server of that zone."""
        why = "none of them has an address"
        for host in cut.hosts:
            server = self._server(host, cut)
            for address in server.addresses:
                try:
                    message = ask(address, server.port, _text(name), rdtype)
                except Silent as error:
                    why = f"{host} {error}"
                    continue
                if authoritative(message) or _referral(message, cut, name):
                    return message
                why = f"{host} {_no_authority(message)}"
        raise NotYet(
            f"No name server of {_text(cut.zone) or 'the root'} answers from here: {why}",
            hint="does this network let DNS (port 53) out?",
        )

    def _server(self, host: str, cut: Cut) -> NameServer:
        found = self._resolver.addresses(host) or cut.glue.get(host, ())
        return NameServer(host, found, self._port)


def _verdict(server: NameServer, hostname: str, address: str) -> str:
    """What is wrong with the server's answer; "" when nothing is.

    One of its addresses will do where others are silent: those are often IPv6, seen from a
    network without it.
    """
    why = f"{server.name} has no address"
    right = False
    for place in server.addresses:
        try:
            said = [ask(place, server.port, hostname, rdtype) for rdtype in ("A", "AAAA")]
        except Silent as error:
            why = f"{server.name} {error}"
            continue
        for message in said:
            if not authoritative(message):
                return f"{server.name} {_no_authority(message)}"
        found = [*values(said[0], "A"), *values(said[1], "AAAA")]
        if {ip_address(each) for each in found} != {ip_address(address)}:
            aliases = hosts(said[0], "CNAME")
            says = ", ".join(found) or (f"alias of {aliases[0]}" if aliases else "no address")
            return f"{server.name} says of {hostname}: {says}"
        right = True
    return "" if right else why


def _referral(message: dns.message.Message, cut: Cut, name: dns.name.Name) -> Cut | None:
    if message.answer or message.rcode() != dns.rcode.NOERROR:
        return None
    for rrset in message.authority:
        deeper = rrset.name != cut.zone and rrset.name.is_subdomain(cut.zone)
        if rrset.rdtype == dns.rdatatype.NS and deeper and name.is_subdomain(rrset.name):
            named = tuple(sorted(_text_of(record.to_text()) for record in rrset))
            return Cut(rrset.name, named, _glue(message))
    return None


def _glue(message: dns.message.Message) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for rrset in message.additional:
        if rrset.rdtype in {dns.rdatatype.A, dns.rdatatype.AAAA}:
            host = _text(rrset.name)
            found[host] = found.get(host, ()) + tuple(record.to_text() for record in rrset)
    return found


def _no_authority(message: dns.message.Message) -> str:
    if message.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return f"answers {dns.rcode.to_text(message.rcode())}: it does not serve this zone"
    return "answers without authority: it does not serve this zone, or a proxy stands between"


def _above(name: dns.name.Name) -> list[dns.name.Name]:
    """Every zone that may hold `name`, the topmost first, without the root and `name` itself."""
    labels = name.relativize(dns.name.root).labels
    return [dns.name.Name((*labels[-count:], b"")) for count in range(1, len(labels))]


def _text(name: dns.name.Name) -> str:
    return _text_of(name.to_text())


def _text_of(text: str) -> str:
    return text.rstrip(".").lower()
