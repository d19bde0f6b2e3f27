"""Somebody's machine: claimed once, used, and left as it was found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.errors import NotReady, NotYet, Refused
from provisioner.models import GIB, Bundle, Environment, HostOptions, Network, Size, Spec
from provisioner.providers.host import HostProvider, upload
from tests.unit.providers.host.machine import Farm, Machine

ADDRESS = "owner@server.example.org"
TAG = "0123abcd"


@pytest.fixture
def farm() -> Farm:
    return Farm()


@pytest.fixture
def provider(farm: Farm) -> HostProvider:
    return farm.provider()


@pytest.fixture
def machine(farm: Farm) -> Machine:
    return farm.machine(ADDRESS)


def spec(id: str = "id-1", name: str = "tessera", address: str = ADDRESS) -> Spec:
    return Spec(
        id=id,
        name=name,
        folder=Path("/nowhere"),
        size=Size(2 * GIB, 2, 20 * GIB),
        user_data=b"",
        bundle=Bundle(files=((".env", b"A='1'\n"), ("run", b"#!/bin/sh\n")), image_key=TAG),
        environment=Environment(),
        network=Network(ca_bundle=""),
        expires_at=datetime(2030, 1, 31, 17, tzinfo=UTC),
        host=HostOptions(address),
    )


def whole_life(provider: HostProvider, machine: Machine) -> None:
    provider.create(spec())
    machine.bootstrap_ends(TAG)
    machine.workshop_runs()
    provider.delete("id-1")


def test_a_fresh_machine_is_as_before_afterwards(provider: HostProvider, machine: Machine) -> None:
    before = machine.snapshot()
    whole_life(provider, machine)
    assert machine.snapshot() == before
    assert "policy ACCEPT" in machine.facts, "what Docker set for the firewall is undone"


def test_docker_that_was_there_stays_with_all_that_it_had(
    provider: HostProvider, machine: Machine
) -> None:
    machine.with_docker("nginx:1", f"provision-hub:{TAG}")
    machine.put("in use", "of-the-owner")
    before = machine.snapshot()
    whole_life(provider, machine)
    machine.put("in use", "of-the-owner")  # the model forgets whose it was
    assert machine.snapshot() == before
    assert not any("--purge" in command for command in machine.said)


def test_what_the_owner_adds_meanwhile_is_not_touched(
    provider: HostProvider, machine: Machine
) -> None:
    machine.with_docker("provision-hub:of-an-older-workshop")
    provider.create(spec())
    machine.bootstrap_ends(TAG)
    machine.put("image", "postgres:17", "provision-hub-of-mine:1")
    provider.delete("id-1")
    left = ["provision-hub:of-an-older-workshop", "postgres:17", "provision-hub-of-mine:1"]
    assert machine.there["image"] == left


def test_images_of_software_that_was_changed_go_too(
    provider: HostProvider, machine: Machine
) -> None:
    machine.with_docker()
    provider.create(spec())
    machine.bootstrap_ends(TAG)
    machine.bootstrap_ends("of-a-changed-bundle")
    provider.delete("id-1")
    assert machine.there["image"] == []


def test_docker_that_came_with_us_stays_if_somebody_has_come_to_use_it(
    provider: HostProvider, machine: Machine
) -> None:
    provider.create(spec())
    machine.bootstrap_ends(TAG)
    machine.put("in use", "a-database-of-the-owner")
    provider.delete("id-1")
    assert machine.there["package"]
    assert machine.there["folder"] == ["/var/lib/docker"]
    assert provider.leftovers("id-1") == []


def test_what_cannot_be_removed_is_named_and_the_claim_stays(
    provider: HostProvider, machine: Machine
) -> None:
    machine.dpkg_locked = True
    whole_life(provider, machine)
    left = provider.leftovers("id-1")
    assert "docker.io on owner@server.example.org" in [item.id for item in left]
    assert all(item.remove.startswith(f"ssh -t {ADDRESS} 'sudo ") for item in left)
    machine.dpkg_locked = False
    provider.delete("id-1")
    assert provider.leftovers("id-1") == []
    assert machine.there["package"] == []


def test_a_docker_that_does_not_answer_is_not_taken_for_an_empty_one(
    provider: HostProvider, machine: Machine
) -> None:
    machine.with_docker()
    provider.create(spec())
    machine.bootstrap_ends(TAG)
    machine.workshop_runs()
    machine.docker_hangs = True
    provider.delete("id-1")
    left = {item.kind: item.remove for item in provider.leftovers("id-1")}
    assert left["engine that does not answer"].endswith("'sudo systemctl start docker.service'")
    machine.docker_hangs = False
    provider.delete("id-1")
    assert provider.leftovers("id-1") == []
    assert machine.there["volume"] == []


@pytest.mark.parametrize("moment", ["umask 022 && tar", "systemctl daemon-reload"])
def test_a_launch_cut_short_goes_on_or_is_torn_down(
    farm: Farm, provider: HostProvider, machine: Machine, moment: str
) -> None:
    class Killed(Exception):
        pass

    def die(command: str, **options: object) -> None:
        if command.startswith(moment):
            raise Killed
        return run(command, **options)  # type: ignore[return-value, arg-type]

    before = machine.snapshot()
    run, machine.run = machine.run, die  # type: ignore[assignment, method-assign]
    with pytest.raises(Killed):
        provider.create(spec())
    machine.run = run  # type: ignore[method-assign]
    assert farm.provider().find("id-1") is not None, "it can be found again"
    farm.provider().create(spec())
    assert machine.state == "activating"
    farm.provider().delete("id-1")
    assert machine.snapshot() == before


def test_creating_again_does_not_disturb_what_runs(
    provider: HostProvider, machine: Machine
) -> None:
    provider.create(spec())
    for state in ("activating", "active"):
        machine.state = state
        machine.said.clear()
        provider.create(spec())
        assert upload.EXTRACT not in machine.said
    machine.state = "failed"
    provider.create(spec())
    assert machine.state == "activating", "one that failed is begun anew"


def test_a_machine_carries_one_workshop(provider: HostProvider, machine: Machine) -> None:
    provider.create(spec())
    findings = provider.check(spec("id-2", "other"))
    assert any("'tessera'" in item.message for item in findings)
    with pytest.raises(Refused, match="'tessera'") as error:
        provider.create(spec("id-2", "other"))
    assert error.value.hint == "provision teardown tessera"
    assert machine.claimed_by() == "tessera"


def test_what_checking_refuses_creating_refuses_too(
    provider: HostProvider, machine: Machine
) -> None:
    machine.put("volume", "provision-home-user01")
    with pytest.raises(Refused, match="provision-home-user01"):
        provider.create(spec())
    assert machine.files == {}


def test_nothing_of_the_machine_s_own_is_written(provider: HostProvider, machine: Machine) -> None:
    provider.create(spec())
    for path, content in machine.files.items():
        assert path.startswith(("/opt/provision/", "/etc/systemd/system/provision-")), path
        assert b"poweroff" not in content, "somebody's machine is not ours to switch off"
    assert not any("host-key" in path for path in machine.files)
    timer = machine.files["/etc/systemd/system/provision-deadline.timer"].decode()
    assert "OnCalendar=2030-01-31 17:00:00 UTC" in timer


def test_an_old_connection_that_died_is_replaced(
    farm: Farm, provider: HostProvider, machine: Machine
) -> None:
    provider.create(spec())
    machine.dies_at = "cat"
    assert provider.find("id-1") is not None
    assert farm.connections == 2


def test_a_machine_that_is_away_is_not_taken_for_gone(
    farm: Farm, provider: HostProvider, machine: Machine
) -> None:
    made = provider.create(spec())
    machine.answers = False
    assert provider.find("id-1") == made, "for one who has seen it"
    with pytest.raises(NotYet, match="does not answer"):
        farm.provider().find("id-1")
    with pytest.raises(NotYet):
        farm.provider().discover()
    with pytest.raises(NotYet):
        farm.provider().delete("id-1")
    assert any("does not answer" in item.message for item in farm.provider().check(spec()))
    with pytest.raises(Refused):
        farm.provider().available()


def test_discovering_passes_over_a_machine_that_is_away(
    farm: Farm, provider: HostProvider, machine: Machine
) -> None:
    farm.machine("owner@away.example.org").answers = False
    provider.create(spec())
    (found,) = provider.discover()
    assert (found.id, found.name, found.details) == ("id-1", "tessera", ADDRESS)
    assert found.expires_at == spec().expires_at
    later = datetime(2030, 2, 1, tzinfo=UTC)
    provider.set_deadline("id-1", later)
    assert provider.discover()[0].expires_at == later


def test_the_bootstrap_tells_how_far_it_is(provider: HostProvider, machine: Machine) -> None:
    provider.create(spec())
    machine.log = ["bootstrap [3.2s] installing Docker and Compose", "Get:1 docker.io"]
    with pytest.raises(NotYet, match="installing Docker and Compose"):
        provider.bootstrapped("id-1")
    machine.state = "failed"
    with pytest.raises(NotReady, match=r"failed .* at: installing Docker") as error:
        provider.bootstrapped("id-1")
    assert error.value.details[-1] == "Get:1 docker.io"
    assert error.value.hint == "provision launch tessera"
    machine.state = "inactive"
    with pytest.raises(NotReady, match="cut short"):
        provider.bootstrapped("id-1")
    machine.bootstrap_ends(TAG)
    provider.bootstrapped("id-1")


def test_a_claim_that_cannot_be_read_is_nobody_s(provider: HostProvider, machine: Machine) -> None:
    machine.files["/opt/provision/host.json"] = b'{"version": 99}'
    with pytest.raises(Refused, match="format 99"):
        provider.find("id-1")
    with pytest.raises(Refused, match="format 99"):
        provider.create(spec())


def test_a_machine_has_to_be_named(provider: HostProvider) -> None:
    nameless = replace(spec(), host=HostOptions())
    assert "--host" in provider.check(nameless)[0].hint
    with pytest.raises(Refused, match="No machine is named"):
        provider.create(nameless)
    with pytest.raises(Refused, match="No machine is named"):
        provider.available()


def test_capacity_is_what_is_free(provider: HostProvider, machine: Machine) -> None:
    assert provider.available() == Size(memory=8 * GIB, cores=4, disk=100 * GIB)


def test_two_who_claim_at_once_get_one_machine(farm: Farm, machine: Machine) -> None:
    """The second looked before the first had written."""
    first, second = farm.provider(), farm.provider()
    run = machine.run

    def overtaken(command: str, **options: object) -> object:
        if command.startswith("umask 022 && mkdir") and not machine.files:
            machine.run = run  # type: ignore[method-assign]
            first.create(spec("id-1", "quick"))
        return run(command, **options)  # type: ignore[arg-type]

    machine.run = overtaken  # type: ignore[assignment, method-assign]
    with pytest.raises(Refused, match="another workshop, 'quick'"):
        second.create(spec("id-2", "slow"))
    assert machine.claimed_by() == "quick"
