"""One cloud for the whole run, as new for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cloud.account import Account
from tests.cloud.fixture import FakeAws, fake_aws


@pytest.fixture(scope="session")
def running_cloud() -> Iterator[FakeAws]:
    # Slow, so that nothing happens before a test lets time pass.
    waits = ("pending", "stopping", "ending", "insync")
    with fake_aws(*(word for wait in waits for word in (f"--{wait}", "60"))) as cloud:
        yield cloud


@pytest.fixture
def cloud(running_cloud: FakeAws) -> FakeAws:
    running_cloud.reset()
    return running_cloud


@pytest.fixture
def account(cloud: FakeAws) -> Account:
    return Account(cloud)
