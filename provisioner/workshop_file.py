"""Reading workshop.toml: its values, with every path in it made absolute."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from provisioner.errors import UsageError


def read_file(file: Path | None) -> dict[str, Any]:
    """What `file` says, or ./workshop.toml when none is named; {} when that is not there.

    Relative paths in it are relative to the file. Raises UsageError.
    """
    path = file or Path("workshop.toml")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if file is None:
            return {}
        raise UsageError(
            f"There is no configuration file {file}", hint=f"provision init --output {file}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    _anchor(values, path.resolve().parent)
    return values


FILES = {
    "dns": ("key_file",),
    "environment": ("dockerfile", "requirements"),
    "network": ("cloud_image",),
    "tls": ("ca_root", "eab_key_file", "certificate", "key"),
}
"""Section → keys that name a file of the operator's machine."""


def _anchor(values: dict[str, Any], folder: Path) -> None:
    if isinstance(values.get("roster"), str) and values["roster"]:
        values["roster"] = str(folder / Path(values["roster"]).expanduser())
    data = values.get("data")
    for item in data if isinstance(data, list) else []:
        source = item.get("source") if isinstance(item, dict) else None
        if isinstance(source, str) and "://" not in source:
            item["source"] = str(folder / Path(source).expanduser())
    materials = values.get("materials")
    if isinstance(materials, dict) and _is_path(materials.get("source")):
        materials["source"] = str(folder / Path(materials["source"]).expanduser())
    for section, keys in FILES.items():
        given = values.get(section)
        if isinstance(given, dict):
            for key in keys:
                path = given.get(key)
                if key not in given:
                    continue
                if isinstance(path, list):
                    given[key] = [_anchored(item, folder) for item in path]
                else:
                    given[key] = _anchored(path, folder)


def _anchored(path: Any, folder: Path) -> Any:
    if isinstance(path, str) and path and "://" not in path:
        return str(folder / Path(path).expanduser())
    return path


def _is_path(source: object) -> bool:
    """Not nothing, not a URL, and not git's own user@host:path."""
    return isinstance(source, str) and not re.match(r"$|\w[\w+.-]*://|[\w.-]+@[\w.-]+:", source)
