"""Every provider that there is, ready to make a machine without the money or the minutes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provisioner.models import GIB, Bundle, Environment, Network, Size, Spec
from provisioner.providers.fake import FakeProvider
from provisioner.providers.local import LocalProvider
from tests.impostor import pretend_qemu


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
        )

    return make


@pytest.fixture(params=["fake", "local"])
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
    pretend_qemu(tmp_path, monkeypatch, make_spec("image"))
    made = LocalProvider(home=own_home, images=tmp_path / "images")
    yield made
    for found in made.discover():
        made.delete(found.id)
