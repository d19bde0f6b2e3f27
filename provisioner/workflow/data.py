"""Shared data goes to the server once, and again only what has changed.

What a lost connection or a killed launch left there is gone on with, at the byte where it stopped.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import NotReady, NotYet, Refused
from provisioner.models import DataSource, Download
from provisioner.protocols import Downloads, Remote
from provisioner.render import commands
from provisioner.survey import survey
from provisioner.workflow.checks import Climb, still_alive
from provisioner.workflow.measured import is_folder
from provisioner.workflow.waiting import wait_for

PATIENCE = 300.0
"""Seconds without a byte more on the server, over all attempts, before it is given up."""

EVERY = 5.0
"""Seconds between two attempts."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Supply:
    """One thing to bring; `fingerprint` is of the state that it is in."""

    title: str
    fingerprint: str
    bring: Callable[[Remote, str, Progress], None]
    empty: bool = False


def send_data(climb: Climb, sources: tuple[DataSource, ...], *, kind: str) -> None:
    """Bring everything to where the bundle expects it. Raises NotReady, Refused.

    What the server has whole is good enough when its source is away: a disk that was unplugged,
    credentials that have ended.
    """
    for number, source in enumerate(sources):
        target, stamp = commands.data_folder(number), commands.data_stamp(number)
        has = climb.read(stamp).strip()
        try:
            supply = supply_of(climb.tools.downloads, source)
            if has and supply.empty:  # where a disk is mounted that is away
                raise NotReady(f"The folder {source.source} for {source.path} is empty now")
        except (NotReady, Refused) as error:
            if not has:
                raise
            climb.tools.reporter.warn(
                f"{error.message}; {source.path} stays as the server has it already"
            )
            continue
        if supply.fingerprint == has:
            continue
        with climb.tools.step(climb.record.name, f"data-{number}", supply.title, kind=kind) as step:
            bring(climb, supply, target, step.update)
            content = supply.fingerprint.encode()
            kept = climb.remote.run(commands.write_file(stamp, len(content)), stdin=content)
            if not kept.ok:
                raise NotReady(f"{stamp} could not be written", details=(kept.err.strip(),))


def supply_of(downloads: Downloads | None, source: DataSource) -> Supply:
    if is_folder(source):
        return _from_folder(source)
    if downloads is None:
        raise NotReady(f"{source.source} can't be fetched by this kind of workshop")
    return _from_elsewhere(downloads, source)


def _from_folder(source: DataSource) -> Supply:
    folder = Path(source.source)
    if not folder.is_dir():
        raise NotReady(
            f"The folder {source.source} for {source.path} is not there",
            hint="put it back, then launch again",
        )
    found = survey(folder)
    return Supply(
        f"Copying {folder.name} for {source.path}",
        found.fingerprint,
        lambda remote, target, tell: remote.send_tree(folder, target, tell),
        empty=not found.entries,
    )


def _from_elsewhere(downloads: Downloads, source: DataSource) -> Supply:
    found = downloads.listing(source)
    name = found[0].path if len(found) == 1 else f"{len(found)} files"
    return Supply(
        f"Fetching {name} for {source.path}",
        _fingerprint(found),
        lambda remote, target, tell: remote.fetch_tree(
            found, target, lambda wanted: downloads.links(source, wanted), tell
        ),
    )


def _fingerprint(found: tuple[Download, ...]) -> str:
    """A file whose sum is known is that file, whether or not its keeper says its size today."""
    digest = hashlib.sha256()
    for item in found:
        state = item.sha256 or f"{item.size}\0{item.mtime}\0{item.version}"
        digest.update(f"{item.path}\0{state}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def bring(climb: Climb, supply: Supply, target: str, say: Callable[[str], None]) -> None:
    """As many attempts as it takes, while each brings something."""
    progress = _Progress(say)

    def attempt() -> None:
        progress.lost = False
        try:
            supply.bring(climb.remote, target, progress.tell)
        except NotYet:
            progress.lost = True
            climb.reconnect()
            raise

    while True:
        progress.more = False
        try:
            wait_for(
                attempt,
                budget=PATIENCE,
                clock=climb.tools.clock,
                alive=lambda: still_alive(climb),
                tell=lambda why: say(f"{why}; going on from there"),
                every=EVERY,
            )
        except NotReady as error:
            if not progress.lost:
                raise
            if not progress.more:
                hint = error.hint or f"provision launch {climb.record.name}   goes on from there"
                raise NotReady(error.message, hint=hint, details=error.details) from None
        else:
            return


class _Progress:
    """How far it has come, in words; `more` when it came further than ever before."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._most = say, -1
        self._begun: tuple[float, int] | None = None
        self.more = self.lost = False

    def tell(self, there: int, total: int) -> None:
        now = time.monotonic()
        if self._begun is None or there < self._begun[1]:
            self._begun = (now, there)
        if there > self._most:
            self._most, self.more = there, True
        amount = f"{there / 1e6:.0f} of {total / 1e6:.0f} MB" if total else f"{there / 1e6:.0f} MB"
        self._say(amount + _pace(there - self._begun[1], now - self._begun[0], total - there))


def _pace(moved: int, seconds: float, left: int) -> str:
    """Nothing before there is something to go by."""
    if seconds < 3 or moved <= 0:
        return ""
    rate = moved / seconds
    words = f", {rate / 1e6:.1f} MB/s"
    return words + (f", {left / rate / 60:.0f} min left" if left / rate >= 90 else "")
