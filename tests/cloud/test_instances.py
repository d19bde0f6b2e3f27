"""The fake's instances: tokens, states with a clock, tags, limits, and their end."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.cloud.account import TAGS, Account, refused
from tests.cloud.fixture import FakeAws


def test_a_token_gives_the_same_instance(account: Account) -> None:
    first = account.run(ClientToken="one")
    assert account.run(ClientToken="one") == first
    assert account.see(first)["ClientToken"] == "one"
    assert account.find("client-token", "one") == [first]
    assert account.find("client-token", "two") == []
    changed = account.request(ClientToken="one", InstanceType="t3.large")
    assert refused(account.ec2.run_instances, **changed) == ("IdempotentParameterMismatch", 400)


def test_a_token_counts_in_its_zone_only(account: Account) -> None:
    here = account.run(ClientToken="one")
    there = account.run(ClientToken="one", SubnetId=account.subnet("b"))
    assert here != there
    assert account.run(ClientToken="one") == here
    assert sorted(account.find("client-token", "one")) == sorted([here, there])


def test_a_token_shows_what_became_of_its_instance(account: Account) -> None:
    first = account.run(ClientToken="one")
    account.ec2.terminate_instances(InstanceIds=[first])
    account.becomes(first, "terminated")
    again = account.ec2.run_instances(**account.request(ClientToken="one"))["Instances"][0]
    assert (again["InstanceId"], again["State"]["Name"]) == (first, "terminated")


def test_states_take_their_time(account: Account) -> None:
    one = account.run()
    assert account.state(one) == "pending"
    assert "PublicIpAddress" not in account.see(one)
    seen = account.becomes(one, "running")
    assert seen["PublicIpAddress"]
    ending = account.ec2.terminate_instances(InstanceIds=[one])["TerminatingInstances"][0]
    assert ending["CurrentState"]["Name"] == "shutting-down"
    assert account.state(one) == "shutting-down"
    seen = account.becomes(one, "terminated")
    assert seen["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert seen["Tags"] == TAGS
    again = account.ec2.terminate_instances(InstanceIds=[one])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"


def test_a_stopped_instance_comes_back_elsewhere(account: Account) -> None:
    one = account.run()
    assert refused(account.ec2.stop_instances, InstanceIds=[one])[0] == "IncorrectInstanceState"
    before = account.becomes(one, "running")["PublicIpAddress"]
    account.ec2.stop_instances(InstanceIds=[one])
    assert account.state(one) == "stopping"
    assert refused(account.ec2.start_instances, InstanceIds=[one])[0] == "IncorrectInstanceState"
    assert "PublicIpAddress" not in account.becomes(one, "stopped")
    account.ec2.start_instances(InstanceIds=[one])
    assert account.state(one) == "pending"
    assert account.becomes(one, "running")["PublicIpAddress"] != before


def test_everything_is_tagged(account: Account) -> None:
    one = account.run()
    group = account.ec2.create_security_group(
        GroupName="tagged",
        Description="tagged",
        VpcId=account.vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": TAGS}],
    )["GroupId"]
    wanted = [{"Name": "tag:provision:id", "Values": ["one"]}]
    ec2 = account.ec2
    assert account.find("tag:provision:id", "one") == [one]
    volumes = ec2.describe_volumes(Filters=wanted)["Volumes"]
    interfaces = ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    assert [v["Attachments"][0]["InstanceId"] for v in volumes] == [one]
    assert [n["Attachment"]["InstanceId"] for n in interfaces] == [one]
    assert [g["GroupId"] for g in ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]]
    key = [{"Name": "key", "Values": ["provision:id"]}]
    tagged = {tag["ResourceId"] for tag in ec2.describe_tags(Filters=key)["Tags"]}
    disk, interface = volumes[0]["VolumeId"], interfaces[0]["NetworkInterfaceId"]
    assert tagged == {one, group, disk, interface}
    ec2.terminate_instances(InstanceIds=[one])
    account.becomes(one, "terminated")
    ec2.delete_security_group(GroupId=group)
    assert {tag["ResourceId"] for tag in ec2.describe_tags(Filters=key)["Tags"]} == {one}
    assert not ec2.describe_volumes(Filters=wanted)["Volumes"]
    assert not ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]


def test_terminated_instances_may_lose_their_tags_and_vanish(
    cloud: FakeAws, account: Account
) -> None:
    cloud.settings(lose_tags=True, forget=60)
    one = account.run()
    account.ec2.terminate_instances(InstanceIds=[one])
    assert "Tags" not in account.becomes(one, "terminated")
    cloud.advance(60)
    assert not account.ec2.describe_instances()["Reservations"]
    assert refused(account.ec2.describe_instances, InstanceIds=[one]) == (
        "InvalidInstanceID.NotFound",
        400,
    )


def test_disks_follow_the_image(account: Account) -> None:
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 40, "VolumeType": "gp3"}}
    right = account.see(account.run(BlockDeviceMappings=[disk]))
    assert [d["DeviceName"] for d in right["BlockDeviceMappings"]] == ["/dev/xvda"]
    assert right["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"]
    wrong = account.see(account.run(BlockDeviceMappings=[disk | {"DeviceName": "/dev/sda1"}]))
    assert len(wrong["BlockDeviceMappings"]) == 2
    disk["Ebs"]["DeleteOnTermination"] = False  # type: ignore[index]
    kept = account.see(account.run(BlockDeviceMappings=[disk]))
    assert not kept["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"]


@pytest.mark.parametrize("size", [16384, 16385])
def test_user_data_has_a_limit(account: Account, size: int) -> None:
    request = account.request(UserData="x" * size)
    if size <= 16384:
        account.ec2.run_instances(**request)
        return
    with pytest.raises(ClientError, match="User data is limited to 16384 bytes"):
        account.ec2.run_instances(**request)
    assert not account.ec2.describe_instances()["Reservations"]


def test_what_cannot_run_here_is_refused(cloud: FakeAws, account: Account) -> None:
    run = account.ec2.run_instances
    assert refused(run, **account.request(ImageId="ami-12345678"))[0] == "InvalidAMIID.NotFound"
    for kind in ("t9.small", "t4g.small"):  # there is none; it is another architecture
        assert refused(run, **account.request(InstanceType=kind))[0] == "InvalidParameterValue"
    unknown = account.request(SecurityGroupIds=["sg-12345678"])
    assert refused(run, **unknown)[0] == "InvalidGroup.NotFound"
    cloud.settings(vcpus=3)
    account.run()
    assert refused(run, **account.request()) == ("VcpuLimitExceeded", 400)


def test_a_type_is_not_in_every_zone(cloud: FakeAws, account: Account) -> None:
    ec2 = cloud.client("ec2", region="us-east-1")
    subnets = {s["AvailabilityZone"]: s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]}
    wanted = [{"Name": "instance-type", "Values": ["m5.large"]}]
    offers = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=wanted)[
        "InstanceTypeOfferings"
    ]
    missing = set(subnets) - {offer["Location"] for offer in offers}
    assert missing
    request = account.request(InstanceType="m5.large", SubnetId=subnets[missing.pop()])
    assert refused(ec2.run_instances, **request) == ("Unsupported", 400)


@pytest.mark.parametrize(("behavior", "state"), [("stop", "stopped"), ("terminate", "terminated")])
def test_an_instance_may_end_itself(
    cloud: FakeAws, account: Account, behavior: str, state: str
) -> None:
    one = account.run(InstanceInitiatedShutdownBehavior=behavior)
    account.becomes(one, "running")
    cloud.shut_down(one)
    seen = account.becomes(one, state)
    assert seen["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_attributes_are_modified(cloud: FakeAws, account: Account) -> None:
    group = account.group()
    one = account.run(SecurityGroupIds=[group])
    modify = account.ec2.modify_instance_attribute
    modify(InstanceId=one, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    assert [g["GroupId"] for g in account.see(one)["SecurityGroups"]] == [group]
    bigger = {"InstanceId": one, "InstanceType": {"Value": "t3.large"}}
    assert refused(modify, **bigger)[0] == "IncorrectInstanceState"
    wrong = refused(modify, InstanceId=one, Groups=["sg-0123456789abcdef0"])
    assert wrong[0] == "InvalidGroup.NotFound"
    account.becomes(one, "running")
    account.ec2.stop_instances(InstanceIds=[one])
    account.becomes(one, "stopped")
    modify(**bigger)
    account.ec2.start_instances(InstanceIds=[one])
    assert account.becomes(one, "running")["InstanceType"] == "t3.large"
    cloud.shut_down(one)
    account.becomes(one, "terminated")


def test_the_console_can_be_read(cloud: FakeAws, account: Account) -> None:
    one = account.run()
    assert not account.ec2.get_console_output(InstanceId=one).get("Output")
    account.becomes(one, "running")
    assert "cloud-init" in account.ec2.get_console_output(InstanceId=one)["Output"]
    cloud.console(one, "Kernel panic")
    assert account.ec2.get_console_output(InstanceId=one, Latest=True)["Output"] == "Kernel panic"


def test_a_dry_run_does_nothing(account: Account) -> None:
    one, group = account.run(), account.group()
    ec2 = account.ec2
    for call, params in (
        (ec2.run_instances, account.request()),
        (ec2.terminate_instances, {"InstanceIds": [one]}),
        (ec2.stop_instances, {"InstanceIds": [one]}),
        (ec2.create_security_group, {"GroupName": "x", "Description": "x"}),
        (ec2.authorize_security_group_ingress, {"GroupId": group, "IpPermissions": []}),
        (ec2.delete_security_group, {"GroupId": group}),
        (ec2.allocate_address, {"Domain": "vpc"}),
        (ec2.create_tags, {"Resources": [one], "Tags": TAGS}),
        (ec2.modify_instance_attribute, {"InstanceId": one, "Groups": [group]}),
    ):
        assert refused(call, **params, DryRun=True) == ("DryRunOperation", 412)
    assert account.find("instance-state-name", "pending", "running") == [one]
