"""A data folder on the server: what it has, what it lacks, and how what came takes its place."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from provisioner.errors import NotReady
from provisioner.models import Result
from provisioner.render import data
from provisioner.sizing import format_size
from provisioner.survey import Entry

RESERVE = 64 * 1024**2
"""Bytes that stay free on the server."""

LONG = 600.0
"""Seconds of silence that reading or moving a lot of files may take."""

Progress = Callable[[int, int], None]


class Line(Protocol):
    """A connection, as far as filling a folder needs one. See protocols.Remote."""

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result: ...

    def receive(
        self, command: str, sink: BinaryIO, *, timeout: float = 60, stdin: bytes = b""
    ) -> Result: ...

    def put(
        self, source: BinaryIO, target: str, *, at: int, size: int, progress: Callable[[int], None]
    ) -> None:
        """Write what `source` has from byte `at` to `size` into the file `target`, at the same
        place; `progress` is how far it is. Raises NotYet, NotReady."""
        ...


@dataclass(slots=True)
class There:
    """What the server has: in place, complete but not in place yet, and parts with their sizes."""

    settled: dict[str, Entry] = field(default_factory=dict)
    staged: dict[str, Entry] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)

    def has(self, entry: Entry) -> bool:
        return entry.like(self.settled.get(entry.path)) or entry.like(self.staged.get(entry.path))


class Tree:
    """One folder of the server's, being filled."""

    def __init__(self, line: Line, target: str) -> None:
        self.line, self.target = line, target
        self.there = There()

    def look(self) -> None:
        """Ask what is there. Raises NotReady when the folders can't be made or read."""
        sink = io.BytesIO()
        done = self.line.receive(data.look(self.target), sink, timeout=LONG)
        must(done, f"{self.target} can't be read on the server")
        words = [os.fsdecode(word) for word in sink.getvalue().split(b"\0")]
        self.there = There()
        places = {
            self.target: self.there.settled,
            data.staging(self.target): self.there.staged,
        }
        for place, path, kind, mode, size, time, link in zip(*[iter(words)] * 7, strict=False):
            if place in places:
                places[place][path] = _entry(path, kind, mode, size, time, link)
            elif path != ".lock":
                self.there.parts[path] = int(size)

    def clear(self, wanted: dict[str, Entry], parts: Iterable[str]) -> None:
        """Remove what is in the way or of no use: what is gone at the source, what is now of
        another kind, parts of earlier states."""
        there, keep = self.there, set(parts)
        paths = [
            *_without(self.target, there.settled, lambda has: _stays(has, wanted)),
            *_without(
                data.staging(self.target), there.staged, lambda has: has.like(wanted.get(has.path))
            ),
            *(data.part(self.target, name) for name in there.parts if name not in keep),
        ]
        self.drop(paths)
        there.parts = {name: size for name, size in there.parts.items() if name in keep}

    def drop(self, paths: Sequence[str]) -> None:
        if paths:
            self._do(data.REMOVE, "what is gone could not be removed", _lines(paths))

    def drop_part(self, name: str) -> None:
        self.drop([data.part(self.target, name)])
        self.there.parts.pop(name, None)

    def require(self, size: int, what: str) -> None:
        """Raises NotReady unless `size` bytes fit. What can't be found out is no reason."""
        found = self.line.run(data.free_bytes(self.target))
        if not found.ok or not found.out.strip().isdigit():
            return
        free = int(found.out)
        if size and size + RESERVE > free:
            raise NotReady(
                f"{what} needs {format_size(size)} more on the server, which has"
                f" {format_size(max(0, free - RESERVE))} to give",
                hint="share less, or make a larger machine: a workshop's disk can't grow",
            )

    def place(self, complete: Sequence[tuple[str, Entry]]) -> None:
        """Parts that are complete get their names and times."""
        if not complete:
            return
        words = [
            word
            for name, entry in complete
            for word in (name, seconds(entry.mtime), "x" if entry.executable else "-", entry.path)
        ]
        self._do(data.place(self.target), "what arrived could not be put in place", _lines(words))
        self.there.staged |= {entry.path: entry for _, entry in complete}
        for name, _ in complete:
            self.there.parts.pop(name, None)

    def unpack(self, name: str, entries: Iterable[Entry]) -> None:
        self._do(data.unpack(self.target, name), "what arrived could not be unpacked")
        self.there.staged |= {entry.path: entry for entry in entries}
        self.there.parts.pop(name, None)

    def settle(self) -> None:
        self._do(data.settle(self.target), "what arrived could not be put in place")

    def sum_of(self, name: str) -> str:
        found = self.line.run(data.digest(data.part(self.target, name)), timeout=LONG)
        return found.out.strip()

    def _do(self, command: str, words: str, stdin: bytes = b"") -> None:
        must(self.line.run(command, timeout=LONG, stdin=stdin), f"{words} ({self.target})")


def part_name(*words: str | int) -> str:
    """Of a file in one state: a part of another state is never gone on with."""
    return hashlib.sha256(os.fsencode("\0".join(map(str, words)))).hexdigest()[:32]


def seconds(nanoseconds: int) -> str:
    """As GNU's touch and tar take it, exactly."""
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"


def must(result: Result, words: str) -> None:
    if not result.ok:
        raise NotReady(words, details=tuple(result.err.strip().splitlines()[-5:]))


def _entry(path: str, kind: str, mode: str, size: str, time: str, link: str) -> Entry:
    """`mode` is octal."""
    if kind != "f":
        return Entry(path, kind, link=link)
    whole, _, rest = time.partition(".")
    nanoseconds = int(whole) * 10**9 + int(rest[:9].ljust(9, "0"))
    executable = bool(int(mode, 8) & 0o100)
    return Entry(path, kind, int(size), nanoseconds, executable=executable)


def _stays(has: Entry, wanted: dict[str, Entry]) -> bool:
    """A file that has changed is replaced at once when the new one is there, not removed."""
    entry = wanted.get(has.path)
    return entry is not None and (entry.kind == "d") == (has.kind == "d")


def _without(
    folder: str, entries: dict[str, Entry], stays: Callable[[Entry], bool]
) -> Iterable[str]:
    """Full paths of what does not stay, which also leaves `entries`."""
    for path in [path for path, entry in entries.items() if not stays(entry)]:
        del entries[path]
        yield f"{folder}/{path}"


def _lines(words: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(word) + b"\0" for word in words)
