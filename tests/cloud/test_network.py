"""The fake's groups, addresses and records."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.account import Account, refused
from tests.cloud.fixture import FakeAws


def test_a_group_in_use_stays(account: Account) -> None:
    group = account.group()
    one = account.run(SecurityGroupIds=[group])
    delete = account.ec2.delete_security_group
    assert refused(delete, GroupId=group) == ("DependencyViolation", 400)
    account.becomes(one, "running")
    account.ec2.terminate_instances(InstanceIds=[one])
    assert refused(delete, GroupId=group)[0] == "DependencyViolation"
    account.becomes(one, "terminated")
    delete(GroupId=group)
    assert refused(delete, GroupId=group)[0] == "InvalidGroup.NotFound"


def test_another_group_frees_it(account: Account) -> None:
    group, other = account.group(), account.group("other")
    one = account.run(SecurityGroupIds=[group])
    account.ec2.modify_instance_attribute(InstanceId=one, Groups=[other])
    assert [g["GroupId"] for g in account.see(one)["SecurityGroups"]] == [other]
    account.ec2.delete_security_group(GroupId=group)
    assert refused(account.ec2.delete_security_group, GroupId=other)[0] == "DependencyViolation"


def test_groups_of_interfaces_and_rules_count(account: Account) -> None:
    group, other = account.group(), account.group("other")
    card = {"DeviceIndex": 0, "SubnetId": account.subnet("a"), "Groups": [group]}
    request = account.request(NetworkInterfaces=[card | {"AssociatePublicIpAddress": True}])
    del request["SubnetId"]
    one = account.ec2.run_instances(**request)["Instances"][0]
    assert [g["GroupId"] for g in one["SecurityGroups"]] == [group]
    assert account.becomes(one["InstanceId"], "running")["PublicIpAddress"]
    interfaces = account.ec2.describe_network_interfaces(
        Filters=[{"Name": "group-id", "Values": [group]}]
    )["NetworkInterfaces"]
    assert [n["Attachment"]["InstanceId"] for n in interfaces] == [one["InstanceId"]]
    assert refused(account.ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    pair = [{"GroupId": other}]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": pair}
    account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert refused(account.ec2.delete_security_group, GroupId=other)[0] == "DependencyViolation"


@pytest.mark.parametrize("by", ["calls", "seconds"])
def test_the_new_is_not_seen_at_once(cloud: FakeAws, account: Account, by: str) -> None:
    cloud.settings(**{f"unseen_{by}": {"calls": 2, "seconds": 60}[by]})
    ec2 = account.ec2
    group = account.group()
    name = [{"Name": "group-name", "Values": ["workshop"]}]
    assert refused(ec2.describe_security_groups, GroupIds=[group])[0] == "InvalidGroup.NotFound"
    assert not ec2.describe_security_groups(Filters=name)["SecurityGroups"]
    if by == "seconds":
        cloud.advance(60)
    assert ec2.describe_security_groups(Filters=name)["SecurityGroups"]
    one = account.run(SecurityGroupIds=[group], ClientToken="one")
    assert refused(ec2.describe_instances, InstanceIds=[one])[0] == "InvalidInstanceID.NotFound"
    assert account.find("tag:provision:id", "one") == []
    assert account.run(SecurityGroupIds=[group], ClientToken="one") == one
    if by == "seconds":
        cloud.advance(60)
    assert account.find("tag:provision:id", "one") == [one]


def test_other_calls_may_not_know_it_either(cloud: FakeAws, account: Account) -> None:
    cloud.settings(unseen_calls=1, unseen_by="all")
    one = account.run()
    end = account.ec2.terminate_instances
    assert refused(end, InstanceIds=[one])[0] == "InvalidInstanceID.NotFound"
    end(InstanceIds=[one])


def test_an_address_outlives_its_instance(account: Account) -> None:
    ec2 = account.ec2
    one = account.run()
    address = ec2.allocate_address(Domain="vpc")
    wanted = {"AllocationId": address["AllocationId"]}
    assert refused(ec2.associate_address, InstanceId=one, **wanted)[0] == "InvalidInstanceID"
    account.becomes(one, "running")
    ec2.associate_address(InstanceId=one, **wanted)
    assert account.see(one)["PublicIpAddress"] == address["PublicIp"]
    ec2.stop_instances(InstanceIds=[one])
    assert account.becomes(one, "stopped")["PublicIpAddress"] == address["PublicIp"]
    ec2.start_instances(InstanceIds=[one])
    assert account.becomes(one, "running")["PublicIpAddress"] == address["PublicIp"]
    ec2.terminate_instances(InstanceIds=[one])
    account.becomes(one, "terminated")
    left = ec2.describe_addresses()["Addresses"]
    assert [(a["PublicIp"], a.get("AssociationId")) for a in left] == [(address["PublicIp"], None)]
    ec2.release_address(**wanted)
    assert not ec2.describe_addresses()["Addresses"]
    for _ in range(5):
        ec2.allocate_address(Domain="vpc")
    assert refused(ec2.allocate_address, Domain="vpc")[0] == "AddressLimitExceeded"


class Zone:
    def __init__(self, cloud: FakeAws) -> None:
        self.client = cloud.client("route53")
        made = self.client.create_hosted_zone(Name="example.org", CallerReference="one")
        self.id = made["HostedZone"]["Id"]

    def change(self, *changes: tuple[str, str, str]) -> Any:
        batch = [
            {
                "Action": action,
                "ResourceRecordSet": {
                    "Name": name,
                    "Type": "A",
                    "TTL": 60,
                    "ResourceRecords": [{"Value": value}],
                },
            }
            for action, name, value in changes
        ]
        return self.client.change_resource_record_sets(
            HostedZoneId=self.id, ChangeBatch={"Changes": batch}
        )["ChangeInfo"]

    def there(self) -> dict[str, str]:
        found = self.client.list_resource_record_sets(HostedZoneId=self.id)["ResourceRecordSets"]
        return {r["Name"]: r["ResourceRecords"][0]["Value"] for r in found if r["Type"] == "A"}


@pytest.fixture
def zone(cloud: FakeAws) -> Zone:
    return Zone(cloud)


def test_a_dns_change_takes_a_while(cloud: FakeAws, zone: Zone) -> None:
    change = zone.change(("CREATE", "w.example.org", "192.0.2.1"))
    assert change["Status"] == "PENDING"
    state = lambda: zone.client.get_change(Id=change["Id"])["ChangeInfo"]["Status"]  # noqa: E731
    assert state() == "PENDING"
    assert zone.there() == {"w.example.org.": "192.0.2.1"}
    cloud.advance(60)
    assert state() == "INSYNC"
    assert refused(zone.client.get_change, Id="C0") == ("NoSuchChange", 404)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("CREATE", "w.example.org.", "192.0.2.2"), "but it already exists"),
        (("DELETE", "w.example.org", "192.0.2.2"), "values provided do not match the current"),
        (("DELETE", "x.example.org", "192.0.2.1"), "but it was not found"),
        (("CREATE", "w.example.com", "192.0.2.1"), "is not permitted in zone"),
    ],
)
def test_a_wrong_change_changes_nothing(
    zone: Zone, change: tuple[str, str, str], words: str
) -> None:
    zone.change(("CREATE", "w.example.org", "192.0.2.1"))
    errors = zone.client.exceptions
    with pytest.raises(errors.InvalidChangeBatch, match=words):
        zone.change(("UPSERT", "y.example.org", "192.0.2.9"), change)
    assert zone.there() == {"w.example.org.": "192.0.2.1"}


def test_records_are_changed_and_deleted(cloud: FakeAws, zone: Zone) -> None:
    zone.change(("CREATE", "W.example.org", "192.0.2.1"))
    zone.change(("UPSERT", "w.example.org", "192.0.2.2"))
    assert zone.there() == {"w.example.org.": "192.0.2.2"}
    moved = ("DELETE", "w.example.org", "192.0.2.2"), ("CREATE", "w.example.org", "192.0.2.3")
    zone.change(*moved)
    said = cloud.calls("ChangeResourceRecordSets")[-1]["params"]["changes"]
    assert said == "DELETE w.example.org. A 60 192.0.2.2; CREATE w.example.org. A 60 192.0.2.3"
    zone.change(("DELETE", "w.example.org", "192.0.2.3"))
    assert zone.there() == {}
    assert refused(zone.client.delete_hosted_zone, Id="Z0")[1] == 404


def test_the_default_network_leads_out(cloud: FakeAws, account: Account) -> None:
    main = [{"Name": "vpc-id", "Values": [account.vpc]}]
    main.append({"Name": "association.main", "Values": ["true"]})
    (table,) = account.ec2.describe_route_tables(Filters=main)["RouteTables"]
    out = [r for r in table["Routes"] if r["DestinationCidrBlock"] == "0.0.0.0/0"]
    assert out[0]["GatewayId"].startswith("igw-")
    regions = [r["RegionName"] for r in account.ec2.describe_regions()["Regions"]]
    assert len(regions) == 17
    assert "eu-west-2" in regions
    assert cloud.client("ec2", region="us-east-1").describe_subnets()["Subnets"]
