"""A small Internet on loopback: a resolver, a registry, two name servers, and who keeps a zone.

Addresses differ and the port is the same, as in the world, so that what is tested finds servers
by name and address alone. Every server remembers what it was asked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone
import pytest

from provisioner.dns.authoritative import Authorities
from provisioner.dns.fake import SERVERS, FakeDns
from provisioner.dns.resolver import Resolver
from provisioner.dns.rfc2136 import Rfc2136Dns
from provisioner.dns.route53 import Route53Dns
from provisioner.models import DnsOptions
from provisioner.protocols import Dns

ZONE = "example.org"
RESOLVER, REGISTRY, FIRST, SECOND = "127.53.0.1", "127.53.0.2", "127.53.0.11", "127.53.0.12"
PRIMARY = "127.0.0.1"  # BIND listens on addresses that an interface has, not on all of 127/8
HOSTS = {FIRST: "ns1.example.net", SECOND: "ns2.example.net"}

HEAD = """\
@ 60 IN SOA ns1.example.net. hostmaster.example.org. 1 60 60 60 60
@ 60 IN NS ns1.example.net.
@ 60 IN NS ns2.example.net.
"""

ROOT = f"""\
@ 60 IN SOA a.root. nobody.root. 1 60 60 60 60
@ 60 IN NS a.root.
org 60 IN NS registry.example.net.
registry.example.net 60 IN A {REGISTRY}
ns1.example.net 60 IN A {FIRST}
ns2.example.net 60 IN A {SECOND}
primary.example.net 60 IN A {PRIMARY}
"""
"""What a resolver would find out; it answers from it as one does from its cache."""

ORG = """\
@ 60 IN SOA registry.example.net. nobody.example.net. 1 60 60 60 60
@ 60 IN NS registry.example.net.
example 60 IN NS ns1.example.net.
example 60 IN NS ns2.example.net.
"""


class StubServer:
    """A name server over UDP that serves `zone`, referrals included, and can change it."""

    def __init__(self, address: str, port: int, origin: str, text: str, *, recursive: bool = False):
        self._origin, self._recursive = dns.name.from_text(origin), recursive
        self.asked: list[tuple[str, str]] = []
        self.mute = False
        self.load(text)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._socket.settimeout(0.05)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def load(self, text: str) -> None:
        self._zone = dns.zone.from_text(text, self._origin, relativize=False, check_origin=False)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                wire, peer = self._socket.recvfrom(4096)
                query = dns.message.from_wire(wire)
                question = query.question[0]
                asked = question.name.to_text().rstrip("."), dns.rdatatype.to_text(question.rdtype)
                self.asked.append(asked)
                if not self.mute:
                    self._socket.sendto(self._answer(query).to_wire(), peer)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        name, rdtype = query.question[0].name, query.question[0].rdtype
        if not name.is_subdomain(self._origin):
            response.set_rcode(dns.rcode.REFUSED)
            return response
        if not self._recursive and (cut := self._cut(name)) is not None:
            response.authority.append(cut)
            return response
        response.flags |= dns.flags.RA if self._recursive else dns.flags.AA
        found = self._zone.get_rrset(name, rdtype)
        if found is not None:
            response.answer.append(found)
        elif (soa := self._zone.get_rrset(self._origin, dns.rdatatype.SOA)) is not None:
            response.authority.append(soa)
            if not any(other.is_subdomain(name) for other in self._zone.nodes):
                response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def _cut(self, name: dns.name.Name) -> dns.rrset.RRset | None:
        while name != self._origin:
            if (found := self._zone.get_rrset(name, dns.rdatatype.NS)) is not None:
                return found
            name = name.parent()
        return None


class World:
    """The zone example.org, delegated to two servers; the resolver is asked too little to lie."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.resolver = StubServer(RESOLVER, port, ".", ROOT, recursive=True)
        self.registry = StubServer(REGISTRY, port, "org.", ORG)
        self.servers = {
            address: StubServer(address, port, ZONE, HEAD) for address in (FIRST, SECOND)
        }
        self.authorities = Authorities(Resolver((RESOLVER,), port), port)

    def close(self) -> None:
        for server in (self.resolver, self.registry, *self.servers.values()):
            server.close()


def free_port() -> int:
    """Free for UDP and TCP on every loopback address at once, as far as one can tell."""
    with socket.socket() as tcp:
        tcp.bind(("0.0.0.0", 0))
        port: int = tcp.getsockname()[1]
        return port


class Setting(Protocol):
    """One kind of keeper in its surroundings, seen and meddled with from outside."""

    world: World | None

    def keeper(self, *, takeover: bool = False) -> Dns: ...

    def write(self, hostname: str, address: str) -> None:
        """What somebody else would do, by hand."""
        ...

    def held(self, hostname: str) -> list[str]:
        """The addresses that the zone's master copy holds."""
        ...

    def lag(self) -> None:
        """From now on, one of two name servers hears of nothing."""
        ...

    def spread(self) -> None:
        """Every name server that does not lag gets what the master copy holds."""
        ...

    def catch_up(self) -> None: ...


class FakeSetting:
    world = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keeper(self, *, takeover: bool = False) -> Dns:
        return FakeDns(self._folder, takeover=takeover)

    def write(self, hostname: str, address: str) -> None:
        FakeDns(self._folder).put(hostname, {"address": address})

    def held(self, hostname: str) -> list[str]:
        found = FakeDns(self._folder).names(SERVERS[0]).get(hostname)
        return [found["address"]] if found else []

    def lag(self) -> None:
        FakeDns(self._folder).lag()

    def spread(self) -> None: ...

    def catch_up(self) -> None:
        FakeDns(self._folder).catch_up()


class _Served:
    """Lag and spreading for keepers whose master copy is elsewhere than the two servers."""

    def __init__(self, world: World, copy: Callable[[], str]) -> None:
        self.world, self._copy, self._lags = world, copy, False

    def lag(self) -> None:
        self._lags = True

    def spread(self) -> None:
        assert self.world is not None
        text = self._copy()
        for address, server in self.world.servers.items():
            if not (self._lags and address == SECOND):
                server.load(text)

    def catch_up(self) -> None:
        self._lags = False
        self.spread()


class Route53Setting(_Served):
    """An AWS account in this process. Its hosted zone's name servers are our two."""

    def __init__(self, world: World) -> None:
        import boto3
        from moto.route53.models import route53_backends

        super().__init__(world, self._zone_text)
        self.client = boto3.client("route53")
        zone = self.client.create_hosted_zone(Name=ZONE, CallerReference="one")["HostedZone"]
        self.zone_id: str = zone["Id"]
        for account in route53_backends.values():
            for backend in account.values():
                for made in backend.zones.values():
                    made.delegation_set.name_servers = list(HOSTS.values())

    def keeper(self, *, takeover: bool = False) -> Route53Dns:
        assert self.world is not None
        options = DnsOptions(provider="route53", takeover=takeover)
        return Route53Dns(options, authorities=self.world.authorities)

    def write(self, hostname: str, address: str) -> None:
        record = {"Name": hostname, "Type": "A", "TTL": 300}
        record |= {"ResourceRecords": [{"Value": address}]}
        self.client.change_resource_record_sets(
            HostedZoneId=self.zone_id,
            ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
        )

    def held(self, hostname: str) -> list[str]:
        return [
            value["Value"]
            for record in self.records()
            for value in record["ResourceRecords"]
            if record["Name"] == f"{hostname}." and record["Type"] == "A"
        ]

    def records(self) -> list[dict[str, Any]]:
        answer = self.client.list_resource_record_sets(HostedZoneId=self.zone_id)
        return list(answer["ResourceRecordSets"])

    def _zone_text(self) -> str:
        lines = [
            f"{record['Name']} {record['TTL']} IN {record['Type']} {value['Value']}"
            for record in self.records()
            for value in record["ResourceRecords"]
            if record["Type"] not in {"NS", "SOA"}
        ]
        return HEAD + "\n".join(lines) + "\n"


PATH = f"{os.environ['PATH']}:/usr/sbin"  # where Debian keeps daemons

KEY_NAME = "provision"
SECRET = "c2VjcmV0Ly9vZi8vdGhlLy96b25lLy9leGFtcGxlLm9yZw=="
OTHER_SECRET = "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlciwgc28gdGhlcmU="

NAMED_CONF = """\
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
key "stranger" {{ algorithm hmac-sha256; secret "{secret}"; }};
controls {{ }};
options {{
    directory "{folder}"; pid-file "{folder}/named.pid"; session-keyfile "{folder}/session.key";
    listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no; notify no; allow-transfer {{ any; }};
}};
zone "{zone}" {{
    type primary; file "{folder}/zone";
    update-policy {{
        grant {key} name workshop.{zone} ANY; grant {key} name _provision.workshop.{zone} ANY;
    }};
}};
"""


class Bind:
    """A BIND 9 of one's own: its configuration, zone and port are nobody else's."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        (folder / "zone").write_text(f"$ORIGIN {ZONE}.\n{HEAD}*.{ZONE}. 60 IN A 198.51.100.99\n")
        conf = folder / "named.conf"
        values = {"key": KEY_NAME, "secret": SECRET, "folder": folder, "port": port}
        conf.write_text(NAMED_CONF.format(**values, address=PRIMARY, zone=ZONE))
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [shutil.which("named", path=PATH) or "named", "-g", "-n", "1", "-c", conf],
            stdout=self._log,
            stderr=self._log,
        )
        for _ in range(100):
            with contextlib.suppress(Exception):
                query = dns.message.make_query(ZONE, "SOA")
                dns.query.udp(query, PRIMARY, timeout=0.2, port=port)
                return
            time.sleep(0.1)
        self.close()
        raise AssertionError((folder / "log").read_text())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()

    def records(self) -> list[tuple[str, str, str]]:
        """Name, type and data of all records, by zone transfer."""
        zone = dns.zone.Zone(ZONE, relativize=False)
        dns.query.inbound_xfr(PRIMARY, zone, port=self.port)
        return [
            (name.to_text().rstrip("."), dns.rdatatype.to_text(data.rdtype), data.to_text())
            for name, _, data in zone.iterate_rdatas()
        ]


class Rfc2136Setting(_Served):
    """BIND 9 is the primary; the two servers that the world is sent to copy its zone."""

    def __init__(self, world: World, bind: Bind, folder: Path) -> None:
        super().__init__(world, self._zone_text)
        self.bind, self._folder = bind, folder

    def options(self, *, secret: str = SECRET, key: str = KEY_NAME) -> DnsOptions:
        file = self._folder / f"{key}-{secret[:4]}.key"
        file.write_text(f'key "{key}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n')
        file.chmod(0o600)
        server = f"primary.example.net:{self.bind.port}"
        return DnsOptions(provider="rfc2136", server=server, key_file=str(file))

    def keeper(self, *, takeover: bool = False, **key: str) -> Rfc2136Dns:
        assert self.world is not None
        options = replace(self.options(**key), takeover=takeover)
        return Rfc2136Dns(options, authorities=self.world.authorities)

    def write(self, hostname: str, address: str) -> None:
        primary = self.keeper()._primary
        update = primary.update(ZONE)
        update.replace(dns.name.from_text(hostname), 300, "A", address)
        assert primary.send(update)

    def held(self, hostname: str) -> list[str]:
        return [data for name, kind, data in self.bind.records() if (name, kind) == (hostname, "A")]

    def _zone_text(self) -> str:
        lines = [
            f"{name}. 60 IN {kind} {data}"
            for name, kind, data in self.bind.records()
            if kind not in {"NS", "SOA"}
        ]
        return HEAD + "\n".join(lines) + "\n"


@pytest.fixture
def world() -> Iterator[World]:
    made = World(free_port())
    yield made
    made.close()


@pytest.fixture
def account(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Route53Setting]:
    from moto import mock_aws

    for name in ("PROFILE", "SESSION_TOKEN", "ENDPOINT_URL"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "testing")
    with mock_aws():
        yield Route53Setting(world)


@pytest.fixture
def bind(world: World, tmp_path: Path) -> Iterator[Rfc2136Setting]:
    if shutil.which("named", path=PATH) is None:
        pytest.skip("no `named` here: apt-get install bind9")
    running = Bind(tmp_path, world.port)
    yield Rfc2136Setting(world, running, tmp_path)
    running.close()
