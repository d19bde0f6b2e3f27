from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.cli.output import ConsoleReporter
from tests.engine.machine import Engine
from tests.engine.workshop import Workshop, launched, settings, why_not

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    """Launched once for all tests of this folder: they leave it as they found it."""
    if reason := why_not():
        pytest.skip(reason)
    with Engine() as engine:
        yield Workshop(engine, *launched(engine, settings(), ConsoleReporter()))
