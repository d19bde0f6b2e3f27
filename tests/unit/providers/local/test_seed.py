from __future__ import annotations

import io
import json
from pathlib import Path

import yaml
from pycdlib import PyCdlib

from provisioner.providers.local.seed import seed_files, write_seed


def read(path: Path) -> tuple[str, dict[str, bytes]]:
    iso = PyCdlib()
    iso.open(str(path))
    label = iso.pvd.volume_identifier.decode().strip()
    found = {}
    for child in iso.list_children(rr_path="/"):
        if child is not None and child.is_file():
            content = io.BytesIO()
            name = child.rock_ridge.name().decode()
            iso.get_file_from_iso_fp(content, rr_path=f"/{name}")
            found[name] = content.getvalue()
    iso.close()
    return label, found


def test_what_cloud_init_looks_for_is_in_it(tmp_path: Path) -> None:
    files = seed_files(workshop_id="an-id", name="demo", user_data=bytes(range(256)) * 64)
    path = tmp_path / "seed.iso"
    write_seed(path, files)
    assert read(path) == ("CIDATA", files)
    assert json.loads(files["meta-data"]) == {"instance-id": "an-id", "local-hostname": "demo"}
    assert yaml.safe_load(files["network-config"])["ethernets"]["primary"]["dhcp4"] is True
    assert files["vendor-data"] == b""


def test_only_the_owner_can_read_the_host_key_in_it(tmp_path: Path) -> None:
    path = tmp_path / "seed.iso"
    write_seed(path, seed_files(workshop_id="an-id", name="demo", user_data=b"x"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.new"))
