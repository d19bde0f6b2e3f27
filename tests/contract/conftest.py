"""Every provider that there is, ready to make a machine without the money or the minutes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provisioner.models import GIB, Bundle, Environment, HostOptions, Network, Server, Size, Spec
from provisioner.providers.aws import AwsProvider
from provisioner.providers.fake import FakeProvider
from provisioner.providers.local import LocalProvider
from tests.cloud.fixture import FakeAws, fake_aws
from tests.impostor import pretend_qemu
from tests.unit.providers.host.machine import Farm


class SwiftAws(AwsProvider):
    """In a cloud without delays: a machine that was asked for runs when it is looked at."""

    def create(self, spec: Spec) -> Server:
        made = super().create(spec)
        return self.find(spec.id) or made


@pytest.fixture(scope="session")
def swift_cloud() -> Iterator[FakeAws]:
    with fake_aws("--pending", "0", "--stopping", "0", "--ending", "0") as cloud:
        yield cloud


@pytest.fixture
def make_spec(own_home: Path) -> Callable[[str], Spec]:
    def make(name: str) -> Spec:
        folder = own_home / name
        folder.mkdir(parents=True)
        return Spec(
            id=str(uuid.uuid4()),
            name=name,
            folder=folder,
            size=Size(memory=2 * GIB, cores=2, disk=20 * GIB),
            user_data=b"\x1f\x8bnot really",
            bundle=Bundle(files=((".env", b"A='1'\n"),), image_key="abc"),
            environment=Environment(),
            network=Network(ca_bundle=""),
            expires_at=datetime(2030, 1, 1, tzinfo=UTC),
            host=HostOptions(f"owner@{name}.example.org"),
        )

    return make


@pytest.fixture(params=["fake", "local", "aws", "host"])
def provider(
    request: pytest.FixtureRequest,
    own_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_spec: Callable[[str], Spec],
) -> Iterator[Any]:
    if request.param == "fake":
        yield FakeProvider(own_home / ".fake")
        return
    if request.param == "host":
        yield Farm().provider()
        return
    if request.param == "aws":
        cloud = request.getfixturevalue("swift_cloud")
        cloud.reset()
        for key, text in cloud.environ.items():
            monkeypatch.setenv(key, text)
        yield SwiftAws(own_home, whereabouts=lambda: "198.51.100.9")
        return
    pretend_qemu(tmp_path, monkeypatch, make_spec("image"))
    made = LocalProvider(home=own_home, images=tmp_path / "images")
    yield made
    for found in made.discover():
        made.delete(found.id)
