"""Stand-ins for the human and for time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.protocols import Step
from provisioner.providers.fake import FakeCloud
from provisioner.store import Store
from provisioner.workflow.tools import Tools


class SilentStep:
    def update(self, detail: str) -> None: ...


class Listener:
    """A reporter that keeps what was said."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.words: list[str] = []

    @contextmanager
    def step(self, title: str, *, usual: float | None = None) -> Iterator[Step]:
        self.steps.append(title)
        yield SilentStep()

    def note(self, text: str) -> None:
        self.words.append(text)

    def warn(self, text: str) -> None:
        self.words.append(f"warning: {text}")


class FakeClock:
    """Hours pass at once."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def fake_tools(home: Path, cloud: FakeCloud | None = None) -> Tools:
    """A whole provision over a fake cloud in `home`/.fake."""
    cloud = cloud or FakeCloud(home / ".fake")
    return Tools(Store(home), cloud.provider, cloud.connect, cloud, Listener(), clock=FakeClock())
