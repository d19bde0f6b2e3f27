"""This machine's recursive resolver, as far as we may ask it: about zones and their servers.

It is never asked about a workshop's name. It would remember that there was none, for as long as
the zone's SOA says (15 minutes in Route 53), and tell that to everybody in the room.
"""

from __future__ import annotations

from collections.abc import Sequence

import dns.exception
import dns.name
import dns.resolver

from provisioner.errors import NotReady

LIFETIME = 4.0  # seconds for one question, all of the resolver's servers together


class Resolver:
    """`nameservers` are addresses to ask instead of those in /etc/resolv.conf."""

    def __init__(self, nameservers: Sequence[str] = (), port: int = 53) -> None:
        self._nameservers, self._port = nameservers, port

    def name_servers(self, zone: str) -> tuple[str, ...]:
        """Host names, lower case without the last dot; () when the resolver knows none."""
        return self._ask(zone, "NS")

    def addresses(self, host: str) -> tuple[str, ...]:
        """IPv4 before IPv6; () when the resolver knows none."""
        return self._ask(host, "A") + self._ask(host, "AAAA")

    def _ask(self, name: str, rdtype: str) -> tuple[str, ...]:
        try:
            # An absolute name, so that no search domain is appended to it.
            answer = self._resolver().resolve(
                dns.name.from_text(name), rdtype, raise_on_no_answer=False, lifetime=LIFETIME
            )
        except dns.exception.DNSException:
            return ()  # not there, or nobody answers: either way there is nothing to go on with
        found = (record.to_text().rstrip(".").lower() for record in answer.rrset or ())
        return tuple(sorted(found))

    def _resolver(self) -> dns.resolver.Resolver:
        if self._nameservers:
            resolver = dns.resolver.Resolver(configure=False)
            resolver.nameservers = list(self._nameservers)
            resolver.port = self._port
            return resolver
        try:
            return dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            raise NotReady(
                "This machine knows no name server, so no name can be looked up",
                hint="see /etc/resolv.conf",
            ) from None
