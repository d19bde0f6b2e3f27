"""The user-data of the one machine: cloud-init's only input, the same for every provider."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from provisioner.errors import Refused
from provisioner.models import Bundle
from provisioner.render.assets import asset
from provisioner.render.bundle import ROOT
from provisioner.render.commands import calendar

LIMIT = 16384
"""Bytes that EC2 accepts, before base64. Clouds differ; this is the smallest known."""


@dataclass(frozen=True, slots=True)
class File:
    """One file that cloud-init writes. Owned by root."""

    path: str
    content: str
    mode: str
    encoding: str = ""


def render_user_data(
    *,
    name: str,
    id: str,
    expires_at: datetime,
    ssh_public_key: str,
    host_key_private: str,
    host_key_public: str,
) -> bytes:
    """The cloud-config, gzip'd; the same input gives the same bytes. The bundle follows over SSH
    (delivery.py).

    Raises Refused when it is larger than `LIMIT`.
    """
    values: dict[str, Any] = {
        "name": name,
        "id": id,
        "deadline": calendar(expires_at),
        "ssh_public_key": ssh_public_key,
        "host_key_private": host_key_private,
        "host_key_public": host_key_public,
        "files": machine_files(host_key_public),
    }
    text = _template().render(values)
    _compare(yaml.safe_load(text), values)
    return _compressed(text)


def machine_files(host_key_public: str) -> list[File]:
    """What runs the machine, beside the bundle."""

    def from_asset(path: str, source: str, mode: str) -> File:
        return File(path, asset(f"cloud-init/{source}").read_text(encoding="utf-8"), mode)

    return [
        File(f"{ROOT}/injected-host-key.pub", host_key_public.strip() + "\n", "0644"),
        from_asset(f"{ROOT}/bootstrap.sh", "bootstrap.sh", "0755"),
        from_asset(f"{ROOT}/make-homes", "make-homes", "0755"),
        from_asset(f"{ROOT}/isolate", "isolate", "0755"),
        from_asset(f"{ROOT}/rotate-host-key", "rotate-host-key", "0755"),
        from_asset("/etc/ssh/sshd_config.d/10-provision.conf", "sshd.conf", "0644"),
        *(
            from_asset(
                f"/etc/systemd/system/provision-{unit}.service", f"provision-{unit}.service", "0644"
            )
            for unit in ("bootstrap", "stack")
        ),
    ]


def bundle_files(bundle: Bundle) -> list[File]:
    return [_bundle_file(path, content) for path, content in bundle.files]


def _bundle_file(path: str, content: bytes) -> File:
    path = f"{ROOT}/bundle/{path}"
    mode = "0755" if content.startswith(b"#!") else "0644"
    try:  # text compresses best as it is
        return File(path, content.decode(), mode)
    except UnicodeDecodeError:
        return File(path, base64.b64encode(content).decode(), mode, "b64")


def _template() -> Any:
    source = asset("cloud-init/user-data.yaml.j2").read_text(encoding="utf-8")
    environment = Environment(
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, not HTML; `q` quotes
        keep_trailing_newline=True,
    )
    environment.filters["q"] = quote
    return environment.from_string(source)


def quote(text: str) -> str:
    """`text` as a double-quoted YAML scalar on one line."""
    plain = str(text)  # a Secret is a kind of str that YAML would not know
    return yaml.safe_dump(plain, default_style='"', width=float("inf"), allow_unicode=True).rstrip()


def _compare(parsed: Any, values: dict[str, Any]) -> None:
    """What cloud-init will read must be what was meant. Raises RuntimeError: our own bug."""
    meant = (
        values["host_key_private"],
        values["host_key_public"],
        [values["ssh_public_key"]],
        [(file.path, file.content) for file in values["files"]],
    )
    read = (
        parsed["ssh_keys"]["ed25519_private"],
        parsed["ssh_keys"]["ed25519_public"],
        parsed["users"][0]["ssh_authorized_keys"],
        [(entry["path"], entry["content"]) for entry in parsed["write_files"]],
    )
    if read != meant:
        raise RuntimeError("the rendered user-data does not parse back to what went in")


def _compressed(text: str) -> bytes:
    data = gzip.compress(text.encode(), compresslevel=9, mtime=0)
    if len(data) > LIMIT:
        raise Refused(
            f"The user-data is {len(data):,} bytes compressed; clouds accept {LIMIT:,}",
            hint="this is a bug: its size does not depend on your settings",
        )
    return data
