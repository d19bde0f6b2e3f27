"""The server that takes updates: one signed exchange at a time, and its refusals in words."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from provisioner.dns.query import NameServer
from provisioner.dns.tsig import Key
from provisioner.errors import NotYet, ProvisionError, Refused

TIMEOUT = 5.0  # seconds for one exchange

UNMET = frozenset({dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET, dns.rcode.NXDOMAIN})
"""An update's condition does not hold (RFC 2136, 2.2)."""


class Primary:
    def __init__(self, server: NameServer, key: Key | None) -> None:
        self.server, self._key = server, key

    def zone_of(self, name: str) -> str:
        """The zone in which this server holds `name`. Raises Refused, NotYet."""
        answer = self.ask(name, "SOA")
        for rrset in (*answer.answer, *answer.authority):
            if rrset.rdtype == dns.rdatatype.SOA:
                return rrset.name.to_text().rstrip(".").lower()
        raise self._refused(f"says of no zone that it holds {name}")

    def ask(self, name: str, rdtype: str) -> dns.message.Message:
        """The primary's own, authoritative answer. Raises Refused, NotYet."""
        answer = self._exchange(dns.message.make_query(dns.name.from_text(name), rdtype, flags=0))
        if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            raise self._failure(answer.rcode(), name)
        if not answer.flags & dns.flags.AA:
            raise self._refused(f"does not hold the zone of {name}")
        return answer

    def update(self, zone: str) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(zone)

    def send(self, update: dns.update.UpdateMessage) -> bool:
        """Whether the update's conditions held, and so it was made. Raises Refused, NotYet."""
        zone = update.zone[0].name.to_text().rstrip(".")
        code = self._exchange(update).rcode()
        if code in UNMET:
            return False
        if code != dns.rcode.NOERROR:
            raise self._failure(code, zone)
        return True

    def _exchange(self, message: dns.message.Message) -> dns.message.Message:
        if self._key is not None:
            message.use_tsig(self._key)
        why = f"{self.server.name} has no address"
        for address in self.server.addresses:
            try:
                answer = dns.query.tcp(message, address, timeout=TIMEOUT, port=self.server.port)
            except dns.tsig.PeerError as error:
                raise self._of_the_key(error) from None
            except (dns.tsig.BadSignature, dns.tsig.BadTime, dns.message.UnknownTSIGKey):
                raise self._refused("answers with a signature that is not right") from None
            except dns.exception.Timeout:
                why = f"{self.server.name} does not answer at {address}:{self.server.port}"
            except (OSError, dns.exception.DNSException) as error:
                why = f"{self.server.name} can't be asked at {address}:{self.server.port}: {error}"
            else:
                if self._key is not None and not answer.had_tsig:
                    raise self._unsigned(answer.rcode())
                return answer
        raise NotYet(why, hint="[dns] server names the zone's primary")

    def _unsigned(self, code: dns.rcode.Rcode) -> ProvisionError:
        if code not in {dns.rcode.NOERROR, *UNMET}:
            return self._failure(code, "the zone")
        return self._refused("answers without a signature, so anybody may have")

    def _of_the_key(self, error: dns.tsig.PeerError) -> Refused:
        name = self._key.name.to_text().rstrip(".") if self._key else ""
        for kind, words in {
            dns.tsig.PeerBadKey: f"does not know a key {name!r} (BADKEY)",
            dns.tsig.PeerBadSignature: f"has another secret for the key {name!r} (BADSIG)",
            dns.tsig.PeerBadTime: "has another time than this machine (BADTIME)",
        }.items():
            if isinstance(error, kind):
                return self._refused(words)
        return self._refused(f"does not take the signature: {error}")

    def _failure(self, code: dns.rcode.Rcode, what: str) -> ProvisionError:
        if code == dns.rcode.SERVFAIL:
            return NotYet(f"{self.server.name} has trouble with {what} (SERVFAIL)")
        by = f"the key {self._key.name.to_text().rstrip('.')!r}" if self._key else "this address"
        words = {
            dns.rcode.REFUSED: f"does not let {by} see or change {what} (REFUSED)",
            dns.rcode.NOTAUTH: f"is not the primary of {what} (NOTAUTH)",
            dns.rcode.NOTZONE: f"says that the name is not within {what} (NOTZONE)",
            dns.rcode.NOTIMP: "takes no dynamic updates (NOTIMP)",
        }
        return self._refused(words.get(code, f"refuses: {dns.rcode.to_text(code)}"))

    def _refused(self, words: str) -> Refused:
        return Refused(
            f"The name server {self.server.name} {words}",
            hint="compare [dns] server, zone and key_file with the zone's primary",
        )
