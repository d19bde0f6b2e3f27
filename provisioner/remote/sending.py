"""A folder of the operator's goes to the server over SFTP.

Each large file goes as it is. Small ones go many to a pack, a tar: one by one, each would cost
several round trips. Both are parts that can be gone on with at the byte where they stopped, once
the server's beginning proves to be ours.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from provisioner.errors import NotReady
from provisioner.remote.tree import Line, Progress, Tree, part_name, seconds
from provisioner.survey import Entry, survey

SMALL = 1024**2
PACK = 32 * 1024**2
"""Bytes: up to where a file goes into a pack, and how much goes into one, which is in memory."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """What travels as one part: a large file, or the entries of a pack."""

    part: str
    entries: tuple[Entry, ...]
    packed: bool

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries)


def send_tree(line: Line, source: Path, target: str, progress: Progress) -> None:
    """See protocols.Remote."""
    found = survey(source)
    if found.problems:
        raise NotReady(f"{source} can't be read:", details=tuple(found.problems[:10]))
    wanted = {entry.path: entry for entry in found.entries}
    tree = Tree(line, target)
    tree.look()
    missing = [entry for entry in found.entries if not tree.there.has(entry)]
    shipments = list(shipments_of(missing))
    tree.clear(wanted, [item.part for item in shipments])
    if not shipments and not tree.there.staged:
        return tree.settle()
    left = sum(item.size for item in shipments)
    tree.require(left - sum(tree.there.parts.values()), str(source))
    new = (entry for path, entry in wanted.items() if not entry.like(tree.there.settled.get(path)))
    total = sum(entry.size for entry in new)
    for item in shipments:
        _send(tree, source, item, _from(total - left, total, item.size, progress))
        left -= item.size
    progress(total, total)
    return tree.settle()


def shipments_of(missing: Sequence[Entry]) -> Iterator[Shipment]:
    """The same entries always travel in the same way, so that a later attempt can go on."""
    pack: list[Entry] = []
    size = 0
    for entry in missing:
        if entry.size > SMALL:
            yield Shipment(part_name(entry.path, entry.size, entry.mtime), (entry,), packed=False)
            continue
        if size + entry.size > PACK or len(pack) >= 5000:
            yield _pack_of(pack)
            pack, size = [], 0
        pack.append(entry)
        size += entry.size
    if pack:
        yield _pack_of(pack)


def _pack_of(entries: Sequence[Entry]) -> Shipment:
    words = (
        word
        for item in entries
        for word in (item.path, item.size, item.mtime, item.link, item.executable)
    )
    return Shipment(part_name("pack", *words), tuple(entries), packed=True)


def _send(tree: Tree, source: Path, item: Shipment, tell: Callable[[int], None]) -> None:
    with _packed(source, item.entries) if item.packed else _opened(source, item) as content:
        size = content.seek(0, io.SEEK_END)
        _unchanged(source, item)
        at = _proved(tree, item.part, content, size)
        path = f"{tree.target}.part/{item.part}"
        tree.line.put(content, path, at=at, size=size, progress=tell)
    _unchanged(source, item)
    if item.packed:
        tree.unpack(item.part, item.entries)
    else:
        tree.place([(item.part, item.entries[0])])


def _proved(tree: Tree, part: str, content: BinaryIO, size: int) -> int:
    """Where to go on: a beginning on the server that is not ours is not built upon."""
    there = tree.there.parts.get(part, 0)
    if not there:
        return 0
    if there <= size and tree.sum_of(part) == _digest(content, there):
        return there
    tree.drop_part(part)
    return 0


def _digest(content: BinaryIO, size: int) -> str:
    content.seek(0)
    digest = hashlib.sha256()
    while size > 0 and (chunk := content.read(min(size, 1024**2))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def _opened(source: Path, item: Shipment) -> BinaryIO:
    path = source / item.entries[0].path
    try:
        return path.open("rb")
    except OSError as error:
        raise NotReady(f"{path} can't be read: {error.strerror}") from None


def _packed(source: Path, entries: Sequence[Entry]) -> BinaryIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            _add(tar, source / entry.path, entry)
    return made


KINDS = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE}


def _add(tar: tarfile.TarFile, path: Path, entry: Entry) -> None:
    member = tarfile.TarInfo(entry.path)
    member.type, member.size, member.linkname = KINDS[entry.kind], entry.size, entry.link
    member.mode = 0o755 if entry.executable or entry.kind == "d" else 0o644
    member.pax_headers = {"mtime": seconds(entry.mtime)}  # a float would round it
    try:
        if entry.kind == "f":
            with path.open("rb") as file:
                tar.addfile(member, file)
        else:
            tar.addfile(member)
    except OSError as error:
        why = error.strerror or "it changed while it was copied"
        raise NotReady(f"{path} can't be read: {why}", hint="then launch again") from None


def _unchanged(source: Path, item: Shipment) -> None:
    """What is sent in two halves must be halves of the same."""
    for entry in item.entries:
        if entry.kind != "f":
            continue
        path = source / entry.path
        try:
            status = path.stat()
        except OSError as error:
            raise NotReady(f"{path} can't be read: {error.strerror}") from None
        if (status.st_size, max(0, status.st_mtime_ns)) != (entry.size, entry.mtime):
            raise NotReady(
                f"{path} changed while it was copied",
                hint="wait until it is written, then launch again",
            )


def _from(before: int, total: int, size: int, progress: Progress) -> Callable[[int], None]:
    """A pack is a little larger than what is in it."""
    return lambda there: progress(before + min(there, size), total)
