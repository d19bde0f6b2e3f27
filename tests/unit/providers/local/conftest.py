from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.models import GIB, Bundle, Environment, Network, Size, Spec


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    folder = tmp_path / "home" / "demo"
    folder.mkdir(parents=True)
    return Spec(
        id=str(uuid.uuid4()),  # processes are found by it: runs side by side must differ
        name="demo",
        folder=folder,
        size=Size(memory=2 * GIB, cores=2, disk=20 * GIB),
        user_data=b"\x1f\x8bnot really",
        bundle=Bundle(files=((".env", b"A='1'\n"),), image_key="abc"),
        environment=Environment(),
        network=Network(ca_bundle=""),
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
