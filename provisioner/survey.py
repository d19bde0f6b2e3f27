"""What a folder of the operator's holds, as it will look to participants.

A link that leads to something in the folder stays a link, made relative; one that leads out is
followed, because what it leads to is not on the server. Links to nothing are left out, and so is
what is neither a file nor a folder. Names may hold any bytes (as surrogates, see os.fsencode).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One name below a folder. Times are nanoseconds since 1970."""

    path: str  # relative, with / between the parts
    kind: str  # f, d or l, as find(1) says it
    size: int = 0
    mtime: int = 0
    link: str = ""
    executable: bool = False

    def like(self, other: Entry | None) -> bool:
        """Whether `other` is the same without reading it: gigabytes would take too long."""
        if other is None or self.kind != other.kind:
            return False
        if self.kind == "f":
            mine = (self.size, self.mtime, self.executable)
            return mine == (other.size, other.mtime, other.executable)
        return self.link == other.link


@dataclass(frozen=True, slots=True)
class LeftOut:
    path: str  # relative, as an entry's
    words: str  # where it is, and why it is left out


@dataclass(slots=True)
class Survey:
    """Entries with folders before what is in them; `problems` are files that can't be read.

    `from_outside` names each link that leads out, with what it leads to: that is shared, too.
    """

    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    from_outside: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(entry.size for entry in self.entries)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.entries)


def fingerprint(entries: list[Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        mode = "x" if entry.executable else "-"
        line = (entry.path, entry.kind, mode, str(entry.size), str(entry.mtime), entry.link)
        digest.update(os.fsencode("\0".join(line)) + b"\0\n")
    return digest.hexdigest()


def survey(folder: Path, *, follow: bool = True) -> Survey:
    """Look at everything below `folder`, which exists. Opens no file.

    Unless `follow`, a link that leads out is left out, and what it leads to isn't looked at.
    """
    walk = _Walk(os.path.realpath(folder), follow=follow)
    walk.folder("", walk.root, (walk.root,))
    return walk.found


class _Walk:
    def __init__(self, root: str, *, follow: bool) -> None:
        self.root, self.follow, self.found = root, follow, Survey()

    def folder(self, prefix: str, real: str, above: tuple[str, ...]) -> None:
        """`above` are the real folders that this one is in: a link back to one has no end."""
        try:
            with os.scandir(real) as items:
                children = sorted(items, key=lambda item: os.fsencode(item.name))
        except OSError as error:
            self.found.problems.append(f"{real} can't be read: {error.strerror}")
            return
        for child in children:
            path = prefix + child.name
            if child.is_symlink():
                self._link(path, child.path, above)
            elif child.is_dir():
                self._enter(path, child.path, above)
            elif child.is_file():
                self._file(path, child.path)
            else:
                self._leave(path, f"{child.path} is neither a file nor a folder")

    def _link(self, path: str, place: str, above: tuple[str, ...]) -> None:
        leads_to = os.path.realpath(place)
        if not os.path.exists(leads_to):  # noqa: PTH110 - names that are bytes stay strings
            self._leave(path, f"{place} is a link to nothing")
        elif self._inside(leads_to) and self._inside(place):
            link = os.path.relpath(leads_to, os.path.dirname(place))  # noqa: PTH120
            self.found.entries.append(Entry(path, "l", link=link))
        elif not self.follow:
            self._leave(path, f"{place} leads out of the folder, to {leads_to}")
        elif os.path.isfile(leads_to):  # noqa: PTH113
            self._outside(place, leads_to)
            self._file(path, leads_to)
        elif os.path.isdir(leads_to) and not self._holds(leads_to, above):  # noqa: PTH112
            self._outside(place, leads_to)
            self._enter(path, leads_to, above)
        else:
            self._leave(path, f"{place} leads to {leads_to}, which can't be copied")

    def _leave(self, path: str, words: str) -> None:
        self.found.left_out.append(LeftOut(path, words))

    def _enter(self, path: str, real: str, above: tuple[str, ...]) -> None:
        self.found.entries.append(Entry(path, "d"))
        self.folder(f"{path}/", real, (*above, real))

    def _file(self, path: str, place: str) -> None:
        if not os.access(place, os.R_OK):
            self.found.problems.append(f"{place} can't be read: permission denied")
            return
        status = os.stat(place)  # noqa: PTH116
        executable = bool(status.st_mode & 0o100)
        time = max(0, status.st_mtime_ns)  # tools differ about what was before 1970
        self.found.entries.append(Entry(path, "f", status.st_size, time, executable=executable))

    def _outside(self, place: str, leads_to: str) -> None:
        if not self._inside(leads_to):
            self.found.from_outside.append(f"{place} leads to {leads_to}")

    def _inside(self, place: str) -> bool:
        return place == self.root or place.startswith(f"{self.root}/")

    def _holds(self, place: str, above: tuple[str, ...]) -> bool:
        """Whether following a link to `place` would come back to where it was found."""
        return any(item == place or item.startswith(f"{place.rstrip('/')}/") for item in above)
