"""Where the files of `cloud-init/` and `stack/` are: beside the package, or inside the wheel."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).resolve().parent.parent


def asset(path: str) -> Path:
    """The file or folder `path`, such as "cloud-init/user-data.yaml.j2".

    Raises FileNotFoundError when the installation is incomplete.
    """
    for root in (_PACKAGE / "_assets", _PACKAGE.parent):
        candidate = root / path
        if candidate.exists():
            return candidate
    raise FileNotFoundError(f"{path} is missing from this installation of provision")


def asset_files(folder: str) -> dict[str, bytes]:
    """Every file below `folder`, keyed by its path relative to it, in sorted order."""
    root = asset(folder)
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def source_of(module: ModuleType) -> str:
    """The text of a module that runs on the server."""
    return inspect.getsource(module)
