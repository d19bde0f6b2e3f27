"""People's files on the fake cloud's machine: user name → file name → text.

Archives are real ones; a home is read and filled as render/homes.py has it done on a server.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import BinaryIO

import zstandard

from provisioner.models import Result
from provisioner.render import homes

Homes = dict[str, dict[str, str]]


def survey(command: str, there: Homes) -> Result | None:
    """The answer, if that is what `command` asks."""
    begin, _, look = homes.survey([""]).partition("''")
    if not command.startswith(begin) or not command.endswith(look):
        return None
    asked = [
        name for name in command.removeprefix(begin).partition(";")[0].split() if name in there
    ]
    lines = []
    for name in asked:
        text = json.dumps(there[name], sort_keys=True).encode()
        seen = {"user": name, "entries": len(there[name]), "bytes": len(text), "free": 2**30}
        lines.append(json.dumps({**seen, "state": hashlib.sha256(text).hexdigest()}))
    return Result(0, "\n".join(lines), "")


def archive(command: str, there: Homes, sink: BinaryIO) -> Result | None:
    for name, files in there.items():
        if command == homes.archive(name):
            packed = zstandard.compress(_tar(files))
            sink.write(packed)
            return Result(0, "", f"code 0\nsha256 {hashlib.sha256(packed).hexdigest()}\n")
    return None


def received(source: Path, target: str) -> tuple[str, dict[str, str]] | None:
    """Whose archive was sent, and what is in it."""
    if not target.startswith(homes.receiving("")):
        return None
    (path,) = source.iterdir()
    files = {}
    with (
        zstandard.open(path, "rb") as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        for item in tar:
            if (file := tar.extractfile(item)) is not None:
                files[item.name] = file.read().decode()
    return target.rpartition("/")[2], files


def restore(command: str, there: Homes, sent: Homes) -> tuple[Result, Homes] | None:
    """The answer and the homes as they are now, if that is what `command` asks."""
    for name, files in sent.items():
        begin = homes.restore(name, "ARCHIVE", "ASIDE", replace=False).partition("ARCHIVE")[0]
        if not command.startswith(begin):
            continue
        replace = " replace && rm " in command
        home, done = dict(there.get(name, {})), dict.fromkeys(_WORDS, 0)
        for path, text in files.items():
            if path not in home or (replace and home[path] != text):
                done["replaced" if path in home else "restored"] += 1
                home[path] = text
            elif home[path] == text:
                done["same"] += 1
            else:
                done["aside"] += 1
                home[f"restored/{path}"] = text
        answer = json.dumps({**done, "folder": "restored", "failed": []})
        return Result(0, answer, ""), there | {name: home}
    return None


_WORDS = ("restored", "same", "replaced", "aside")


def _tar(files: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()
