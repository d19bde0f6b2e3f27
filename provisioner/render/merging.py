"""Runs on the server, under its own Python, and sees one home as /home: files come back.

What was restored is in STAGED and goes from there to where it was. What is in the home already
stays, and what clashes with it goes into a folder aside, unless it is to be replaced. Repeated, it
comes to the same: what is there in the same form is not brought a second time.

Its answer is one line of JSON: how many files were `restored` to where they were, were `same`,
`replaced`, or put `aside` (and into which folder), and which `failed`.
"""

# Names are bytes, which Path can not hold.
# ruff: noqa: PTH103, PTH104, PTH108, PTH115, PTH118, PTH120, PTH208

import contextlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator

HOME = b"/home"
STAGED = b"/home/.provision-restore"
BLOCK = 64 * 1024


class Merge:
    def __init__(self, aside: bytes, *, replace: bool) -> None:
        self.aside, self.replace = aside, replace
        self.done = {"restored": 0, "same": 0, "replaced": 0, "aside": 0}
        self.failed: list[str] = []

    def folder(self, path: bytes) -> None:
        """Bring what STAGED/path holds into HOME/path; both are folders."""
        for name in sorted(os.listdir(join(STAGED, path))):
            inner = join(path, name)
            try:
                self.one(inner)
            except OSError as error:
                self.failed.append(f"{os.fsdecode(inner)}: {error.strerror}")

    def one(self, path: bytes) -> None:
        new, old = join(STAGED, path), join(HOME, path)
        if self.placed(new, old, "restored"):
            return
        if is_folder(new) and is_folder(old):
            self.folder(path)
        elif same(new, old):
            self.drop(new)
        elif self.replace and not is_folder(new) and not is_folder(old):
            os.rename(new, old)
            self.done["replaced"] += 1
        else:
            self.beside(new, path)

    def beside(self, new: bytes, path: bytes) -> None:
        """Into the folder aside, and next to what an earlier restore may have put there."""
        first = join(HOME, self.aside, path)
        os.makedirs(os.path.dirname(first), exist_ok=True)
        old, number = first, 1
        while not self.placed(new, old, "aside"):
            if same(new, old):
                self.drop(new)
                return
            old, number = first + b".%d" % number, number + 1

    def drop(self, new: bytes) -> None:
        self.done["same"] += files_in(new)
        if is_folder(new):
            shutil.rmtree(new)
        else:
            os.unlink(new)

    def placed(self, new: bytes, old: bytes, word: str) -> bool:
        """Move `new` to where nothing is; never over something, however quick somebody is."""
        if os.path.lexists(old):
            return False
        count = files_in(new)
        try:
            if is_folder(new):
                os.rename(new, old)
            else:
                os.link(new, old, follow_symlinks=False)
                os.unlink(new)
        except (FileExistsError, NotADirectoryError):
            return False
        except OSError:
            if os.path.lexists(old):
                return False
            raise
        self.done[word] += count
        return True


def join(*parts: bytes) -> bytes:
    return os.path.join(*parts)


def is_folder(path: bytes) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def files_in(path: bytes) -> int:
    if not is_folder(path):
        return 1
    return sum(files_in(join(path, name)) for name in os.listdir(path))


def same(new: bytes, old: bytes) -> bool:
    """Whether both are the same thing with the same content."""
    here, there = os.lstat(new), os.lstat(old)
    if stat.S_IFMT(here.st_mode) != stat.S_IFMT(there.st_mode):
        return False
    if stat.S_ISLNK(here.st_mode):
        return os.readlink(new) == os.readlink(old)
    if stat.S_ISDIR(here.st_mode):
        names = sorted(os.listdir(new))
        return names == sorted(os.listdir(old)) and all(
            same(join(new, name), join(old, name)) for name in names
        )
    if not stat.S_ISREG(here.st_mode):
        return True
    if here.st_size != there.st_size:
        return False
    with opened(new) as one, opened(old) as other:
        theirs = content(other)
        return all(block == next(theirs, None) for block in content(one)) and not any(theirs)


@contextlib.contextmanager
def opened(path: bytes) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield file
    finally:
        os.close(file)


def content(file: int) -> Iterator[tuple[int, bytes]]:
    """The blocks that are not all zeros, and where: a file may be mostly, hugely, nothing."""
    place = 0
    while True:
        try:
            data = os.lseek(file, place, os.SEEK_DATA)
            end = os.lseek(file, data, os.SEEK_HOLE)
        except OSError:  # no more data
            return
        place = max(place, data - data % BLOCK)
        while place < end:
            block = os.pread(file, BLOCK, place)
            if block.strip(b"\0"):
                yield place, block
            place += BLOCK


def main(aside: str, what: str) -> None:
    sys.setrecursionlimit(10_000)
    merge = Merge(os.fsencode(aside), replace=what == "replace")
    merge.folder(b"")
    print(json.dumps({**merge.done, "folder": aside, "failed": merge.failed[:20]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
