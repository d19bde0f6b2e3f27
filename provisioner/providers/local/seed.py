"""The NoCloud seed: a small ISO image that cloud-init finds by its label."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

from pycdlib import PyCdlib

from provisioner.models import Network
from provisioner.providers.local.image import SUITE

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


_SOURCES = f"""\
Types: deb
URIs: {{mirror}}
Suites: {SUITE} {SUITE}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def vendor_data(network: Network, authorities: Mapping[str, bytes]) -> bytes:
    """What a machine must know of this network that was not baked into it.

    Not in the user-data, which is the same for every provider and may not grow: a seed may. The
    authorities are in place before anything else of cloud-init's asks the network.
    """
    apt: dict[str, object] = {"conf": 'APT::Periodic::Enable "0";\n'}  # no upgrades in a workshop
    if network.apt_mirror:
        apt |= {
            "generate_mirrorlists": False,  # Debian's way of naming mirrors would win
            "preserve_sources_list": False,
            "sources_list": _SOURCES.format(mirror=network.apt_mirror),
        }
    words: dict[str, object] = {"apt": apt}
    if authorities:
        words["ca_certs"] = {"trusted": [pem.decode() for pem in authorities.values()]}
    return b"#cloud-config\n" + json.dumps(words, indent=1).encode()


def seed_files(
    *, workshop_id: str, name: str, user_data: bytes, vendor_data: bytes = b""
) -> dict[str, bytes]:
    """File name → content. A changed instance-id would make cloud-init start all over."""
    meta_data = {"instance-id": workshop_id, "local-hostname": name}
    return {
        "user-data": user_data,
        "meta-data": json.dumps(meta_data).encode() + b"\n",
        "network-config": NETWORK_CONFIG,
        "vendor-data": vendor_data,  # an absent file is looked for again and again
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
