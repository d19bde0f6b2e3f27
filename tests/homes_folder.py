"""A server's homes in a folder: commands really run, by this machine's shell, tar and zstd.

Whoever reads or writes a home gets a file system of its own, so it needs Linux and root.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from provisioner.models import Result
from provisioner.render.bundle import ROOT
from provisioner.render.homes import archive
from tests.server_folder import ServerFolder


def why_not() -> str:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "seeing one home alone needs Linux and root"
    tools = ("unshare", "setpriv", "chroot", "tar", "zstd")
    return "".join(f"{tool} is missing; " for tool in tools if not shutil.which(tool))


class HomesFolder(ServerFolder):
    """See protocols.Remote; /opt/provision is `root`. `fetched` is whose archives were asked for.

    `disturb` is called with a user name before their archive is made, and may raise; `spoil`
    changes what comes of it on the way.
    """

    def __init__(self, folder: Path, *people: str) -> None:
        super().__init__(folder)
        self.root = folder / "opt"
        self.fetched: list[str] = []
        self.disturb: Callable[[str], None] = lambda username: None
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        self.root.mkdir()
        for username in people:
            self.home(username).mkdir(parents=True)
            os.chown(self.home(username), 1000, 100)

    def home(self, username: str) -> Path:
        return self.root / "homes" / username / "home"

    def program(self, name: str, script: str) -> None:
        """Have the server's shell find this one first."""
        (self._bin / name).write_text(f"#!/bin/sh\n{script}")
        (self._bin / name).chmod(0o755)

    def write(self, username: str, **files: str) -> None:
        """Files with a little text, as if the participant had saved them."""
        for name, text in files.items():
            path = self.home(username) / name
            path.write_text(text, encoding="utf-8")
            os.chown(path, 1000, 100)

    def receive(
        self, command: str, sink: BinaryIO, *, timeout: float = 60, stdin: bytes = b""
    ) -> Result:
        for path in (self.root / "homes").iterdir():
            if command == archive(path.name):
                self.fetched.append(path.name)
                self.disturb(path.name)
                done = self._shell(command, timeout, stdin)
                sink.write(self.spoil(done.stdout))
                return Result(done.returncode, "", done.stderr.decode())
        return super().receive(command, sink, timeout=timeout, stdin=stdin)

    def put(
        self, source: BinaryIO, target: str, *, at: int, size: int, progress: Callable[[int], None]
    ) -> None:
        super().put(source, self._here(target), at=at, size=size, progress=progress)

    def _shell(
        self, command: str, timeout: float, stdin: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        return super()._shell(self._here(command), timeout, stdin)

    def _here(self, text: str) -> str:
        return text.replace(ROOT, str(self.root))


def fingerprint(home: Path, *, times: bool = True) -> dict[bytes, tuple[object, ...]]:
    """All that a backup has to bring back, to the byte: path → kind, mode, time, content, …

    Files that are one by a hard link say so by the name of the first.
    """
    found: dict[bytes, tuple[object, ...]] = {}
    links: dict[int, bytes] = {}
    root = os.fsencode(home)
    for folder, folders, files in os.walk(root):
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            seen = os.lstat(path)
            kind = seen.st_mode & 0o170000
            content: bytes | str = b""
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            first = links.setdefault(seen.st_ino, os.path.relpath(path, root))
            mode = seen.st_mode if not os.path.islink(path) else 0
            time = seen.st_mtime_ns if times else 0
            notes = tuple(
                (key, os.getxattr(path, key, follow_symlinks=False))
                for key in os.listxattr(path, follow_symlinks=False)
            )
            facts = (kind, mode, seen.st_uid, seen.st_gid, time, content, first, notes)
            found[os.path.relpath(path, root)] = facts
    return found


def make_difficult(home: Path) -> None:
    """Everything that a participant may have, except sockets."""
    root = os.fsencode(home)

    def at(name: bytes, data: bytes = b"x", mode: int = 0o644) -> bytes:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    names = (
        b"-rf",
        b"--checkpoint-action=exec=sh",
        b"two\nlines",
        b"code 0\nsha256 0",
        b"\xff\xfe",
    )
    for name in (*names, "Übung 1.ipynb".encode(), b"n" * 255, b"a \\ 'b' \"c\" $d", b" "):
        at(name, name)
    at(b"/".join([b"deep"] * 40) + b"/end", b"end")
    at(b"run.sh", b"#!/bin/sh\n", 0o755)
    at(b"locked/secret", b"mine", 0)
    at(b".ipynb_checkpoints/a-checkpoint.ipynb")
    linked = at(b"one", b"1" * 10_000)
    os.link(linked, os.path.join(root, b"other"))
    for target, name in (
        (b"/etc/shadow", b"abs"),
        (b"nowhere", b"dangling"),
        (b"../../..", b"out"),
    ):
        os.symlink(target, os.path.join(root, name))
    os.mkfifo(os.path.join(root, b"fifo"))
    os.makedirs(os.path.join(root, b"empty/folder"))
    with open(os.path.join(root, b"sparse"), "wb") as file:
        file.truncate(100 * 1024**2)
        file.seek(60 * 1024**2)
        file.write(b"in the middle of nothing")
    at(b"large", os.urandom(3 * 1024**2))
    os.utime(os.path.join(root, b"large"), ns=(0, 1_234_567_890_123_456_789))
    os.setxattr(os.path.join(root, b"run.sh"), b"user.note", b"a\n=b\0c")
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            os.chown(os.path.join(folder, name), 1000, 100, follow_symlinks=False)
    os.chmod(os.path.join(root, b"locked"), 0)


def disk_bytes(path: Path) -> int:
    return path.stat().st_blocks * 512
