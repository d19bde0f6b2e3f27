"""What a .dockerignore keeps out of an image, as Docker reads it: it is not read here either.

https://docs.docker.com/build/concepts/context/#dockerignore-files. These are not git's rules: every
pattern begins at the folder itself, and the last one that fits decides.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import PurePosixPath

NAMES = ("Dockerfile.dockerignore", ".dockerignore")
"""The first one that is there counts."""


def ignored(text: str) -> Callable[[PurePosixPath], bool]:
    """Whether a file of this path, relative to the folder, is kept out. Raises ValueError."""
    rules = [rule for line in text.removeprefix("\ufeff").splitlines() for rule in _rules(line)]

    def decide(path: PurePosixPath) -> bool:
        inside = [str(path), *(str(folder) for folder in list(path.parents)[:-1])]
        out = False
        for pattern, keeps_out in rules:
            if any(map(pattern.fullmatch, inside)):  # what is in a folder that fits fits
                out = keeps_out
        return out

    return decide


def _rules(line: str) -> list[tuple[re.Pattern[str], bool]]:
    """The pattern of a line, and whether it keeps out; nothing for a line that says nothing."""
    word = line.strip()
    if line.startswith("#") or not word:
        return []
    keeps_out = not word.startswith("!")
    word = word.removeprefix("!").strip()
    if not word:
        raise ValueError(f"{line!r} names nothing")
    word = posixpath.normpath(word).lstrip("/")
    try:
        return [(re.compile(_expression(word), re.DOTALL), keeps_out)]
    except re.error:
        raise ValueError(f"{line!r} is not a pattern of Docker's") from None


_PARTS = re.compile(r"\*\*/?|\*|\?|\[\^?(?:\\.|[^\]\\])+\]|\\?.", re.DOTALL)


def _expression(word: str) -> str:
    made = []
    for part in _PARTS.finditer(word):
        text = part[0]
        if text.startswith("**"):
            made.append(".*" if part.end() == len(word) else "(?:.*/)?")
        elif text == "*":
            made.append("[^/]*")
        elif text == "?":
            made.append("[^/]")
        elif text.startswith("[") and len(text) > 1:
            made.append(text)
        elif text in {"[", "\\"}:
            raise re.error(text)
        else:
            made.append(re.escape(text[-1]))
    return "".join(made)
