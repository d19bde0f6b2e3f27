"""What every verb works with: the edges, chosen once by cli/wiring.py and handed down."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from provisioner.errors import ProvisionError
from provisioner.models import Credential, Server
from provisioner.protocols import (
    Clock,
    Dns,
    Downloads,
    Provider,
    Remote,
    Reporter,
    Repositories,
    Step,
    Visitor,
)
from provisioner.store import Folder, Store
from provisioner.workflow.waiting import SystemClock


class Connect(Protocol):
    def __call__(self, server: Server, folder: Folder) -> Remote:
        """Open a pinned connection. Raises NotYet while nobody answers."""
        ...


class Web(Protocol):
    """The workshop's web address, seen from the operator with its CA verified."""

    def healthy(self, url: str, ca: Path | None) -> None:
        """Raises NotYet while the hub does not answer over a verified chain."""
        ...

    def certificate_until(self, url: str, ca: Path | None) -> datetime:
        """When the certificate that is shown there ends. Raises NotYet like `healthy`."""
        ...

    def visitor(self, url: str, ca: Path | None, credential: Credential) -> Visitor: ...


@dataclass(frozen=True)
class Tools:
    store: Store
    provider: Provider
    connect: Connect
    web: Web
    reporter: Reporter
    dns: Dns | None = None  # None: nobody keeps the name, or there is none
    downloads: Downloads | None = None  # of shared data that is not the operator's own folder
    repositories: Repositories | None = None  # None: materials come from folders only
    clock: Clock = field(default_factory=SystemClock)

    @contextmanager
    def step(self, name: str, step: str, title: str, *, kind: str) -> Iterator[Step]:
        """A step that the human sees, whose time is kept: in events.jsonl and in the history.

        `kind` says on what sort of machine, since an emulated one is slower by a factor.
        """
        self.store.event(name, step=step, event="start")
        start = time.monotonic()
        try:
            usual = self.store.usual(step, kind)
            with self.reporter.step(title, usual=usual) as shown:
                yield shown
        except BaseException as error:
            seconds = round(time.monotonic() - start, 2)
            why = error.message if isinstance(error, ProvisionError) else type(error).__name__
            self.store.event(
                name, step=step, event="end", outcome="failed", seconds=seconds, why=why
            )
            raise
        seconds = time.monotonic() - start
        self.store.event(name, step=step, event="end", outcome="ok", seconds=round(seconds, 2))
        self.store.remember(step, kind, seconds)


def quietly(close: Callable[[], None]) -> None:
    """Close something whose failure to close changes nothing for anybody."""
    with contextlib.suppress(Exception):
        close()
