"""The fake's troubles: refusals, lost answers, hung calls, killed callers; and its log."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ConnectionClosedError

from tests.cloud.account import TAGS, Account, refused, until
from tests.cloud.fixture import FakeAws, fake_aws


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("InsufficientInstanceCapacity", 500),
        ("VcpuLimitExceeded", 400),
        ("Unsupported", 400),
        ("RequestLimitExceeded", 503),
        ("InternalError", 500),
        ("UnauthorizedOperation", 403),
        ("RequestExpired", 400),
    ],
)
def test_a_scripted_refusal(cloud: FakeAws, account: Account, error: str, status: int) -> None:
    cloud.script("RunInstances", error, nth=2, times=2)
    run, request = account.ec2.run_instances, account.request()
    first = account.run()
    assert refused(run, **request) == (error, status)
    assert refused(run, **request) == (error, status)
    account.ec2.terminate_instances(InstanceIds=[first])
    account.run()


def test_capacity_is_missing_in_one_zone_for_one_type(cloud: FakeAws, account: Account) -> None:
    here = {"zone": "a", "InstanceType": "t3.small"}
    cloud.script("RunInstances", "InsufficientInstanceCapacity", when=here, times=None)
    for _ in range(2):
        code, status = refused(account.ec2.run_instances, **account.request())
        assert (code, status) == ("InsufficientInstanceCapacity", 500)
    account.run(SubnetId=account.subnet("b"))
    account.run(InstanceType="t3.medium")
    cloud.unscript()
    account.run()


def test_capacity_may_be_missed_later(cloud: FakeAws, account: Account) -> None:
    reason = "Server.InsufficientInstanceCapacity"
    cloud.script("RunInstances", reason, effect="fails")
    one = account.run()
    assert account.state(one) == "pending"
    seen = account.becomes(one, "terminated")
    assert seen["StateReason"]["Code"] == reason
    assert "PublicIpAddress" not in seen


def test_trouble_with_other_services(cloud: FakeAws) -> None:
    cloud.script("*", "Throttling", when={"service": "route53"})
    cloud.script("GetCallerIdentity", "ExpiredToken")
    cloud.script("GetParameter", "AccessDeniedException")
    assert refused(cloud.client("route53").list_hosted_zones) == ("Throttling", 400)
    sts = cloud.client("sts")
    assert refused(sts.get_caller_identity) == ("ExpiredToken", 403)
    assert sts.get_caller_identity()["Account"] == "123456789012"
    code, _ = refused(cloud.client("ssm").get_parameter, Name="x")
    assert code == "AccessDeniedException"


def test_quotas(cloud: FakeAws) -> None:
    client = cloud.client("service-quotas")
    ask = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
    assert client.get_service_quota(**ask)["Quota"]["Value"] == 64
    cloud.settings(vcpus=5)
    assert client.get_service_quota(**ask)["Quota"]["Value"] == 5
    code, _ = refused(client.get_service_quota, ServiceCode="ec2", QuotaCode="L-0")
    assert code == "NoSuchResourceException"


def test_images_of_both_architectures(cloud: FakeAws) -> None:
    names = [f"/aws/service/debian/release/13/latest/{arch}" for arch in ("amd64", "arm64")]
    found = cloud.client("ssm").get_parameters(Names=[*names, "/none"])
    assert found["InvalidParameters"] == ["/none"]
    wanted = [one["Value"] for one in found["Parameters"]]
    images = cloud.client("ec2").describe_images(ImageIds=wanted)["Images"]
    assert {i["Architecture"] for i in images} == {"x86_64", "arm64"}
    assert {i["RootDeviceName"] for i in images} == {"/dev/xvda"}


def test_a_lost_answer(cloud: FakeAws, account: Account) -> None:
    cloud.script("RunInstances", effect="lost")
    cloud.script("CreateSecurityGroup", effect="drop")
    with pytest.raises(ConnectionClosedError):
        account.run(ClientToken="one")
    with pytest.raises(ConnectionClosedError):
        account.group()
    found = account.find("client-token", "one")
    assert len(found) == 1
    assert account.run(ClientToken="one") == found[0]
    account.group()
    assert [call["outcome"] for call in cloud.calls(mutating=True)] == ["lost", "drop", "ok", "ok"]


def test_a_call_that_hangs_is_let_go(cloud: FakeAws, account: Account) -> None:
    cloud.script("RunInstances", effect="hang")
    failures: list[Exception] = []

    def run() -> None:
        try:
            account.run()
        except ConnectionClosedError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until(3, lambda: [c for c in cloud.calls("RunInstances") if c["outcome"] == "hang"])
    assert not account.ec2.describe_instances()["Reservations"]
    cloud.release()
    thread.join(5)
    assert len(failures) == 1


def test_calls_are_logged(cloud: FakeAws, account: Account) -> None:
    one = account.run(UserData="secret")
    refused(account.ec2.terminate_instances, InstanceIds=["i-0123456789abcdef0"])
    cloud.client("route53").create_hosted_zone(Name="example.org", CallerReference="x")
    account.ec2.create_tags(Resources=[one], Tags=TAGS)
    assert cloud.actions() == [
        "GetParameter",
        "DescribeSubnets",
        "RunInstances",
        "TerminateInstances",
        "CreateHostedZone",
        "CreateTags",
    ]
    assert cloud.actions(mutating=True) == cloud.actions()[2:]
    run, end = cloud.calls("RunInstances", "TerminateInstances")
    assert run["params"]["zone"] == "eu-west-2a"
    assert run["params"]["UserData"] == "8 characters"
    assert (run["outcome"], end["outcome"]) == ("ok", "InvalidInstanceID.NotFound")


CHILD = """
import boto3
ec2 = boto3.client("ec2")
for name in "abc":
    ec2.describe_security_groups()
    ec2.create_security_group(GroupName=name, Description=name)
"""


@pytest.mark.parametrize(("when", "left"), [("before", ["a"]), ("after", ["a", "b"])])
def test_a_caller_is_killed(cloud: FakeAws, when: str, left: list[str]) -> None:
    getattr(cloud, f"kill_{when}")(2)
    with subprocess.Popen([sys.executable, "-c", CHILD], env=cloud.environ) as child:
        cloud.victim(child.pid)
        assert child.wait(20) == -9
    assert cloud.killed == child.pid
    groups = cloud.client("ec2").describe_security_groups()["SecurityGroups"]
    assert sorted(g["GroupName"] for g in groups if g["GroupName"] != "default") == left
    assert cloud.calls(mutating=True)[-1]["outcome"] == f"killed {when}"


def test_strangers_are_not_killed(cloud: FakeAws) -> None:
    with pytest.raises(ValueError, match="not a process of the test's own"):
        cloud.victim(1)


def test_mistakes_in_scripts_are_said(cloud: FakeAws) -> None:
    with pytest.raises(ValueError, match="no such setting"):
        cloud.settings(speed=1)
    with pytest.raises(ValueError, match="effect"):
        cloud.script("RunInstances", effect="explode")


def test_something_real_is_told(tmp_path: Path) -> None:
    hook = f"sh -c 'cat > {tmp_path}/$$.part && mv {tmp_path}/$$.part {tmp_path}/$$.json'"
    hooks = "--on-run", hook, "--on-end", hook
    with fake_aws(*hooks, "--public-address", "127.0.0.9", "--pending", "60") as cloud:
        account = Account(cloud)
        one, two = account.run(UserData="hello"), account.run()
        assert account.becomes(one, "running")["PublicIpAddress"] == "127.0.0.9"
        account.ec2.terminate_instances(InstanceIds=[one])
        until(3, lambda: len(list(tmp_path.glob("*.json"))) == 3)
    events = [json.loads(told.read_text()) for told in tmp_path.glob("*.json")]
    events.sort(key=lambda event: ("run", "terminate", "exit").index(event["event"]))
    assert [event["event"] for event in events] == ["run", "run", "terminate", "exit"]
    assert {event["instance_id"] for event in events[:2]} == {one, two}
    first = next(event for event in events if event["instance_id"] == one)
    assert (first["user_data"], first["public_address"]) == ("aGVsbG8=", "127.0.0.9")
    assert first["tags"] == {"provision:id": "one"}


def test_time_passes_by_itself(cloud: FakeAws, account: Account) -> None:
    cloud.settings(pending=0.2)
    one = account.run()
    until(5, lambda: account.state(one) == "running")


def test_a_dry_run_meets_permissions_and_not_capacity(cloud: FakeAws, account: Account) -> None:
    cloud.script("RunInstances", "InsufficientInstanceCapacity")
    cloud.script("RunInstances", "UnauthorizedOperation", nth=2)
    run, request = account.ec2.run_instances, account.request()
    assert refused(run, **request, DryRun=True) == ("DryRunOperation", 412)
    assert refused(run, **request, DryRun=True) == ("UnauthorizedOperation", 403)
    assert refused(run, **request) == ("InsufficientInstanceCapacity", 500)


def test_any_mutating_call_may_be_met(cloud: FakeAws, account: Account) -> None:
    cloud.script("*", "InternalError", when={"mutating": "true"}, nth=2)
    one = account.run()
    account.see(one)
    assert refused(account.ec2.terminate_instances, InstanceIds=[one]) == ("InternalError", 500)
    account.ec2.terminate_instances(InstanceIds=[one])


def test_prices(cloud: FakeAws) -> None:
    wanted = {"instanceType": "t3.small", "regionCode": "eu-west-2", "operatingSystem": "Linux"}
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
    pricing = cloud.client("pricing", region="us-east-1")
    found = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    (offer,) = (json.loads(one) for one in found)
    assert offer["product"]["attributes"].items() >= wanted.items()
    (term,) = offer["terms"]["OnDemand"].values()
    (price,) = term["priceDimensions"].values()
    assert float(price["pricePerUnit"]["USD"]) > 0
