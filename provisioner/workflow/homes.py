"""What the server has of people: whose homes, how much is in each; and copies of several."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from provisioner.errors import NotReady, NotYet, ProvisionError
from provisioner.protocols import Remote
from provisioner.render import commands, homes
from provisioner.sizing import format_size
from provisioner.workflow.archive import (
    Kept,
    Manifest,
    read_back,
    save,
    settle,
    settle_names,
    write_to,
)
from provisioner.workflow.tools import quietly

AT_ONCE = 3
"""People. One is packed by one core of the server's; more than these wait for the network."""

SILENCE = 600.0
"""Seconds without a byte: a large file with nothing but holes in it takes its time."""

USERNAME = re.compile(r"[a-z][a-z0-9_-]*")
CHANGED = re.compile(
    r"^tar: (.*): (?:file changed as we read it|File removed before we read it|File shrank by .*)$",
    re.MULTILINE,
)
SOCKET = re.compile(r"^tar: (.*): socket ignored$", re.MULTILINE)
ENDED = re.compile(r"^code (\d+)$", re.MULTILINE)
SUM = re.compile(r"^sha256 ([0-9a-f]{64})$", re.MULTILINE)
LISTED = 50
"""Names of one person's files that are worth keeping."""


@dataclass(frozen=True, slots=True)
class Home:
    """What the server says of one, before it is read."""

    username: str
    entries: int
    bytes: int  # on its disk, without what is left out
    free: int  # bytes that it may still take
    state: str


def people_with_homes(remote: Remote) -> tuple[str, ...]:
    """Raises NotReady when the server does not say."""
    listed = remote.run(commands.list_homes())
    if not listed.ok:
        raise NotReady("The server did not say whose homes it has", details=(listed.err.strip(),))
    return tuple(name for name in sorted(listed.out.split()) if USERNAME.fullmatch(name))


def look_at(remote: Remote, usernames: tuple[str, ...]) -> dict[str, Home]:
    """By user name, those that could be looked at."""
    done = remote.run(homes.survey(usernames), timeout=SILENCE)
    found = {}
    for line in done.out.splitlines():
        try:
            seen: dict[str, Any] = json.loads(line)
            entries, size, free = (int(seen[word]) for word in ("entries", "bytes", "free"))
            home = Home(str(seen["user"]), entries, size, free, str(seen["state"]))
        except (ValueError, KeyError, TypeError):
            continue
        found[home.username] = home
    if usernames and not found:
        raise NotReady(
            "The server could not look at people's homes", details=(last_words(done.err),)
        )
    return found


class _Unread(NotReady):
    """A file that went while it was looked at may be all that was wrong."""


class Copying:
    """Several people's homes at once, over one connection."""

    def __init__(
        self,
        remote: Remote,
        target: Path,
        names: dict[str, str],
        tell: Callable[[str], None],
        *,
        total: int,
        done: int,
    ) -> None:
        self._remote, self._target, self._names = remote, target, names
        self._tell, self._total, self._done = tell, total, done
        self._lock, self._start, self._told = threading.Lock(), time.monotonic(), 0.0
        self._bytes = 0

    def all(
        self, manifest: Manifest, usernames: list[str], found: dict[str, Home]
    ) -> tuple[Manifest, dict[str, str]]:
        """The manifest with whose files came, and why the others' did not."""
        failed = {item: "the server could not read it" for item in usernames if item not in found}
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="backup")
        # The large ones first, so that none of them is waited for alone at the end.
        order = sorted(
            (found[item] for item in usernames if item in found), key=lambda at: -at.bytes
        )
        runs = {pool.submit(self._one, home): home.username for home in order}
        try:
            for run in as_completed(runs):
                try:
                    files = manifest.files | {runs[run]: run.result()}
                except ProvisionError as error:
                    failed[runs[run]] = " ".join((error.message, *error.details))
                else:
                    manifest = save(self._target, manifest.but(files=files))
                    self._done += 1
        except BaseException:
            quietly(self._remote.close)  # whoever is still receiving stops
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return manifest, failed

    def _one(self, home: Home) -> Kept:
        """Receive, read back, and put in its place.

        What changed meanwhile is tried once more, and what could not be read to its end.
        """
        path = self._target / f"{home.username}.tar.zst"
        part = path.with_name(f"{path.name}.part")
        at = datetime.now(UTC)
        try:
            changed, words = self._receive(home.username, part)
        except _Unread:
            changed, words = ["something"], ""
        if changed:
            at = datetime.now(UTC)
            changed, words = self._receive(home.username, part)
        contents = read_back(part)
        told = SUM.findall(words)
        if not told or told[-1] != contents.sha256:
            raise NotReady("what came is not what the server sent")
        part.replace(path)
        settle_names(path.parent)
        return Kept(
            archive=path.name,
            sha256=contents.sha256,
            size=contents.size,
            entries=contents.entries,
            content_bytes=contents.content_bytes,
            disk_bytes=home.bytes,
            content_sha256=contents.content_sha256,
            state="" if changed else home.state,
            at=at,
            name=self._names.get(home.username, ""),
            changed=tuple(dict.fromkeys(changed)),
            left_out=tuple(SOCKET.findall(words)[:LISTED]),
        )

    def _receive(self, username: str, part: Path) -> tuple[list[str], str]:
        """The archive to `part`; answers with what changed, and with all that tar had to say."""
        try:
            with write_to(part) as file:
                sink = cast(BinaryIO, _Counted(file, self._count))
                done = self._remote.receive(homes.archive(username), sink, timeout=SILENCE)
                settle(file)
        except NotYet as error:
            raise NotReady(error.message) from None
        except ProvisionError:
            part.unlink(missing_ok=True)  # the disk may be full
            raise
        except OSError as error:
            part.unlink(missing_ok=True)
            raise NotReady(f"it can't be written here: {error.strerror}") from None
        code = int((ENDED.findall(done.err) or ["2"])[-1])
        if code > 1 or not done.ok:
            raise _Unread("the server could not read it:", details=(last_words(done.err),))
        changed = CHANGED.findall(done.err)[:LISTED]
        return changed or (["something"] if code == 1 else []), done.err

    def _count(self, number: int) -> None:
        with self._lock:
            self._bytes += number
            now = time.monotonic()
            if now - self._told < 0.5:
                return
            self._told = now
        speed = self._bytes / max(now - self._start, 0.1)
        self._tell(
            f"{self._done} of {self._total} people, {format_size(self._bytes)} came, "
            f"{format_size(speed)}/s"
        )


class _Counted:
    def __init__(self, file: BinaryIO, count: Callable[[int], None]) -> None:
        self._file, self._count = file, count

    def write(self, data: bytes) -> int:
        self._count(len(data))
        return self._file.write(data)


def last_words(words: str) -> str:
    lines = [line for line in words.splitlines() if not line.startswith(("code ", "sha256 "))]
    return " ".join(lines[-3:]).strip() or "it gave no reason"
