"""One workshop's machine, from its making to its end, beyond what the contract says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotYet, Refused, UsageError
from provisioner.models import GIB, ServerState, Size
from tests.unit.providers.aws.conftest import OPERATOR, World


def rules(world: World, name: str) -> set[tuple[str, int, str]]:
    (group,) = world.cloud.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [name]}]
    )["SecurityGroups"]
    return {
        (rule["IpProtocol"], rule["FromPort"], source["CidrIp"])
        for rule in group["IpPermissions"]
        for source in rule["IpRanges"]
    }


def test_it_is_pending_until_it_can_be_reached(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    server = provider.create(spec)
    assert (server.state, server.address) == (ServerState.PENDING, "")
    assert world.slept == []
    world.passes()
    found = provider.find(spec.id)
    assert found is not None
    assert found.state is ServerState.RUNNING
    assert found.address == found.ssh_host != ""
    assert (found.ssh_port, found.https_port) == (22, 443)
    assert {"instance", "type", "zone", "price"} == {name for name, _ in found.about}


def test_the_world_reaches_the_web_and_the_operator_ssh(world: World) -> None:
    spec = world.spec()
    world.provider().create(spec)
    assert rules(world, f"provision-one-{spec.id[:8]}") == {
        ("tcp", 80, "0.0.0.0/0"),
        ("tcp", 443, "0.0.0.0/0"),
        ("udp", 443, "0.0.0.0/0"),
        ("tcp", 22, f"{OPERATOR}/32"),
    }


def test_an_operator_who_moved_is_let_in_by_launching_again(world: World) -> None:
    spec = world.spec()
    world.provider().create(spec)
    moved = world.provider()
    moved._whereabouts = lambda: "192.0.2.4"
    moved.create(spec)
    opened = rules(world, f"provision-one-{spec.id[:8]}")
    assert {("tcp", 22, f"{OPERATOR}/32"), ("tcp", 22, "192.0.2.4/32")} <= opened


def test_a_network_for_ssh_can_be_set(world: World) -> None:
    spec = world.spec(ssh_from="203.0.113.0/24")
    world.provider().create(spec)
    assert ("tcp", 22, "203.0.113.0/24") in rules(world, f"provision-one-{spec.id[:8]}")


def test_not_knowing_the_operator_s_address_makes_nothing(world: World) -> None:
    def unknown() -> str:
        raise Refused("checkip does not answer", hint="set aws.ssh_from")

    provider = world.provider()
    provider._whereabouts = unknown
    with pytest.raises(Refused, match="checkip"):
        provider.create(world.spec())
    assert world.cloud.actions(mutating=True) == []


def test_what_is_chosen_stands_in_the_folder_before_it_is_used(world: World) -> None:
    world.cloud.script("RunInstances", "ExpiredToken")
    spec = world.spec()
    with pytest.raises(UsageError):
        world.provider().create(spec)
    chosen = json.loads((spec.folder / "aws.json").read_text())
    assert chosen["region"] == "eu-west-2"
    assert chosen["account"] == "123456789012"
    assert chosen["ami"].startswith("ami-")
    assert chosen["group"].startswith("sg-")


@pytest.mark.parametrize("seen_by", ["reads", "all"])
def test_a_machine_that_aws_does_not_show_yet_is_not_made_twice(world: World, seen_by: str) -> None:
    world.cloud.settings(unseen_seconds=10, unseen_by=seen_by)
    provider, spec = world.provider(), world.spec()
    first = provider.create(spec)
    again = provider.create(spec)
    found = provider.find(spec.id)
    assert found is not None
    assert again.id == found.id == first.id
    assert found.state is ServerState.PENDING
    assert found.why
    assert [item.id for item in provider.leftovers(spec.id) if item.kind == "instance"] == [
        first.id
    ]
    world.passes()
    assert len(world.instances()) == 1


def test_what_aws_never_shows_is_gone_after_a_while(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    world.cloud.settings(unseen_seconds=10_000)
    (instance,) = world.instances()
    world.cloud.client("ec2").terminate_instances(InstanceIds=[instance["InstanceId"]])
    world.cloud.settings(forget=1)
    world.passes(120)
    assert provider.find(spec.id) is None


def test_one_that_shut_itself_down_says_so_until_it_is_deleted(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    server = provider.create(spec)
    world.passes()
    world.cloud.shut_down(server.id)
    world.passes()
    found = provider.find(spec.id)
    assert found is not None
    assert found.state is ServerState.STOPPED
    assert found.ended
    assert "shut itself down" in found.why
    provider.delete(spec.id)
    assert provider.find(spec.id) is None
    assert provider.leftovers(spec.id) == []
    assert world.groups() == []


def test_after_delete_it_is_gone_though_aws_still_shows_it(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    provider.delete(spec.id)
    assert provider.find(spec.id) is None
    assert world.provider(Path("empty")).find(spec.id) is None


def test_everything_works_from_a_computer_without_the_folder(world: World, tmp_path: Path) -> None:
    spec = world.spec()
    server = world.provider().create(spec)
    elsewhere = world.provider(tmp_path / "other")
    shutil.rmtree(spec.folder)
    (found,) = elsewhere.discover()
    assert (found.id, found.name, found.hostname) == (spec.id, "one", "workshop.example.org")
    assert elsewhere.find(spec.id) is not None
    spec.folder.mkdir()
    assert elsewhere.create(spec).id == server.id
    shutil.rmtree(spec.folder)
    elsewhere.delete(spec.id)
    world.passes()
    assert elsewhere.leftovers(spec.id) == []
    assert elsewhere.discover() == []


def test_a_workshop_is_looked_for_where_it_was_made(world: World) -> None:
    spec = world.spec(region="us-east-2")
    world.provider().create(spec)
    here = world.provider()
    assert here.discover() == []
    assert here.find(spec.id) is not None
    assert [(one.name, one.region) for one in here.discover_everywhere()] == [("one", "us-east-2")]
    here.delete(spec.id)
    world.passes()
    assert here.leftovers(spec.id) == []


def test_another_account_s_credentials_never_make_it_look_deleted(world: World) -> None:
    spec = world.spec()
    world.provider().create(spec)
    path = spec.folder / "aws.json"
    path.write_text(path.read_text().replace("123456789012", "999999999999"))
    for verb in ("find", "delete", "leftovers"):
        with pytest.raises(UsageError, match="999999999999"):
            getattr(world.provider(), verb)(spec.id)
    assert len(world.instances()) == 1


def test_without_a_region_it_says_how_to_set_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(UsageError) as caught:
        world.provider().create(world.spec())
    assert "--region" in caught.value.hint
    assert world.provider(region="eu-west-2").discover() == []


def test_off_overnight(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    made = provider.create(spec)
    world.passes()
    provider.stop(spec.id)
    stopping = provider.find(spec.id)
    assert stopping is not None
    assert stopping.state is ServerState.STOPPED
    assert not stopping.ended
    for again in (lambda: provider.start(spec.id), lambda: provider.create(spec)):
        with pytest.raises(NotYet, match="still stopping"):
            again()
    world.passes()
    assert provider.start(spec.id).state is ServerState.PENDING
    world.passes()
    running = provider.find(spec.id)
    assert running is not None
    assert (running.id, running.state) == (made.id, ServerState.RUNNING)


def test_launching_again_starts_one_that_is_off(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    made = provider.create(spec)
    world.passes()
    provider.stop(spec.id)
    world.passes()
    assert provider.create(spec).state is ServerState.PENDING
    world.passes()
    assert [one["InstanceId"] for one in world.instances("running")] == [made.id]


def test_a_spot_machine_is_not_stopped(world: World) -> None:
    provider, spec = world.provider(), world.spec(spot=True)
    provider.create(spec)
    world.passes()
    with pytest.raises(Refused, match="spot"):
        provider.stop(spec.id)


def test_a_static_address_is_its_own_and_goes_with_it(world: World) -> None:
    provider, spec = world.provider(), world.spec(static_ip=True)
    provider.create(spec)
    pending = provider.find(spec.id)
    assert pending is not None
    assert pending.state is ServerState.PENDING
    world.passes()
    found = provider.find(spec.id)
    (address,) = world.cloud.client("ec2").describe_addresses()["Addresses"]
    assert found is not None
    assert (found.state, found.address) == (ServerState.RUNNING, address["PublicIp"])
    provider.delete(spec.id)
    assert world.cloud.client("ec2").describe_addresses()["Addresses"] == []


def test_a_lost_answer_makes_one_static_address(world: World) -> None:
    provider, spec = world.provider(), world.spec(static_ip=True)
    world.cloud.script("AllocateAddress", effect="lost")
    with pytest.raises(NotYet):
        provider.create(spec)
    provider.create(spec)
    assert len(world.cloud.client("ec2").describe_addresses()["Addresses"]) == 1


def test_a_deadline_that_moved_stands_on_everything(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    later = spec.expires_at.replace(hour=23)
    provider.set_deadline(spec.id, later)
    assert provider.discover()[0].expires_at == later
    tagged = world.cloud.client("ec2").describe_tags(
        Filters=[{"Name": "key", "Values": ["provision:expires-at"]}]
    )["Tags"]
    assert {tag["Value"] for tag in tagged} == {later.isoformat()}
    assert {tag["ResourceType"] for tag in tagged} >= {"instance", "volume", "security-group"}


def test_the_console_is_read_without_ssh(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    server = provider.create(spec)
    assert provider.console(spec.id) == ""
    world.passes()
    world.cloud.console(server.id, "kernel panic")
    assert provider.console(spec.id) == "kernel panic"


def test_what_it_costs_counts_disk_and_address(world: World) -> None:
    small = world.provider().quote(world.spec("small"))
    large = world.provider().quote(
        world.spec("large", size=Size(memory=6 * GIB, cores=2, disk=500 * GIB))
    )
    assert small.machine == large.machine
    assert large.hourly > small.hourly > 0.05
    assert any("gp3" in line for line in small.reasons)


def test_what_is_not_ours_is_never_touched(world: World) -> None:
    """Neither by a name that an id could be taken for, nor by a wildcard in it."""
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    for stranger in ("*", "?" * 36, spec.id[:8], spec.id[:-1] + "*", ""):
        assert provider.find(stranger) is None
        provider.delete(stranger)
    assert len(world.instances("pending")) == 1


def test_a_group_of_that_name_that_is_somebody_else_s(world: World) -> None:
    spec = world.spec()
    ec2: Any = world.cloud.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ec2.create_security_group(
        GroupName=f"provision-one-{spec.id[:8]}", Description="mine", VpcId=vpc
    )
    with pytest.raises(Refused, match="not of this workshop"):
        world.provider().create(spec)
    assert len(world.groups()) == 1
    assert world.instances() == []


MAKING = ("CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances")
ENDING = ("ModifyInstanceAttribute", "TerminateInstances", "DeleteSecurityGroup")
TROUBLE = ({"effect": "lost"}, {"effect": "drop"}, {"error": "InternalError"})


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda item: next(iter(item.values())))
@pytest.mark.parametrize("action", MAKING)
def test_one_bad_answer_while_making_changes_nothing(
    world: World, action: str, trouble: dict[str, str]
) -> None:
    world.cloud.script(action, **trouble)
    spec = world.spec()
    world.provider().create(spec)
    assert len(world.instances()) == 1
    (group,) = world.groups()
    assert len(rules(world, group)) == 4


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda item: next(iter(item.values())))
@pytest.mark.parametrize("action", ENDING)
def test_one_bad_answer_while_ending_leaves_nothing(
    world: World, action: str, trouble: dict[str, str]
) -> None:
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    world.passes()
    world.cloud.script(action, **trouble)
    provider.delete(spec.id)
    world.passes()
    provider.delete(spec.id)
    assert provider.leftovers(spec.id) == []
    assert world.instances() == []
    assert world.groups() == []
