"""`python -m tests.twin.names`: the world's name servers, and a diary of what they were asked.

Three voices, each at its own address: the registry serves the zone above and refers to Route 53;
the authority says what the fake Route 53 holds at this moment; the resolver asks them for others,
and like every resolver remembers for a while that a name was not there.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import boto3
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.twin.machine import Place
from tests.twin.network import AUTHORITY, REGISTRY, RESOLVER, VPC_RESOLVER
from tests.twin.zones import TOP, TOP_ZONE, Zone, Zones, route53, rrset

Message = dns.message.Message
Voice = Callable[[Zones, Message], Message]
Fetch = Callable[[], list[Zone]]


def authority(zones: Zones, query: Message) -> Message:
    zone = zones.holding(query.question[0].name)
    if zone is None:
        return _answer(query, dns.rcode.REFUSED)
    return _from_zone(zone, query)


def registry(zones: Zones, query: Message) -> Message:
    name = query.question[0].name
    if zone := zones.holding(name):
        answer = _answer(query)
        answer.authority.append(rrset(zone.name, "NS", *zone.servers))
        return answer
    return _from_zone(TOP_ZONE, query) if name.is_subdomain(TOP) else authority(zones, query)


@dataclass
class Resolver:
    """Its memory is of names only, as with RFC 8020: what is beneath nothing is nothing."""

    absent: dict[dns.name.Name, tuple[Message, float]] = field(default_factory=dict)

    def __call__(self, zones: Zones, query: Message) -> Message:
        name = query.question[0].name
        remembered, ends = self.absent.get(name, (None, 0.0))
        if remembered and time.monotonic() < ends:
            answer = _answer(query, remembered.rcode())
            answer.authority = remembered.authority
        else:
            answer = self._asked(zones, query)
        if answer.rcode() == dns.rcode.NXDOMAIN and name not in self.absent:
            soa = next(iter(answer.authority))
            seconds = min(soa.ttl, cast(Any, soa[0]).minimum)
            self.absent[name] = answer, time.monotonic() + seconds
        answer.flags = answer.flags & ~dns.flags.AA | dns.flags.RA
        return answer

    def _asked(self, zones: Zones, query: Message) -> Message:
        name = query.question[0].name
        if zones.serves(name):
            answer = _answer(query)
            if query.question[0].rdtype == dns.rdatatype.A:
                answer.answer.append(rrset(name, "A", AUTHORITY))
            return answer
        if zone := zones.holding(name):
            return _from_zone(zone, query)
        return _from_zone(TOP_ZONE, query)


def _from_zone(zone: Zone, query: Message) -> Message:
    question = query.question[0]
    answer = _answer(query)
    answer.flags |= dns.flags.AA
    if found := zone.find(question.name, question.rdtype):
        answer.answer.append(found)
        return answer
    if soa := zone.find(zone.name, dns.rdatatype.SOA):
        answer.authority.append(soa)
    if not zone.exists(question.name):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer


def _answer(query: Message, code: dns.rcode.Rcode = dns.rcode.NOERROR) -> Message:
    answer = dns.message.make_response(query)
    answer.set_rcode(code)
    return answer


@dataclass
class Desk:
    """Where questions arrive. One at a time, so that the diary is in order."""

    fetch: Fetch
    diary: Path
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, who: str, voice: Voice, client: str, wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        with self.lock:
            answer = voice(Zones(tuple(self.fetch())), query)
            question = query.question[0]
            said = {
                "at": time.time(),
                "who": who,
                "client": client,
                "name": question.name.to_text(omit_final_dot=True).lower(),
                "type": dns.rdatatype.to_text(question.rdtype),
                "code": dns.rcode.to_text(answer.rcode()),
                "said": [record.to_text() for one in answer.answer for record in one],
            }
            with self.diary.open("a") as file:
                file.write(json.dumps(said) + "\n")
        return answer.to_wire()

    def serve(self, who: str, voice: Voice, address: str) -> None:
        desk = self

        class Datagram(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                wire, plain = self.request
                plain.sendto(
                    desk.reply(who, voice, self.client_address[0], wire), self.client_address
                )

        class Stream(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while head := self.rfile.read(2):
                    wire = self.rfile.read(struct.unpack("!H", head)[0])
                    answer = desk.reply(who, voice, self.client_address[0], wire)
                    self.wfile.write(struct.pack("!H", len(answer)) + answer)

        for server in (
            socketserver.ThreadingUDPServer((address, 53), Datagram),
            socketserver.ThreadingTCPServer((address, 53), Stream),
        ):
            threading.Thread(target=server.serve_forever, daemon=True).start()


def questions(diary: Path) -> Iterator[dict[str, Any]]:
    """What was asked, in order: at, who (registry | authority | resolver), client, name, type,
    code, said."""
    for line in diary.read_text().splitlines() if diary.exists() else ():
        yield json.loads(line)


def main() -> None:
    place = Place(Path(os.environ["TWIN"]))
    fetch: Fetch = list
    if cloud := place.host().cloud:
        fetch = partial(route53, boto3.client("route53", endpoint_url=cloud))
    desk = Desk(fetch, place.path / "questions.jsonl")
    desk.serve("registry", registry, REGISTRY)
    desk.serve("authority", authority, AUTHORITY)
    for address in (RESOLVER, VPC_RESOLVER):
        desk.serve("resolver", Resolver(), address)
    print("ready", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
