"""A cloud that answers at once, a hosted zone in it, and a place to run `provision` in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.aws.provision import Outcome, provision
from tests.cloud.fixture import REGION, FakeAws, fake_aws

ZONE = "workshops.example.org"
HOSTNAME = f"tessera.{ZONE}"
TOML = f"""\
name = "tessera"
provider = "aws"
users = 2
[dns]
hostname = "{HOSTNAME}"
provider = "route53"
[tls]
mode = "internal"
[aws]
region = "{REGION}"
"""


@dataclass
class World:
    """One laptop and one cloud account."""

    cloud: FakeAws
    root: Path
    home: Path

    def __call__(
        self, *words: str, home: Path | None = None, started: Callable[[int], None] | None = None
    ) -> Outcome:
        environ = self.cloud.environ | {"PROVISION_HOME": str(home or self.home), "NO_COLOR": "1"}
        return provision(
            *words,
            environ=environ,
            folder=self.root,
            insides=self.root / "insides",
            started=started or (lambda pid: None),
        )

    def instances(self) -> list[dict[str, Any]]:
        """Those that cost money or may do so again."""
        pages = self.cloud.client("ec2").describe_instances()["Reservations"]
        return [
            item
            for page in pages
            for item in page["Instances"]
            if item["State"]["Name"] not in {"terminated", "shutting-down"}
        ]

    def groups(self) -> list[str]:
        found = self.cloud.client("ec2").describe_security_groups()["SecurityGroups"]
        return [item["GroupName"] for item in found if item["GroupName"] != "default"]

    def records(self) -> dict[str, list[str]]:
        client = self.cloud.client("route53")
        (zone,) = client.list_hosted_zones()["HostedZones"]
        sets = client.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
        return {
            f"{item['Type']} {item['Name']}": [one["Value"] for one in item["ResourceRecords"]]
            for item in sets
            if item["Type"] not in {"NS", "SOA"}
        }

    def expire(self) -> None:
        """Let the deadline of what the machines left behind have passed."""
        ec2 = self.cloud.client("ec2")
        ours = [{"Name": "tag-key", "Values": ["provision:id"]}]
        left = ec2.describe_security_groups(Filters=ours)["SecurityGroups"]
        past = {"Key": "provision:expires-at", "Value": "2020-01-01T00:00:00+00:00"}
        ec2.create_tags(Resources=[group["GroupId"] for group in left], Tags=[past])

    def empty(self) -> None:
        """Nothing is left that could cost money or lead astray."""
        ec2 = self.cloud.client("ec2")
        assert self.instances() == []
        assert self.groups() == []
        assert self.records() == {}
        assert ec2.describe_volumes()["Volumes"] == []
        assert ec2.describe_addresses()["Addresses"] == []
        assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []

    def one_workshop(self) -> None:
        (machine,) = self.instances()
        assert machine["State"]["Name"] == "running"
        assert len(self.groups()) == 1
        assert self.records()[f"A {HOSTNAME}."] == [machine["PublicIpAddress"]]


@pytest.fixture(scope="session")
def quick_cloud() -> Iterator[FakeAws]:
    waits = ("pending", "stopping", "ending", "insync")
    with fake_aws(*(word for wait in waits for word in (f"--{wait}", "0"))) as cloud:
        yield cloud


@pytest.fixture
def world(quick_cloud: FakeAws, tmp_path: Path) -> World:
    quick_cloud.reset()
    quick_cloud.client("route53").create_hosted_zone(Name=ZONE, CallerReference="one")
    (tmp_path / "workshop.toml").write_text(TOML)
    return World(quick_cloud, tmp_path, tmp_path / "home")
