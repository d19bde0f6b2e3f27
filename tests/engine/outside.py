"""The router and the internet of one machine: `python -m tests.engine.outside SSH HTTPS VISITS`.

Started in a network namespace of its own. SSH and HTTPS are descriptors of sockets that listen in
the tests' own network: what comes in there goes on to the machine, and seems to come from the
router, as with QEMU's forwards. All else are small servers for participants' code to aim at; each
visit is a line of the file VISITS.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from tests.engine import network

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WAIT = 20.0  # seconds for a machine that boots


def service(name: str, visits: Path) -> Serve:
    """Says its name: over HTTP where it is asked for a page, as a mail server does otherwise."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with visits.open("a") as file:
            visitor = writer.get_extra_info("peername")[0]
            file.write(json.dumps({"service": name, "from": visitor}) + "\n")
        with suppress(OSError, asyncio.IncompleteReadError):
            if name.startswith("mail"):
                writer.write(f"220 {name} ESMTP\r\n".encode())
                await writer.drain()
                await reader.read()
            elif name == "router":
                writer.write(b"router\n")
                await writer.drain()
            else:
                await reader.readuntil(b"\r\n\r\n")
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name) + 1}\r\n"
                writer.write(f"{head}Connection: close\r\n\r\n{name}\n".encode())
                await writer.drain()
        writer.close()

    return serve


def forward(port: int) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connecting = asyncio.open_connection(network.MACHINE, port)
            back, onward = await asyncio.wait_for(connecting, WAIT)
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        await asyncio.gather(pump(reader, onward), pump(back, writer))
        for one in (writer, onward):
            one.close()

    return serve


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except OSError:
        sink.transport.abort()


class Names(asyncio.DatagramProtocol):
    """Every name is the public web server's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        answer = dns.message.make_response(dns.message.from_wire(data))
        answer.flags |= dns.flags.RA
        for asked in answer.question:
            if asked.rdtype == dns.rdatatype.A:
                answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "A", network.PUBLIC))
        self.transport.sendto(answer.to_wire(), address)


async def main(ssh: int, https: int, visits: Path) -> None:
    loop = asyncio.get_running_loop()
    for descriptor, port in ((ssh, 22), (https, 443)):
        await asyncio.start_server(forward(port), sock=socket.socket(fileno=descriptor))
    for name, (address, port) in network.SERVICES.items():
        await asyncio.start_server(service(name, visits), address, port)
    await loop.create_datagram_endpoint(Names, local_addr=(network.ROUTER, 53))
    print("ready", flush=True)
    await loop.create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
