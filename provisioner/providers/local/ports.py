"""Ports on the operator's machine: which are free, and who holds those that are not."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

import psutil

from provisioner.errors import Refused

FIRST_SSH, FIRST_HTTPS = 2222, 8443
_TRIES = 500


def problem(bind: str, port: int) -> str:
    """Why nothing can listen on `port` of the address `bind`; "" if it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as QEMU does
        try:
            probe.bind((bind, port))
            probe.listen()
        except PermissionError:
            return f"port {port} is below 1024, which only root may use"
        except OSError:
            return f"port {port} is taken by {holder(port)}"
    return ""


def holder(port: int) -> str:
    """Who listens on `port`, as far as we may know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "another program"
    for connection in connections:
        address = connection.laddr
        if connection.status == psutil.CONN_LISTEN and address and address.port == port:
            return _program(connection.pid)
    return "another program"


def _program(pid: int | None) -> str:
    if pid is None:
        return "another user's program"
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


def choose(bind: str, wanted: int, first: int, reserved: Collection[int] = ()) -> int:
    """`wanted`, or if that is 0 the first free port from `first` that nobody reserved.

    Raises Refused when `wanted` cannot be had, or none is free.
    """
    if wanted:
        if reason := problem(bind, wanted):
            raise Refused(f"On {bind}, {reason}", hint="choose another port, or 0 for any free one")
        return wanted
    for port in range(first, first + _TRIES):
        if port not in reserved and not problem(bind, port):
            return port
    raise Refused(f"On {bind} there is no free port from {first} to {first + _TRIES - 1}")


def bind_problem(bind: str) -> str:
    """Why the address cannot be listened on; "" if it can. Only IPv4, as QEMU's user network."""
    try:
        ipaddress.IPv4Address(bind)
    except ValueError:
        return f"{bind!r} is not an IPv4 address"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((bind, 0))
        except OSError:
            return f"this machine has no address {bind}"
    return ""
