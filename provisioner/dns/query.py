"""One question to one address of one name server, without recursion."""

from __future__ import annotations

from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

TIMEOUT = 2.0  # seconds for each try
TRIES = 2  # one datagram may be lost


@dataclass(frozen=True, slots=True)
class NameServer:
    """A server by name, with every address that it is known to have."""

    name: str
    addresses: tuple[str, ...]
    port: int = 53


class Silent(Exception):
    """No usable answer came; the text says what came instead, to follow the server's name."""


def ask(address: str, port: int, name: str, rdtype: str) -> dns.message.Message:
    """The server's own answer, whatever it says. Raises Silent."""
    question = dns.message.make_query(
        dns.name.from_text(name), rdtype, flags=0, use_edns=0, payload=1232
    )
    why = ""
    for _ in range(TRIES):
        try:
            return dns.query.udp_with_fallback(
                question, address, timeout=TIMEOUT, port=port, ignore_unexpected=True
            )[0]
        except dns.exception.Timeout:
            why = f"does not answer at {address}"
        except (OSError, dns.exception.DNSException) as error:
            why = f"can't be asked at {address}: {error}"
    raise Silent(why)


def authoritative(message: dns.message.Message) -> bool:
    """Whether this is the last word about the name, a "there is none" included."""
    decided = message.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}
    return decided and bool(message.flags & dns.flags.AA)


def values(message: dns.message.Message, rdtype: str, *, owner: str = "") -> tuple[str, ...]:
    """The data of every record of that type in the answer, in a zone file's form.

    An answer goes on to what an alias leads to; `owner` leaves out what is not its own.
    """
    wanted = dns.rdatatype.from_text(rdtype)
    only = dns.name.from_text(owner) if owner else None
    return tuple(
        sorted(
            record.to_text()
            for rrset in message.answer
            if rrset.rdtype == wanted and only in {None, rrset.name}
            for record in rrset
        )
    )


def hosts(message: dns.message.Message, rdtype: str = "NS") -> tuple[str, ...]:
    """The same as host names: lower case, no last dot."""
    return tuple(value.rstrip(".").lower() for value in values(message, rdtype))
