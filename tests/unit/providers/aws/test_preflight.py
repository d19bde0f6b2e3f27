"""What is found before anything costs money."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from provisioner.errors import Refused
from provisioner.models import Finding, Findings, Severity
from provisioner.providers.aws import clients
from tests.unit.providers.aws.conftest import World


def errors(findings: Findings) -> dict[str, Finding]:
    return {item.subject: item for item in findings if item.severity is Severity.ERROR}


def test_a_sound_account_has_nothing_to_worry_about(world: World) -> None:
    before = len(world.cloud.actions(mutating=True))
    findings = world.provider().check(world.spec())
    assert {item.severity for item in findings} == {Severity.INFO}
    told = {item.subject: item.message for item in findings}
    assert "123456789012" in told["sign-in"]
    assert "USD/h" in told["price"]
    assert "in 8 h" in told["price"]
    assert "debian-13" in told["image"]
    assert "198.51.100.9/32" in told["ssh"]
    assert len(world.cloud.actions(mutating=True)) == before, "it only reads"


def test_all_that_is_wrong_is_told_at_once(world: World) -> None:
    def unknown() -> str:
        raise Refused("checkip does not answer", hint="set aws.ssh_from")

    world.cloud.settings(vcpus=1, addresses=0)
    world.cloud.script("RunInstances", "UnauthorizedOperation", times=None)
    provider = world.provider()
    provider._whereabouts = unknown
    spec = replace(world.spec(static_ip=True), user_data=b"x" * 20_000)
    found = errors(provider.check(spec))
    assert set(found) == {"user-data", "ssh", "vCPUs", "static addresses", "permission"}
    assert "20,000" in found["user-data"].message
    assert "16,384" in found["user-data"].message
    assert "ec2:RunInstances" in found["permission"].message
    assert "L-1216C47A" in found["vCPUs"].hint
    assert "L-0263D0A3" in found["static addresses"].hint


def test_machines_that_run_use_up_the_quota(world: World) -> None:
    world.cloud.settings(vcpus=6)
    provider = world.provider()
    provider.create(world.spec("first", instance_type="m6i.xlarge"))
    found = errors(provider.check(world.spec("second", instance_type="m6i.xlarge")))
    assert "6 vCPUs" in found["vCPUs"].message
    assert "4 are in use" in found["vCPUs"].message


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("CreateSecurityGroup", "UnauthorizedOperation"),
        ("DescribeInstanceTypeOfferings", "UnauthorizedOperation"),
        ("GetParameters", "AccessDeniedException"),
    ],
)
def test_a_missing_permission_is_named(world: World, action: str, code: str) -> None:
    world.cloud.script(action, code, times=None)
    found = errors(world.provider().check(world.spec()))
    assert any(f":{action}" in item.message for item in found.values())


def test_permissions_that_can_t_be_proven_are_no_error(world: World) -> None:
    world.cloud.script("TerminateInstances", "UnauthorizedOperation")
    findings = world.provider().check(world.spec())
    assert errors(findings) == {}
    assert any("ec2:TerminateInstances" in item.message for item in findings)


def test_a_quota_that_can_t_be_read_stops_nobody(world: World) -> None:
    world.cloud.script("GetServiceQuota", "AccessDeniedException", times=None)
    assert errors(world.provider().check(world.spec())) == {}


def test_a_subnet_that_nobody_can_reach(world: World) -> None:
    ec2 = world.cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="eu-west-2a")
    subnet = made["Subnet"]["SubnetId"]
    found = errors(world.provider().check(world.spec(subnet=subnet)))
    assert "internet gateway" in found["network"].message


def test_signed_out_is_one_finding_with_the_way_in(world: World) -> None:
    world.cloud.script("*", "ExpiredToken", times=None)
    monkey = pytest.MonkeyPatch()
    monkey.setattr(clients, "_Shared", type(clients._Shared()))
    try:
        found = errors(world.provider().check(world.spec()))
    finally:
        monkey.undo()
    assert list(found) == ["sign-in"]
    assert "sign in again" in found["sign-in"].hint


@pytest.mark.parametrize(
    ("minutes", "severity"), [(3, Severity.ERROR), (20, Severity.WARNING), (300, None)]
)
def test_credentials_that_end_during_the_launch(
    world: World, monkeypatch: pytest.MonkeyPatch, minutes: int, severity: Severity | None
) -> None:
    end = world.time + timedelta(minutes=minutes)
    monkeypatch.setattr(clients.Clients, "credentials_end", lambda _: end)
    found = {item.subject: item for item in world.provider().check(world.spec())}
    told: Any = found.get("credentials")
    assert (told and told.severity) == severity
    if told:
        assert f"{minutes} min" in told.message


def test_an_image_for_another_processor(world: World) -> None:
    arm = world.cloud.client("ssm").get_parameter(
        Name="/aws/service/debian/release/13/latest/arm64"
    )
    found = errors(world.provider().check(world.spec(ami=arm["Parameter"]["Value"])))
    assert "arm64" in found["image"].message


def test_an_arm_machine_gets_an_arm_image(world: World) -> None:
    spec = world.spec(instance_type="m7g.large")
    assert errors(world.provider().check(spec)) == {}
    world.provider().create(spec)
    (made,) = world.instances()
    assert made["Architecture"] == "arm64"


def test_a_type_that_no_zone_offers(world: World) -> None:
    found = errors(world.provider().check(world.spec(instance_type="m9x.large")))
    assert "m9x.large" in found["machine"].message


def test_an_unknown_price_is_no_reason_to_refuse(world: World) -> None:
    findings = world.provider().check(world.spec(instance_type="t3.2xlarge"))
    assert errors(findings) == {}
    assert [item.subject for item in findings if item.severity is Severity.WARNING] == ["price"]


def test_no_region_is_one_finding(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    found = errors(world.provider().check(world.spec()))
    assert list(found) == ["region"]
    assert "--region" in found["region"].hint
