"""`python -m tests.twin.imds`: the metadata service that instances ask, version 2 only.

Whoever asks is known by their address, as in EC2. Answers that carry a token do not travel
further than the instance's hop limit allows, and so do not reach a container on a bridge in it.
Amazon EC2 User Guide: "Use the Instance Metadata Service to access instance metadata".
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from tests.twin.machine import SUBNET_BITS, Instance, Place
from tests.twin.network import METADATA, VPC

TOKEN = "X-aws-ec2-metadata-token"
TTL = f"{TOKEN}-ttl-seconds"
LONGEST = 21_600  # seconds

Tree = dict[str, Any]  # name → bytes, or another tree


class Service(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, place: Place, address: tuple[str, int]) -> None:
        self.place = place
        self.tokens: dict[str, tuple[str, float]] = {}  # token → instance, end of its life
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "EC2ws", ""

    def do_PUT(self) -> None:
        instance = self._asker()
        ttl = self.headers.get(TTL, "")
        if instance is None or self.path != "/latest/api/token":
            return self._say(404)
        if "X-Forwarded-For" in self.headers:
            return self._say(403)
        if not ttl.isdecimal() or not 1 <= int(ttl) <= LONGEST:
            return self._say(400)
        token = secrets.token_urlsafe(42)
        self.server.tokens[token] = instance.id, time.monotonic() + int(ttl)
        # For the rest of this connection, which may have to repeat its packets.
        self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, instance.hop_limit)
        self.close_connection = True
        return self._say(200, token.encode(), {TTL: ttl, "Connection": "close"})

    def do_GET(self) -> None:
        instance = self._asker()
        owner, ends = self.server.tokens.get(self.headers.get(TOKEN, ""), ("", 0.0))
        if instance is None:
            return self._say(404)
        if owner != instance.id or time.monotonic() >= ends:
            return self._say(401)
        found = look(tree(instance), self.path)
        return self._say(404) if found is None else self._say(200, found)

    def _asker(self) -> Instance | None:
        address = self.client_address[0]
        return next((one for one in self.server.place.instances() if one.private == address), None)

    def _say(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        print(self.client_address[0], format % args, flush=True)


def look(tree: Tree, path: str) -> bytes | None:
    """A leaf's bytes, or a folder's listing; None where there is nothing."""
    words = [word for word in path.split("/") if word]
    if not words or not re.fullmatch(r"latest|\d{4}-\d\d-\d\d", words[0]):
        return None
    found: Any = tree
    for word in words[1:]:
        if not isinstance(found, dict) or word not in found:
            return None
        found = found[word]
    if isinstance(found, dict):
        names = (name + "/" * isinstance(inside, dict) for name, inside in found.items())
        return "\n".join(names).encode()
    return bytes(found)


def tree(instance: Instance) -> Tree:
    """What an instance started without key pair and role is told about itself."""
    subnet = str(ip_interface(f"{instance.private}/{SUBNET_BITS}").network)
    about = {
        "ami-id": "ami-0123456789abcdef0",
        "ami-launch-index": "0",
        "hostname": instance.hostname,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "on-demand",
        "instance-type": instance.type,
        "local-hostname": instance.hostname,
        "local-ipv4": instance.private,
        "mac": instance.mac,
        "placement": {"availability-zone": instance.zone, "region": instance.region},
        "reservation-id": f"r-{instance.id[2:]}",
        "security-groups": "provision",
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    card = {
        "device-number": "0",
        "interface-id": f"eni-{instance.id[2:]}",
        "local-hostname": instance.hostname,
        "local-ipv4s": instance.private,
        "mac": instance.mac,
        "owner-id": "123456789012",
        "subnet-id": "subnet-0123456789abcdef0",
        "subnet-ipv4-cidr-block": subnet,
        "vpc-id": "vpc-0123456789abcdef0",
        "vpc-ipv4-cidr-block": VPC,
        "vpc-ipv4-cidr-blocks": VPC,
    }
    if instance.public:
        about["public-ipv4"] = card["public-ipv4s"] = instance.public
    about["network"] = {"interfaces": {"macs": {instance.mac: card}}}
    document = {
        "accountId": "123456789012",
        "architecture": "x86_64",
        "availabilityZone": instance.zone,
        "imageId": about["ami-id"],
        "instanceId": instance.id,
        "instanceType": instance.type,
        "pendingTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "privateIp": instance.private,
        "region": instance.region,
        "version": "2017-09-30",
    }
    found: Tree = {
        "dynamic": {"instance-identity": {"document": json.dumps(document, indent=2).encode()}},
        "meta-data": _encoded(about),
    }
    if instance.user_data:
        found["user-data"] = instance.user_data_bytes()
    return found


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _encoded(inside) for name, inside in value.items()}
    return value.encode()


def main() -> None:
    service = Service(Place(Path(os.environ["TWIN"])), (METADATA, 80))
    print("ready", flush=True)
    service.serve_forever()


if __name__ == "__main__":
    main()
