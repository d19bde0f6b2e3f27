"""Ending a workshop until it is sure that nothing is left."""

from __future__ import annotations

import pytest

from provisioner.errors import Refused, UsageError
from tests.unit.providers.aws.conftest import World


def test_one_pass_takes_the_group_along(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    world.passes()
    provider.delete(spec.id)
    assert world.groups() == [], "without waiting for the machine's end"
    assert {item.kind for item in provider.leftovers(spec.id)} >= {"instance", "volume"}
    world.passes()
    assert provider.leftovers(spec.id) == []


def test_what_holds_the_group_is_named_and_the_next_pass_succeeds(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    server = provider.create(spec)
    world.passes()
    world.cloud.script("ModifyInstanceAttribute", "IncorrectInstanceState")
    provider.delete(spec.id)
    left = provider.leftovers(spec.id)
    (group,) = [item for item in left if item.kind == "security group"]
    (holder,) = [item for item in left if group.id in item.kind]
    assert holder.id.startswith("eni-")
    assert server.id in holder.kind
    world.passes()
    provider.delete(spec.id)
    assert provider.leftovers(spec.id) == []


def test_an_interface_of_somebody_else_in_the_group_is_named(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    world.passes()
    ec2 = world.cloud.client("ec2")
    (instance,) = world.instances()
    group = instance["SecurityGroups"][0]["GroupId"]
    foreign = ec2.create_network_interface(SubnetId=instance["SubnetId"], Groups=[group])
    name = foreign["NetworkInterface"]["NetworkInterfaceId"]
    provider.delete(spec.id)
    world.passes()
    provider.delete(spec.id)
    left = {item.id: item.remove for item in provider.leftovers(spec.id)}
    assert set(left) == {group, name}
    assert left[name] == (
        f"aws ec2 delete-network-interface --network-interface-id {name} --region eu-west-2"
    )


def test_what_is_not_found_when_it_is_ended_is_not_taken_for_gone(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    server = provider.create(spec)
    world.passes()
    world.cloud.script("TerminateInstances", "InvalidInstanceID.NotFound")
    provider.delete(spec.id)
    assert server.id in {item.id for item in provider.leftovers(spec.id)}
    provider.delete(spec.id)
    world.passes()
    provider.delete(spec.id)
    assert provider.leftovers(spec.id) == []
    assert world.instances() == []


def test_a_machine_that_is_not_shown_yet_is_ended_all_the_same(world: World) -> None:
    world.cloud.settings(unseen_seconds=20)
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    provider.delete(spec.id)
    world.passes()
    provider.delete(spec.id)
    assert world.instances() == []
    assert provider.leftovers(spec.id) == []


def test_a_request_nobody_answered_counts_as_left_for_a_minute(world: World) -> None:
    world.cloud.script("RunInstances", effect="drop", times=None)
    provider, spec = world.provider(), world.spec()
    with pytest.raises(Exception, match="has not said"):
        provider.create(spec)
    provider.delete(spec.id)
    (item,) = provider.leftovers(spec.id)
    assert item.kind == "unanswered request"
    assert "RunInstances" in item.id
    assert item.remove.startswith("provision teardown one")
    world.passes(61)
    assert provider.leftovers(spec.id) == []
    assert provider.find(spec.id) is None


def test_one_thing_that_fails_keeps_nothing_else_alive(world: World) -> None:
    world.cloud.script("DeleteSecurityGroup", "UnauthorizedOperation")
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    world.passes()
    with pytest.raises(Refused, match="ec2:DeleteSecurityGroup"):
        provider.delete(spec.id)
    assert [one["State"]["Name"] for one in world.instances()] == ["shutting-down"]


def test_a_machine_that_may_not_leave_its_group_ends_with_it(world: World) -> None:
    world.cloud.script("ModifyInstanceAttribute", "UnauthorizedOperation")
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    world.passes()
    provider.delete(spec.id)
    assert [one["State"]["Name"] for one in world.instances()] == ["shutting-down"]
    world.passes()
    provider.delete(spec.id)
    assert provider.leftovers(spec.id) == []


def test_without_credentials_nothing_is_called_gone(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    world.cloud.script("DescribeInstances", "ExpiredToken", times=None)
    for verb in (provider.find, provider.delete, provider.leftovers):
        with pytest.raises(UsageError) as caught:
            verb(spec.id)
        assert "sign in again" in caught.value.hint


def test_a_second_machine_with_the_same_tags_ends_too(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    world.passes()
    (first,) = world.instances()
    specifications = [{"ResourceType": "instance", "Tags": first["Tags"]}]
    world.cloud.client("ec2").run_instances(
        ImageId=first["ImageId"],
        InstanceType="m6i.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=specifications,
    )
    assert len(world.instances()) == 2
    provider.delete(spec.id)
    world.passes()
    provider.delete(spec.id)
    assert world.instances() == []


def test_a_disk_that_outlived_its_machine_is_deleted(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    provider.create(spec)
    (instance,) = world.instances()
    world.cloud.client("ec2").create_volume(
        AvailabilityZone="eu-west-2a",
        Size=1,
        TagSpecifications=[{"ResourceType": "volume", "Tags": instance["Tags"]}],
    )
    provider.delete(spec.id)
    world.passes()
    provider.delete(spec.id)
    assert provider.leftovers(spec.id) == []
    assert world.cloud.client("ec2").describe_volumes()["Volumes"] == []


def test_an_image_that_somebody_made_is_told_and_kept(world: World) -> None:
    provider, spec = world.provider(), world.spec()
    server = provider.create(spec)
    world.passes()
    ec2 = world.cloud.client("ec2")
    image = ec2.create_image(InstanceId=server.id, Name="a copy")["ImageId"]
    ec2.create_tags(Resources=[image], Tags=[{"Key": "provision:id", "Value": spec.id}])
    provider.delete(spec.id)
    world.passes()
    left = provider.leftovers(spec.id)
    assert [item.id for item in left if item.kind == "image"] == [image]
    assert f"aws ec2 deregister-image --image-id {image}" in left[-1].remove


def test_remains_without_a_machine_are_discovered(world: World) -> None:
    """Such as after a deadline that passed while nobody looked."""
    provider, spec = world.provider(), world.spec()
    server = provider.create(spec)
    world.passes()
    world.cloud.settings(forget=0)
    world.cloud.shut_down(server.id)
    world.passes()
    (found,) = provider.discover()
    assert (found.id, found.name) == (spec.id, "one")
    assert "security group" in found.details
    assert found.expires_at == spec.expires_at
    provider.delete(spec.id)
    assert provider.discover() == []
