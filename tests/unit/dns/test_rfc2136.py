"""What a real primary (BIND 9) makes of our updates and our keys."""

from __future__ import annotations

import shutil
import subprocess
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.dns.rfc2136 import Rfc2136Dns, split_port
from provisioner.dns.tsig import read_key
from provisioner.errors import NotYet, Refused
from provisioner.models import DnsOptions, Severity
from tests.contract.dns_fixtures import (
    FIRST,
    OTHER_SECRET,
    PRIMARY,
    SECOND,
    SECRET,
    Rfc2136Setting,
)

HOST, HERE, ID = "workshop.example.org", "203.0.113.5", "0a1b2c3d"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ({"secret": OTHER_SECRET}, r"another secret for the key 'provision' \(BADSIG\)"),
        ({"key": "nobody"}, r"does not know a key 'nobody' \(BADKEY\)"),
        ({"key": "stranger"}, r"does not let the key 'stranger' .*REFUSED"),
    ],
)
def test_a_key_that_will_not_do_is_found_before_anything_is_made(
    bind: Rfc2136Setting, key: dict[str, str], words: str
) -> None:
    (finding,) = [
        each for each in bind.keeper(**key).check(HOST, ID) if each.severity is Severity.ERROR
    ]
    with pytest.raises(Refused, match=words) as raised:
        bind.keeper(**key).point(HOST, HERE, ID)
    assert finding.message == raised.value.message
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert bind.held(HOST) == []


def test_checking_does_not_change_the_zone_s_serial(bind: Rfc2136Setting) -> None:
    before = [record for record in bind.bind.records() if record[1] == "SOA"]
    bind.keeper().check(HOST, ID)
    assert [record for record in bind.bind.records() if record[1] == "SOA"] == before


def test_address_and_mark_go_in_together(bind: Rfc2136Setting) -> None:
    bind.keeper().point(HOST, HERE, ID)
    assert sorted(record for record in bind.bind.records() if HOST in record[0]) == [
        (f"_provision.{HOST}", "TXT", f'"provision={ID}"'),
        (HOST, "A", HERE),
    ]


def test_an_alias_by_another_hand_is_nothing_to_add_an_address_to(bind: Rfc2136Setting) -> None:
    primary = bind.keeper()._primary
    update = primary.update("example.org")
    update.add(f"{HOST}.", 60, "CNAME", "www.example.org.")
    assert primary.send(update)
    with pytest.raises(Refused, match=r"leads to www\.example\.org\. already"):
        bind.keeper().point(HOST, HERE, ID)
    bind.keeper(takeover=True).point(HOST, HERE, ID)
    assert bind.held(HOST) == [HERE]


def test_the_machine_may_come_back_with_an_ipv6_address(bind: Rfc2136Setting) -> None:
    bind.keeper().point(HOST, HERE, ID)
    bind.keeper().point(HOST, "2001:db8::5", ID)
    bind.spread()
    bind.keeper().settled(HOST, "2001:db8::5")
    bind.keeper().clear(HOST, ID)
    assert bind.keeper().leftovers(HOST, ID) == []


def test_the_words_to_type_really_delete(bind: Rfc2136Setting) -> None:
    if shutil.which("nsupdate") is None:
        pytest.skip("no `nsupdate` here: apt-get install bind9-dnsutils")
    options = replace(bind.options(), server=f"{PRIMARY}:{bind.bind.port}")
    assert bind.world is not None
    keeper = Rfc2136Dns(options, bind.world.authorities)
    keeper.point(HOST, HERE, ID)
    left = keeper.leftovers(HOST, ID)
    assert [resource.id for resource in left] == [
        f"{HOST} A {HERE}",
        f'_provision.{HOST} TXT "provision={ID}"',
    ]
    for resource in left:
        subprocess.run(["bash", "-c", resource.remove], check=True, timeout=30)
    assert keeper.leftovers(HOST, ID) == []
    assert bind.held(HOST) == []


def test_settled_asks_the_primary_and_every_listed_server(bind: Rfc2136Setting) -> None:
    keeper = bind.keeper()
    keeper.point(HOST, HERE, ID)
    with pytest.raises(NotYet, match="1 of 3 name servers agree"):
        keeper.settled(HOST, HERE)
    assert bind.world is not None
    for address in (FIRST, SECOND):
        assert (HOST, "A") in bind.world.servers[address].asked


def test_a_server_that_does_not_hold_the_zone(bind: Rfc2136Setting) -> None:
    with pytest.raises(Refused, match="REFUSED"):
        bind.keeper().point("workshop.example.com", HERE, ID)
    assert bind.world is not None
    keeper = Rfc2136Dns(replace(bind.options(), zone="example.com"), bind.world.authorities)
    with pytest.raises(Refused, match=r"not the primary of example\.com \(NOTAUTH\)"):
        keeper.point("workshop.example.com", HERE, ID)


def test_a_primary_that_is_away_is_worth_another_try() -> None:
    keeper = Rfc2136Dns(DnsOptions(provider="rfc2136", server="127.0.0.1:9"))
    with pytest.raises(NotYet, match=r"can't be asked at 127\.0\.0\.1:9"):
        keeper.point(HOST, HERE, ID)


def test_a_key_file_is_read_as_tsig_keygen_and_people_write_it(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(
        '# ours\nkey teaching { algorithm "hmac-sha512"; /* "secret" */\n secret "c2Vj//8="; };\n'
    )
    key = read_key(file)
    assert (key.name.to_text(), key.algorithm.to_text()) == ("teaching.", "hmac-sha512.")
    assert key.secret == b"sec\xff\xff"
    assert "c2Vj" not in repr(key)


@pytest.mark.parametrize("text", ["", 'key "a" { };', 'key "a" { secret "###"; };', "{}"])
def test_a_file_without_a_key_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(Refused, match="key") as raised:
        read_key(file)
    assert "tsig-keygen" in raised.value.hint
    with pytest.raises(Refused, match="No such file"):
        read_key(tmp_path / "absent")


def test_a_key_that_others_can_read_is_worth_a_warning(bind: Rfc2136Setting) -> None:
    keeper = bind.keeper()
    file = bind.options().key_file
    Path(file).chmod(0o644)
    (finding,) = keeper.check(HOST, ID)
    assert finding.severity is Severity.WARNING
    assert finding.hint == f"chmod 600 {file}"


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("ns1.example.org", ("ns1.example.org", 53)),
        ("ns1.example.org:5353", ("ns1.example.org", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_server_and_port(server: str, expected: tuple[str, int]) -> None:
    assert split_port(server) == expected
