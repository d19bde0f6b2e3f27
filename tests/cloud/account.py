"""What tests against the fake do again and again, with plain boto3."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud.fixture import FakeAws

PARAMETER = "/aws/service/debian/release/13/latest/amd64"
TAGS = [{"Key": "provision:id", "Value": "one"}]
MINUTE = 60.0
KINDS = ("instance", "volume", "network-interface")


def refused(call: Callable[..., Any], **params: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def until(seconds: float, met: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
    return found


class Account:
    """A boto3 client and the few things each test needs first."""

    def __init__(self, cloud: FakeAws) -> None:
        self.cloud = cloud
        self.ec2 = cloud.client("ec2")
        ssm = cloud.client("ssm")
        self.image = ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"]
        self.subnets = self.ec2.describe_subnets()["Subnets"]
        self.vpc = self.subnets[0]["VpcId"]

    def subnet(self, letter: str) -> str:
        return next(
            str(one["SubnetId"]) for one in self.subnets if one["AvailabilityZone"].endswith(letter)
        )

    def group(self, name: str = "workshop") -> str:
        made = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return str(made["GroupId"])

    def request(self, **more: Any) -> dict[str, Any]:
        plain = {
            "ImageId": self.image,
            "InstanceType": "t3.small",
            "MinCount": 1,
            "MaxCount": 1,
            "SubnetId": self.subnet("a"),
            "TagSpecifications": [{"ResourceType": kind, "Tags": TAGS} for kind in KINDS],
        }
        return plain | more

    def run(self, **more: Any) -> str:
        return str(self.ec2.run_instances(**self.request(**more))["Instances"][0]["InstanceId"])

    def see(self, instance_id: str) -> dict[str, Any]:
        found = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        seen: dict[str, Any] = found[0]["Instances"][0]
        return seen

    def state(self, instance_id: str) -> str:
        return str(self.see(instance_id)["State"]["Name"])

    def becomes(self, instance_id: str, state: str) -> dict[str, Any]:
        """It has not changed by itself, and is in this state a minute later."""
        assert self.state(instance_id) != state
        self.cloud.advance(MINUTE)
        seen = self.see(instance_id)
        assert seen["State"]["Name"] == state
        return seen

    def find(self, name: str, *values: str) -> list[str]:
        pages = self.ec2.describe_instances(Filters=[{"Name": name, "Values": list(values)}])
        return [i["InstanceId"] for r in pages["Reservations"] for i in r["Instances"]]
