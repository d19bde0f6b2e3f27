"""Gives one person their own copy of the workshop's materials. Runs in their container, as them.

    python3 -I sync.py start    before Lab: nothing is looked at if nothing is new
    python3 -I sync.py push     while they work: a line of JSON says what they got

What they changed is never touched and what they deleted stays away, until upstream has something
newer: that comes back under its name, or beside theirs as "NAME (new).ipynb". What was delivered
is remembered in ~/.provision/materials.json. Everything in the home is theirs to break, so every
folder is entered without following links.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
import sys
import time
from pathlib import Path

MATERIALS = "/opt/materials/current"
OWN = ".provision"
STATE, LOCK, LOG = "materials.json", "materials.lock", "materials.log"
STAGING = "materials.part"
"""What is not complete is in here; it takes its place by a rename."""

PATIENCE = 20.0  # seconds for another run of this to end
LARGEST_NOTEBOOK = 32 * 1024**2  # bytes: what is parsed, in the memory that is theirs
LARGEST_STATE = 64 * 1024**2
LOG_LIMIT = 256 * 1024
LISTED = (1000, 100, 10, 0)
"""Paths of each kind that are said, with how many there are in all: as many as fit into ANSWER."""

ANSWER = 900_000  # bytes: who listens hears a million
FULL = {errno.ENOSPC, errno.EDQUOT}
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class InTheWay(Exception):
    """Something of theirs is where a folder or a file of ours should be."""


class Place:
    """A folder that is open, and the names in it. Links in it are never followed."""

    def __init__(self, descriptor: int) -> None:
        self.fd = descriptor

    @classmethod
    def at(cls, path: str) -> "Place":
        return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def enter(self, name: str, *, make: bool = True) -> "Place":
        """The folder `name`, made if it is missing. Raises InTheWay, FileNotFoundError."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=self.fd)
        try:
            return Place(os.open(name, FOLDER, dir_fd=self.fd))
        except OSError as error:
            if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                raise InTheWay(f"{name} is in the way: it is not a folder") from None
            raise

    def look(self, name: str) -> "os.stat_result | None":
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, name: str) -> int:
        """To read a regular file. Raises InTheWay for anything else."""
        try:
            descriptor = os.open(name, PLAIN, dir_fd=self.fd)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO}:
                raise InTheWay(f"{name} is in the way: it is not a file") from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InTheWay(f"{name} is in the way: it is not a file")
        return descriptor

    def sum(self, name: str) -> str:
        """What is there, as the manifest would say it; "" when nothing is."""
        found = self.look(name)
        if found is None:
            return ""
        if stat.S_ISLNK(found.st_mode):
            return f"link:{os.readlink(name, dir_fd=self.fd)}"
        digest = hashlib.sha256()
        with os.fdopen(self.open(name), "rb") as file:
            while chunk := file.read(1024**2):
                digest.update(chunk)
        return digest.hexdigest()

    def cells(self, name: str, *, outputs: bool) -> str:
        """A sum over a notebook's cells, whatever Lab wrote around them; "" if it is none."""
        try:
            with os.fdopen(self.open(name), "rb") as file:
                text = file.read(LARGEST_NOTEBOOK + 1)
            found = json.loads(text)["cells"] if len(text) <= LARGEST_NOTEBOOK else None
            kept = ["cell_type", "source", "attachments"]
            kept += ["outputs", "execution_count"] if outputs else []
            said = [{key: _joined(cell.get(key)) for key in kept} for cell in found]
        except (OSError, InTheWay, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return ""
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _joined(value: object) -> object:
    """Text of a notebook is a string or a list of lines; nothing is as good as an empty list."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value or ""


class Sync:
    """One run. `said` is what happened: word → paths, and path → why for what failed."""

    def __init__(self, home: Place, own: Place, manifest: dict, source: str) -> None:
        self.home, self.own, self.source = home, own, source
        self.folder, self.files = manifest["folder"], manifest["files"]
        self.known = _state(own).get(self.folder, {})
        self.said = {word: [] for word in ("added", "updated", "kept", "both", "left")}
        self.failed = {}
        self.full = False

    def run(self) -> None:
        try:
            top = self.home.enter(self.folder)
        except (InTheWay, OSError) as error:
            self.fail(f"~/{self.folder}", error)
            return
        with top:
            for path, new in sorted(self.files.items()):
                try:
                    self.one(top, path, new)
                except (InTheWay, OSError) as error:
                    self.fail(path, error)
            for path in sorted(set(self.known) - set(self.files)):
                with contextlib.suppress(InTheWay, OSError):
                    self.gone(top, path)

    def fail(self, path: str, error: Exception) -> None:
        full = isinstance(error, OSError) and error.errno in FULL
        self.full |= full
        why = "the home is full" if full else getattr(error, "strerror", None) or str(error)
        self.failed[path] = why

    def one(self, top: Place, path: str, new: str) -> None:
        *folders, name = path.split("/")
        before = self.known.get(path, {})
        if before.get("sum") == new:
            if self.theirs(top, folders, name) not in {"", new}:
                self.said["kept"].append(path)
            before.pop("gone", None)
            return
        with contextlib.ExitStack() as stack:
            at = top
            for folder in folders:
                at = stack.enter_context(at.enter(folder))
            self.bring(at, path, name, new, before)

    def theirs(self, top: Place, folders: list, name: str) -> str:
        """What they have at a path; "" also where its folder is gone or something else is there."""
        with contextlib.ExitStack() as stack:
            try:
                at = top
                for folder in folders:
                    at = stack.enter_context(at.enter(folder, make=False))
                return at.sum(name)
            except (InTheWay, OSError):
                return ""

    def bring(self, at: Place, path: str, name: str, new: str, before: dict) -> None:
        """Upstream has something that this person was not given yet."""
        seen = at.look(name)
        try:
            has = at.sum(name)
        except InTheWay:
            has = "something else"
        entry = {"sum": new}
        if has == new:
            pass
        elif not has:
            self.put(at, path, name, new, replacing=None)
            self.said["added"].append(path)
        elif has == before.get("sum") or self.only_saved(at, name, before):
            self.put(at, path, name, new, replacing=seen)
            self.said["updated"].append(path)
        elif not self.same_cells(at, path, name):
            entry["beside"] = self.beside(at, path, name, new, before.get("beside") or ["", ""])
        if name.endswith(".ipynb"):
            entry["cells"] = self.upstream_cells(path, outputs=True)
        self.known[path] = entry

    def only_saved(self, at: Place, name: str, before: dict) -> bool:
        """Lab saves a notebook that was merely opened in its own spelling: nobody's work."""
        return bool(before.get("cells")) and before["cells"] == at.cells(name, outputs=True)

    def same_cells(self, at: Place, path: str, name: str) -> bool:
        """They have what is new already, by hand or otherwise, and may have run it."""
        if not name.endswith(".ipynb"):
            return False
        mine = self.upstream_cells(path, outputs=False)
        return bool(mine) and mine == at.cells(name, outputs=False)

    def upstream_cells(self, path: str, *, outputs: bool) -> str:
        *folders, name = path.split("/")
        with Place.at("/".join([self.source, *folders])) as at:
            return at.cells(name, outputs=outputs)

    def beside(self, at: Place, path: str, name: str, new: str, last: list) -> list:
        """Both stay: what is new goes under a name of its own, which is answered with its sum."""
        prefix = path[: len(path) - len(name)]
        stem, dot, suffix = name.rpartition(".")
        stem, suffix = (stem, dot + suffix) if stem else (name, "")
        number = 1
        while True:
            other = f"{stem} (new{f' {number}' if number > 1 else ''}){suffix}"
            number += 1
            seen = at.look(other)  # before it is read: a save in between is noticed
            try:
                there = at.sum(other)
            except InTheWay:
                continue
            if prefix + other in self.files:
                continue
            if there != new:
                if there and [other, there] != list(last):
                    continue  # theirs, or one that they have worked in
                self.put(at, path, other, new, replacing=seen)
            self.said["both"].append(path)
            return [other, new]

    def put(
        self, at: Place, path: str, name: str, new: str, *, replacing: "os.stat_result | None"
    ) -> None:
        """A whole file or none. `replacing` is what was there before it was read, or None."""
        with self.own.enter(STAGING) as staging:
            part = secrets.token_hex(8)
            try:
                if new.startswith("link:"):
                    os.symlink(new[5:], part, dir_fd=staging.fd)
                else:
                    _copy(
                        Path(f"{self.source}/{path}"), staging, part, durable=replacing is not None
                    )
                if replacing is None:  # a link fails where a rename would replace
                    os.link(
                        part, name, src_dir_fd=staging.fd, dst_dir_fd=at.fd, follow_symlinks=False
                    )
                elif _is_same(at.look(name), replacing):  # asked last: a copy takes its time
                    os.rename(part, name, src_dir_fd=staging.fd, dst_dir_fd=at.fd)
                else:
                    raise FileExistsError
            except FileExistsError:
                raise InTheWay(f"{name} is being written at this moment") from None
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=staging.fd)

    def gone(self, top: Place, path: str) -> None:
        """Upstream has it no more: theirs is left, which is said once."""
        entry = self.known[path]
        if entry.get("gone"):
            return
        entry["gone"] = True
        *folders, name = path.split("/")
        if self.theirs(top, folders, name):
            self.said["left"].append(path)


def _copy(source: Path, staging: Place, name: str, *, durable: bool) -> None:
    """`durable` where something is replaced; a disk does few of these a second, for everybody."""
    with source.open("rb") as file:
        mode = 0o755 if os.fstat(file.fileno()).st_mode & 0o100 else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=staging.fd), "wb") as target:
            while chunk := file.read(1024**2):
                target.write(chunk)
            os.fchmod(target.fileno(), mode)
            if durable:
                target.flush()
                os.fsync(target.fileno())


def _is_same(now: "os.stat_result | None", then: os.stat_result) -> bool:
    return now is not None and (
        (now.st_ino, now.st_size, now.st_mtime_ns) == (then.st_ino, then.st_size, then.st_mtime_ns)
    )


def _state(own: Place) -> dict:
    """Folder → path → what was delivered; nothing where the file is not as we wrote it."""
    try:
        with os.fdopen(own.open(STATE), "rb") as file:
            folders = json.loads(file.read(LARGEST_STATE))["folders"]
        return {
            str(folder): {
                str(path): dict(entry) for path, entry in files.items() if isinstance(entry, dict)
            }
            for folder, files in folders.items()
        }
    except (OSError, InTheWay, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _keep(own: Place, sync: Sync, tree: str) -> None:
    folders = _state(own) | {sync.folder: sync.known}
    text = json.dumps({"version": 1, "tree": tree, "folders": folders}, indent=1).encode()
    _replace(own, STATE, text)


def _replace(own: Place, name: str, text: bytes) -> None:
    with own.enter(STAGING) as staging:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        part = secrets.token_hex(8)
        try:
            with os.fdopen(os.open(part, flags, 0o644, dir_fd=staging.fd), "wb") as file:
                file.write(text)
            os.rename(part, name, src_dir_fd=staging.fd, dst_dir_fd=own.fd)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=staging.fd)


def _tree(own: Place) -> str:
    """The state of the materials that they have all of."""
    try:
        with os.fdopen(own.open(STATE), "rb") as file:
            return str(json.loads(file.read(LARGEST_STATE))["tree"])
    except (OSError, InTheWay, ValueError, TypeError, KeyError, RecursionError):
        return ""


@contextlib.contextmanager
def _alone(own: Place):
    """One run at a time, and what an earlier one left half done is cleared away."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(LOCK, flags, 0o644, dir_fd=own.fd)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise InTheWay("another delivery is still at work") from None
                time.sleep(0.1)
        with own.enter(STAGING) as staging:
            for name in os.listdir(staging.fd):  # noqa: PTH208 - by descriptor
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=staging.fd)
        yield
    finally:
        os.close(descriptor)


def deliver(materials: str, home: str, *, anew: bool) -> dict:
    """Bring a home to what `materials` has. Never raises for what is in the home.

    Unless `anew`, a home that has all of it already is not looked at.
    """
    source = os.path.realpath(materials)  # one state of them, whatever is switched meanwhile
    manifest = json.loads(Path(f"{source}/manifest.json").read_text(encoding="utf-8"))
    said = {"folder": manifest["folder"], "failed": {}, "full": False}
    try:
        with Place.at(home) as top, top.enter(OWN) as own:
            if not anew and _tree(own) == manifest["id"]:
                return said
            with _alone(own):
                sync = Sync(top, own, manifest, f"{source}/files")
                sync.run()
                said |= sync.said
                said |= {"failed": sync.failed, "full": sync.full}
                _keep(own, sync, "" if sync.failed else manifest["id"])
    except (InTheWay, OSError) as error:
        full = isinstance(error, OSError) and error.errno in FULL
        said["full"] = said["full"] or full
        said["failed"][f"~/{OWN}"] = "the home is full" if full else str(error)
    if said["failed"]:
        _log(home, said["failed"])
    return said


def _log(home: str, failed: dict) -> None:
    """For whoever wonders later; a full or hostile home has no log."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    lines = "".join(f"{now} {path}: {why}\n" for path, why in failed.items())
    with contextlib.suppress(OSError, InTheWay), Place.at(home) as top, top.enter(OWN) as own:
        descriptor = os.open(LOG, flags, 0o644, dir_fd=own.fd)
        with os.fdopen(descriptor, "ab") as file:
            if os.fstat(descriptor).st_size < LOG_LIMIT:
                file.write(lines.encode(errors="replace"))


def answer(said: dict) -> str:
    """The line that says it: whole, however much there is. `counts` is of all, listed or not."""
    counts = {word: len(found) for word, found in said.items() if isinstance(found, (list, dict))}
    text = ""
    for most in LISTED:
        few = {
            word: found[:most] if isinstance(found, list) else dict(list(found.items())[:most])
            for word, found in said.items()
            if word in counts
        }
        text = json.dumps(said | few | {"counts": counts})
        if len(text) <= ANSWER:
            break
    return text


def main() -> None:
    os.umask(0o022)
    said = deliver(MATERIALS, os.environ.get("HOME", "/home/jovyan"), anew="push" in sys.argv[1:])
    print(answer(said), flush=True)


if __name__ == "__main__":
    main()
