"""Docker's own rules for what stays out of an image."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from provisioner.environment.ignored import ignored

RULES = {
    ".env": {".env": True, "sub/.env": False, ".env.example": False},
    "/.env": {".env": True},
    "**/.env": {".env": True, "sub/deep/.env": True, "sub/x.env": False},
    "keys": {"keys/id": True, "keys/deep/id": True, "keys.txt": False},
    "keys/": {"keys/id": True},
    "./keys/../secret": {"secret": True, "keys/id": False},
    "*.pem": {"a.pem": True, "sub/a.pem": False},
    "*/*.pem": {"a.pem": False, "sub/a.pem": True},
    "sub/**": {"sub/a": True, "sub/deep/a": True, "other": False},
    "a/**/b": {"a/b": True, "a/x/y/b": True, "a/xb": False},
    "file?": {"file1": True, "file": False, "file12": False},
    "file[0-9]": {"file1": True, "filex": False},
    "file[^0-9]": {"file1": False, "filex": True},
    "a\\*": {"a*": True, "ab": False},
    "a.b+c": {"a.b+c": True, "axb+c": False, "a.bbc": False},
    "*\n!keep": {"a": True, "keep": False, "keep/a": False},
    "!a.md\n*.md": {"a.md": True},
    "keys\n!keys/public": {"keys/id": True, "keys/public": False},
    "# .env\n\n  .env  ": {".env": True, "# .env": False},
}


@pytest.mark.parametrize("text", RULES)
def test_the_last_pattern_that_fits_decides(text: str) -> None:
    out = ignored(text)
    assert {path: out(PurePosixPath(path)) for path in RULES[text]} == RULES[text]


@pytest.mark.parametrize("text", ["!", "a\n[", "a\\"])
def test_what_docker_would_not_take_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"names nothing|not a pattern"):
        ignored(text)
