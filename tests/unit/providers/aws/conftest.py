"""A fake AWS that is as slow and as forgetful as the real one, with time in the test's hands."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.models import GIB, AwsOptions, Bundle, Environment, Network, Size, Spec
from provisioner.providers.aws import AwsProvider, clients
from tests.cloud.fixture import FakeAws, fake_aws

OPERATOR = "198.51.100.9"
MINUTE = 60.0


class World:
    """The cloud, the operator's computer, and the time of both."""

    def __init__(self, cloud: FakeAws, home: Path) -> None:
        self.cloud, self.home = cloud, home
        self.time = datetime(2030, 1, 1, 9, tzinfo=UTC)
        self.told: list[str] = []
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] | None = None

    def provider(self, home: Path | None = None, **options: Any) -> AwsProvider:
        """As a new process has it."""
        return AwsProvider(
            home or self.home,
            AwsOptions(**options),
            whereabouts=lambda: OPERATOR,
            tell=self.told.append,
            sleep=self.sleep,
            now=lambda: self.time,
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passes(seconds)
        if self.on_sleep:
            self.on_sleep()

    def passes(self, seconds: float = MINUTE) -> None:
        self.time += timedelta(seconds=seconds)
        self.cloud.advance(seconds)

    def spec(self, name: str = "one", *, size: Size | None = None, **aws: Any) -> Spec:
        folder = self.home / name
        folder.mkdir(parents=True)
        return Spec(
            id=str(uuid.uuid4()),
            name=name,
            folder=folder,
            size=size or Size(memory=6 * GIB, cores=2, disk=20 * GIB),
            user_data=b"\x1f\x8bnot really",
            bundle=Bundle(files=(), image_key="abc"),
            environment=Environment(),
            network=Network(ca_bundle=""),
            expires_at=self.time + timedelta(hours=8),
            owner="organiser",
            hostname="workshop.example.org",
            aws=AwsOptions(**aws),
        )

    def instances(self, *states: str) -> list[dict[str, Any]]:
        """What the account really has, seen past all delays; by default all but terminated."""
        states = states or ("pending", "running", "stopping", "stopped", "shutting-down")
        ec2 = self.cloud.client("ec2")
        found = [
            instance
            for reservation in ec2.describe_instances()["Reservations"]
            for instance in reservation["Instances"]
        ]
        return [one for one in found if one["State"]["Name"] in states]

    def zones_asked(self) -> list[str]:
        return [str(call["params"]["zone"])[-1] for call in self.cloud.calls("RunInstances")]

    def groups(self) -> list[str]:
        found = self.cloud.client("ec2").describe_security_groups()["SecurityGroups"]
        return [one["GroupName"] for one in found if one["GroupName"] != "default"]


@pytest.fixture(scope="session")
def slow_cloud() -> Iterator[FakeAws]:
    waits = ("pending", "stopping", "ending")
    with fake_aws(*(word for wait in waits for word in (f"--{wait}", "30"))) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def connections() -> Any:
    """boto3's clients are most of what a test's time goes to, and know nothing of the cloud."""
    return clients._Shared()


@pytest.fixture
def world(
    slow_cloud: FakeAws, connections: Any, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    slow_cloud.reset()
    monkeypatch.setattr(clients, "_Shared", lambda: connections)
    for key in ("AWS_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(key, raising=False)
    for key, text in slow_cloud.environ.items():
        monkeypatch.setenv(key, text)
    return World(slow_cloud, own_home)
