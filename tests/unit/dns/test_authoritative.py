"""Which servers have the last word, and what counts as all of them agreeing."""

from __future__ import annotations

import pytest

from provisioner.dns import query
from provisioner.dns.authoritative import Authorities
from provisioner.dns.query import NameServer
from provisioner.dns.resolver import Resolver
from provisioner.errors import NotYet
from tests.contract.dns_fixtures import FIRST, HEAD, ORG, REGISTRY, ROOT, SECOND, World

HOST = "workshop.example.org"
HERE, FOREIGN = "203.0.113.5", "198.51.100.7"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "TIMEOUT", 0.5)


def serve(world: World, *records: str) -> None:
    for server in world.servers.values():
        server.load(HEAD + "\n".join(records) + "\n")


def required(world: World, address: str = HERE) -> None:
    world.authorities.require(world.authorities.zone_of(HOST).servers, HOST, address)


def test_the_zone_and_its_servers_are_found_from_the_top(world: World) -> None:
    zone = world.authorities.zone_of(HOST)
    assert zone.name == "example.org"
    assert [(each.name, each.addresses) for each in zone.servers] == [
        ("ns1.example.net", (FIRST,)),
        ("ns2.example.net", (SECOND,)),
    ]


def test_a_name_between_is_never_asked_of_the_resolver(world: World) -> None:
    """Where nothing is yet at lab.example.org, a cache would take all beneath it for absent."""
    assert world.authorities.zone_of("workshop.lab.example.org").name == "example.org"
    assert {name for name, _ in world.resolver.asked} == {
        "org",
        "registry.example.net",
        "ns1.example.net",
        "ns2.example.net",
    }


def test_a_given_zone_is_where_the_search_begins(world: World) -> None:
    world.resolver.load(ROOT + "example.org 60 IN NS ns1.example.net.\n")
    zone = world.authorities.zone_of(HOST, "example.org")
    assert [each.name for each in zone.servers] == ["ns1.example.net", "ns2.example.net"]
    assert world.registry.asked == []


def test_a_resolver_that_knows_only_the_zone_will_do(world: World) -> None:
    """As on a network of its own, with no root and no registry."""
    only = "\n".join(line for line in ROOT.splitlines() if not line.startswith("org "))
    world.resolver.load(f"{only}\nexample.org 60 IN NS ns1.example.net.\n")
    assert world.authorities.zone_of(HOST).name == "example.org"


def test_a_server_of_both_zones_gives_no_referral_and_is_understood(world: World) -> None:
    world.resolver.load(ROOT.replace("org 60 IN NS registry", "org 60 IN NS ns1"))
    world.servers[FIRST].load(HEAD)  # answers for example.org at once
    assert len(world.authorities.zone_of(HOST).servers) == 2


def test_servers_that_only_the_zone_itself_names_must_agree_too(world: World) -> None:
    world.registry.load(ORG.replace("example 60 IN NS ns2.example.net.\n", ""))
    serve(world, f"workshop 60 IN A {HERE}")
    world.servers[SECOND].load(HEAD)
    with pytest.raises(NotYet, match=r"ns2\.example\.net says of workshop.* no address"):
        required(world)


def test_a_name_that_is_a_zone_of_its_own(world: World) -> None:
    for server in world.servers.values():
        server.load(HEAD + "workshop 60 IN NS ns9.workshop.example.org.\n")
    world.resolver.load(f"{ROOT}ns9.workshop.example.org 60 IN A {SECOND}\n")
    with pytest.raises(NotYet, match=r"No name server of workshop\.example\.org answers"):
        world.authorities.zone_of(HOST)


def test_all_agree(world: World) -> None:
    serve(world, f"workshop 60 IN A {HERE}")
    required(world)


def test_the_one_that_disagrees_is_named_with_what_it_says(world: World) -> None:
    serve(world, f"workshop 60 IN A {HERE}")
    world.servers[SECOND].load(f"{HEAD}workshop 60 IN A {FOREIGN}\n")
    with pytest.raises(NotYet) as raised:
        required(world)
    assert raised.value.message == (
        f"1 of 2 name servers agree: ns2.example.net says of {HOST}: {FOREIGN}"
    )


@pytest.mark.parametrize(
    ("also", "says"),
    [
        (f"workshop 60 IN A {FOREIGN}", FOREIGN),
        ("workshop 60 IN AAAA 2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_second_address_would_mislead_some_participants(
    world: World, also: str, says: str
) -> None:
    serve(world, f"workshop 60 IN A {HERE}", also)
    with pytest.raises(NotYet, match=says):
        required(world)


def test_ipv6_is_compared_as_an_address_not_as_text(world: World) -> None:
    serve(world, "workshop 60 IN AAAA 2001:db8:0:0::5")
    required(world, "2001:0db8::0005")


def test_a_server_that_is_silent_or_not_responsible_is_not_agreement(world: World) -> None:
    serve(world, f"workshop 60 IN A {HERE}")
    servers = world.authorities.zone_of(HOST).servers
    world.servers[FIRST].mute = True
    with pytest.raises(NotYet, match=r"ns1\.example\.net does not answer at"):
        world.authorities.require(servers, HOST, HERE)
    lame = (NameServer("ns3.example.net", (REGISTRY,), world.port), *servers[1:])
    with pytest.raises(NotYet, match=r"ns3\.example\.net answers without authority"):
        world.authorities.require(lame, HOST, HERE)


def test_one_dead_address_of_a_server_does_not_hold_everybody_up(world: World) -> None:
    """Such as its IPv6 address, seen from a network without IPv6."""
    serve(world, f"workshop 60 IN A {HERE}")
    server = NameServer("ns1.example.net", ("2001:db8::53", "127.53.0.99", FIRST), world.port)
    world.authorities.require((server,), HOST, HERE)


def test_the_delegation_is_what_the_zone_above_says(world: World) -> None:
    assert world.authorities.delegation("example.org") == {"ns1.example.net", "ns2.example.net"}
    for server in world.servers.values():
        server.mute = True
    assert len(world.authorities.delegation("example.org")) == 2, "dead servers are delegated to"
    assert world.authorities.delegation("example-two.org") == frozenset()


def test_without_any_network_the_reason_is_said() -> None:
    authorities = Authorities(Resolver(("127.53.0.98",), 9), 9)
    with pytest.raises(NotYet, match="resolver knows no zone above it"):
        authorities.zone_of(HOST)
