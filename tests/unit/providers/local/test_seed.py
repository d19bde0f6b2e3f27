from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import yaml
from pycdlib import PyCdlib

from provisioner.models import Network
from provisioner.providers.local.seed import seed_files, vendor_data, write_seed
from provisioner.render.assets import asset


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


def vendor(network: Network, authorities: dict[str, bytes]) -> dict[str, Any]:
    data = vendor_data(network, authorities)
    assert data.startswith(b"#cloud-config\n"), "or cloud-init would pass it over"
    document = yaml.safe_load(data)
    assert isinstance(document, dict)
    return document


def test_a_machine_that_was_not_baked_learns_the_private_authorities() -> None:
    pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    found = vendor(Network(), {"provision-1.crt": pem, "provision-2.crt": pem})
    assert found["ca_certs"] == {"trusted": [pem.decode()] * 2}
    assert "ca_certs" not in vendor(Network(), {})


def test_nothing_upgrades_itself_in_a_workshop() -> None:
    assert vendor(Network(), {})["apt"] == {"conf": 'APT::Periodic::Enable "0";\n'}


def test_a_mirror_replaces_debians_own_in_the_machine() -> None:
    apt = vendor(Network(apt_mirror="https://mirror.example/debian"), {})["apt"]
    assert apt["generate_mirrorlists"] is False
    assert apt["preserve_sources_list"] is False
    lines = apt["sources_list"].splitlines()
    assert "URIs: https://mirror.example/debian" in lines
    assert "Suites: trixie trixie-updates" in lines


def test_user_data_leaves_vendor_data_its_keys() -> None:
    """cloud-init lets the user's keys win over the vendor's: ours would be lost if they met."""
    template = asset("cloud-init/user-data.yaml.j2").read_text()
    for key in vendor(Network(), {"a": b"PEM"}):
        assert f"\n{key}:" not in template
