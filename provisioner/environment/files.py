"""Reading the files that `[environment]` names, so that a workshop does not change with them.

After `taken_in` the settings hold what the files said. The record keeps the settings, so a workshop
that exists is the same on every computer, also where the files are not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from provisioner.environment import requirements
from provisioner.environment.ignored import NAMES, ignored

DOCKERFILE = "Dockerfile"
BINARY = "base64:"
LARGEST = 256 * 1024
"""Bytes of a Dockerfile's folder: all of it is kept in the workshop's record."""

LEFT_OUT = frozenset({".git", "__pycache__", ".ipynb_checkpoints", ".DS_Store", ".venv"})


def taken_in(section: Any) -> Any:
    """`section`, the `[environment]` of the file and the flags, with the files' content.

    What is not as it should be stays as it is: the settings' own validation tells about it.
    Raises ValueError with one finding a line.
    """
    if not isinstance(section, dict):
        return section
    taken = dict(section)
    names = taken.get("requirements")
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        python, constraints = list(taken.get("python") or ()), list(taken.get("constraints") or ())
        for name in names:
            found = requirements.read(name, _text, _beside)
            python += [line for line in found.requirements if line not in python]
            constraints += [line for line in found.constraints if line not in constraints]
        taken |= {"python": python, "constraints": constraints, "requirements": []}
    dockerfile = taken.get("dockerfile")
    if isinstance(dockerfile, str) and dockerfile:
        taken["dockerfile"] = encoded(context(Path(dockerfile)))
    return taken


def context(path: Path) -> dict[str, bytes]:
    """Name → content of a Dockerfile, or of a folder with one. Raises ValueError.

    What a .dockerignore names is not even read: it may be a key.
    """
    try:
        if not path.is_dir():
            return _checked({DOCKERFILE: path.read_bytes()}, path)
        kept_out = _kept_out(path)
        files = {}
        for file in sorted(path.rglob("*")):
            name = PurePosixPath(file.relative_to(path))
            if LEFT_OUT.isdisjoint(name.parts) and not kept_out(name) and file.is_file():
                if file.stat().st_size > LARGEST:
                    raise ValueError(_too_large(file, file.stat().st_size))
                files[name.as_posix()] = file.read_bytes()
    except OSError as error:
        raise ValueError(f"dockerfile: {error.filename} can't be read: {error.strerror}") from None
    if DOCKERFILE not in files:
        raise ValueError(f"dockerfile: there is no {DOCKERFILE} in {path}")
    return _checked(files, path)


def _kept_out(folder: Path) -> Callable[[PurePosixPath], bool]:
    """Docker itself needs the Dockerfile, whatever its patterns say."""
    for name in NAMES:
        try:
            out = ignored((folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise ValueError(f"dockerfile: {folder / name}: {error}") from None
        return lambda path: str(path) in NAMES or (str(path) != DOCKERFILE and out(path))
    return lambda path: False


def _checked(files: dict[str, bytes], path: Path) -> dict[str, bytes]:
    size = sum(map(len, files.values()))
    if size > LARGEST:
        raise ValueError(_too_large(path, size))
    return files


def _too_large(path: Path, size: int) -> str:
    return (
        f"dockerfile: {path} has {size:,} bytes; {LARGEST:,} can be taken along. Shared data goes "
        "into [[data]]; a large environment into an image of your own, named as base_image"
    )


def encoded(files: dict[str, bytes]) -> dict[str, str]:
    """As text where it is text, so that a record can be read."""
    return {name: _encoded(content) for name, content in files.items()}


def _encoded(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = BINARY
    if text.startswith(BINARY):
        return BINARY + base64.b64encode(content).decode()
    return text


def decoded(files: dict[str, str]) -> tuple[tuple[str, bytes], ...]:
    """Raises ValueError for a name outside the folder, or what is not base64."""
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"{name!r} is not the name of a file in the Dockerfile's folder")
    return tuple(
        (
            name,
            base64.b64decode(text.removeprefix(BINARY), validate=True)
            if text.startswith(BINARY)
            else text.encode(),
        )
        for name, text in sorted(files.items())
    )


def _text(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def _beside(file: str, other: str) -> str:
    return str(Path(file).parent / Path(other).expanduser())
