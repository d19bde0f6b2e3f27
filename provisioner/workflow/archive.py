"""A backup as it lies in a folder: an archive for each person, and what must be in them.

manifest.json       which workshop, when, and of each archive what must be in it
user01.tar.zst      a tar in the posix (pax) format, packed with zstd
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

import zstandard
from pydantic import BaseModel, ConfigDict, ValidationError

from provisioner.errors import NotReady, UsageError
from provisioner.store import write_private

MANIFEST = "manifest.json"
FORMAT = 1


class Kept(BaseModel):
    """One person's archive."""

    model_config = ConfigDict(frozen=True)

    archive: str  # its name, beside the manifest
    sha256: str
    size: int  # bytes
    entries: int
    content_bytes: int  # of the files in it, holes included
    disk_bytes: int  # as they lay on the server's disk
    content_sha256: str  # over the list of what is in it: names, kinds, sizes, times, permissions
    state: str  # of the home, as the server described it just before
    at: datetime
    name: str = ""  # of the person
    changed: tuple[str, ...] = ()  # while they were read
    left_out: tuple[str, ...] = ()  # sockets


class Manifest(BaseModel):
    model_config = ConfigDict(frozen=True)

    version: int = FORMAT
    workshop: str
    id: str
    begun_at: datetime
    finished_at: datetime | None = None  # None: it was interrupted, or goes on
    only: tuple[str, ...] = ()  # these people's alone were asked for
    files: dict[str, Kept] = {}  # by user name

    def but(self, **changes: object) -> Manifest:
        return self.model_copy(update=changes)


def save(folder: Path, manifest: Manifest) -> Manifest:
    write_private(folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def load(folder: Path) -> Manifest:
    """Raises UsageError when `folder` is no backup that this program can read."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"{folder} is no backup: it has no {MANIFEST}",
            hint="give the folder that `provision backup` or `provision teardown` named",
        ) from None
    except (OSError, ValidationError) as error:
        raise UsageError(f"{folder / MANIFEST} can't be read: {error}") from None
    if manifest.version > FORMAT:
        raise UsageError(f"{folder} was written by a newer provision (format {manifest.version})")
    return manifest


@dataclass(frozen=True, slots=True)
class Contents:
    """What reading a whole archive back has shown."""

    sha256: str
    size: int
    entries: int
    content_bytes: int
    content_sha256: str

    def vouches_for(self, kept: Kept) -> bool:
        return all(
            getattr(self, word) == getattr(kept, word)
            for word in ("sha256", "size", "entries", "content_bytes", "content_sha256")
        )


def read_back(path: Path) -> Contents:
    """Read every byte. Raises NotReady when it can't be read as an archive to its end."""
    listed, entries, size = hashlib.sha256(), 0, 0
    try:
        with path.open("rb") as file:
            hashed = _Hashed(file)
            with _unpacked(cast(BinaryIO, hashed)) as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined] # or it keeps them all
                    entries, size = entries + 1, size + member.size
                    listed.update(_line(member))
            while hashed.read(1024**2):
                pass
    except DAMAGED as error:
        raise NotReady(f"{path} is damaged: {error}") from None
    return Contents(hashed.digest.hexdigest(), hashed.size, entries, size, listed.hexdigest())


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive, to be read once from its beginning."""
    with path.open("rb") as file, _unpacked(file) as archive:
        yield archive


DAMAGED = (OSError, EOFError, ValueError, IndexError, tarfile.TarError, zstandard.ZstdError)


@contextmanager
def _unpacked(file: BinaryIO) -> Iterator[tarfile.TarFile]:
    reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    plain = cast(BinaryIO, reader)
    with tarfile.open(
        fileobj=plain, mode="r|", encoding="utf-8", errors="surrogateescape"
    ) as archive:
        yield archive
    while plain.read(1024**2):  # its checksum comes last
        pass


def _line(member: tarfile.TarInfo) -> bytes:
    facts = (member.type, member.mode, member.size, member.mtime, member.name, member.linkname)
    return repr(facts).encode("utf-8", "surrogateescape") + b"\n"


class _Hashed(io.RawIOBase):
    """Passes on what `file` has, and keeps count."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest, self.size = file, hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self.size += len(data)
        return data


def write_to(path: Path) -> BinaryIO:
    """A new file that its owner alone may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def settle(file: BinaryIO) -> None:
    """On the disk, whatever happens next: what it was copied from may be deleted soon."""
    file.flush()
    os.fsync(file.fileno())


def settle_names(folder: Path) -> None:
    """What is in the folder, under the names that it has now."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
