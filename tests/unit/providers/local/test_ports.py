from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from provisioner.errors import Refused
from provisioner.providers.local import ports


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_taken_port_says_who_holds_it(listening: int) -> None:
    assert f"process {os.getpid()}" in ports.problem("127.0.0.1", listening)
    with pytest.raises(Refused, match=f"port {listening} is taken by"):
        ports.choose("127.0.0.1", listening, 1)


def test_the_first_free_one_from_where_it_begins(listening: int) -> None:
    chosen = ports.choose("127.0.0.1", 0, listening)
    assert listening < chosen < listening + 100
    assert ports.problem("127.0.0.1", chosen) == ""


def test_ports_of_machines_that_are_off_are_left_alone(listening: int) -> None:
    first = ports.choose("127.0.0.1", 0, listening)
    assert ports.choose("127.0.0.1", 0, listening, reserved={first}) > first


@pytest.mark.parametrize(
    ("bind", "problem"),
    [
        ("127.0.0.1", ""),
        ("0.0.0.0", ""),
        ("192.0.2.1", "no address"),
        ("::1", "IPv4"),
        ("x", "IPv4"),
    ],
)
def test_bind(bind: str, problem: str) -> None:
    reason = ports.bind_problem(bind)
    assert problem in reason if problem else reason == ""
