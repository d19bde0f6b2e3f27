"""A person makes the record: they are told which, and when it is there."""

from __future__ import annotations

import pytest

from provisioner.dns.manual import ManualDns
from provisioner.errors import NotYet
from provisioner.models import DnsOptions, Severity
from provisioner.protocols import Instructs
from tests.contract.dns_fixtures import HEAD, World

HOST, HERE, ID = "workshop.example.org", "203.0.113.5", "0a1b2c3d"


@pytest.fixture
def keeper(world: World) -> ManualDns:
    return ManualDns(DnsOptions(provider="manual", ttl=60), world.authorities)


def make_by_hand(world: World, address: str) -> None:
    for server in world.servers.values():
        server.load(f"{HEAD}workshop 60 IN A {address}\n")


def test_the_record_to_make_is_said_until_it_is_there(world: World, keeper: ManualDns) -> None:
    assert isinstance(keeper, Instructs)
    record = f"make this record: {HOST}. 60 IN A {HERE}"
    assert keeper.instruction(HOST, HERE) == record
    keeper.point(HOST, HERE, ID)
    with pytest.raises(NotYet) as raised:
        keeper.settled(HOST, HERE)
    assert raised.value.message.startswith(record)
    assert "0 of 2 name servers agree" in raised.value.message
    make_by_hand(world, HERE)
    keeper.settled(HOST, HERE)


def test_an_ipv6_machine_needs_another_record(keeper: ManualDns) -> None:
    assert "IN AAAA 2001:db8::5" in keeper.instruction(HOST, "2001:db8::5")


def test_a_record_of_last_time_is_shown_before_the_launch(world: World, keeper: ManualDns) -> None:
    make_by_hand(world, "198.51.100.7")
    (finding,) = keeper.check(HOST, ID)
    assert finding.severity is Severity.INFO
    assert "leads to 198.51.100.7 now" in finding.message


def test_after_teardown_a_person_is_reminded_while_it_is_there(
    world: World, keeper: ManualDns
) -> None:
    assert keeper.reminder(HOST) == ""
    make_by_hand(world, HERE)
    keeper.clear(HOST, ID)
    assert keeper.leftovers(HOST, ID) == []
    assert HERE in keeper.reminder(HOST)
    assert not [name for name, _ in world.resolver.asked if name.endswith(HOST)]
