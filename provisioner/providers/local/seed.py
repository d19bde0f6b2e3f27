"""The NoCloud seed: a small ISO image that cloud-init finds by its label."""

from __future__ import annotations

import io
import json
from pathlib import Path

from pycdlib import PyCdlib

NETWORK_CONFIG = b"""\
version: 2
ethernets:
  primary:
    match: {name: "e*"}
    dhcp4: true
    dhcp6: false
    accept-ra: false
"""
"""QEMU's user network speaks DHCPv4 only; waiting for a router's word would delay every boot."""


def seed_files(*, workshop_id: str, name: str, user_data: bytes) -> dict[str, bytes]:
    """File name → content. A changed instance-id would make cloud-init start all over."""
    meta_data = {"instance-id": workshop_id, "local-hostname": name}
    return {
        "user-data": user_data,
        "meta-data": json.dumps(meta_data).encode() + b"\n",
        "network-config": NETWORK_CONFIG,
        "vendor-data": b"",  # an absent file is looked for again and again
    }


def write_seed(path: Path, files: dict[str, bytes]) -> None:
    """Write `files` as an ISO 9660 image labelled CIDATA, readable by the owner only."""
    iso = PyCdlib()
    iso.new(interchange_level=3, vol_ident="CIDATA", joliet=3, rock_ridge="1.09")
    for number, (name, content) in enumerate(sorted(files.items())):
        iso.add_fp(
            io.BytesIO(content),
            len(content),
            f"/FILE{number}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    staging = path.with_name(path.name + ".new")
    staging.touch(mode=0o600)
    with staging.open("r+b") as target:
        iso.write_fp(target)
    iso.close()
    staging.replace(path)
