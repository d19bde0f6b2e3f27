"""The files of stack/ as they stand, and as a workshop's values make them."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.models import GIB, DataFolder, Environment, Limits, Network
from provisioner.render import commands
from provisioner.render.bundle import render_bundle

STACK = Path(__file__).parents[2] / "stack"
COMPOSE = yaml.safe_load((STACK / "docker-compose.yml").read_text())


def bundle(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "name": "tessera",
        "limits": Limits(GIB, 1.0, GIB),
        "environment": Environment(),
        "network": Network(),
    }
    return render_bundle(**values | changes)


def env(made: Any) -> dict[str, str]:
    lines = dict(made.files)[".env"].decode().splitlines()
    return {key: value[1:-1] for key, value in (line.split("=", 1) for line in lines)}


def test_every_value_that_the_bundle_reads_is_written_and_the_other_way_round() -> None:
    text = (STACK / "docker-compose.yml").read_text()
    read = set(re.findall(r"\$\{(PROVISION_\w+)", text))
    overridable = {"PROVISION_SECRETS", "PROVISION_OOM_SCORE_ADJ"}
    assert read - overridable <= env(bundle()).keys()
    assert env(bundle()).keys() - read == {"PROVISION_NAME"}


def test_every_value_has_a_default_so_that_the_file_is_valid_as_it_stands() -> None:
    text = (STACK / "docker-compose.yml").read_text()
    assert not re.findall(r"\$\{PROVISION_\w+\}", text)


def test_nobody_but_the_hub_has_the_docker_socket_and_nobody_has_privileges() -> None:
    for name, service in COMPOSE["services"].items():
        if name == "notebook":
            continue
        mounts = " ".join(service.get("volumes", []))
        assert ("docker.sock" in mounts) == (name == "hub"), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name


def test_only_caddy_is_reached_from_outside_and_it_never_meets_participants() -> None:
    published = [name for name, item in COMPOSE["services"].items() if item.get("ports")]
    assert published == ["caddy"]
    assert COMPOSE["services"]["caddy"]["networks"] == ["edge"]


def test_the_proxy_does_not_live_in_the_hub() -> None:
    config = (STACK / "jupyterhub_config.py").read_text()
    assert "should_start = False" in config
    assert "cleanup_servers = False" in config


def test_what_must_survive_a_restart_is_in_named_volumes() -> None:
    mounts = {name: " ".join(item.get("volumes", [])) for name, item in COMPOSE["services"].items()}
    assert "caddy-data:/data" in mounts["caddy"]
    assert "hub-state:/srv/jupyterhub/state" in mounts["hub"]
    assert commands.HOME_VOLUME + "{username}" in (STACK / "jupyterhub_config.py").read_text()


def test_values_with_quotes_and_dollars_survive() -> None:
    variables = (("GREETING", 'it\'s $5 "only"'), ("TESSERA_DATA_DIR", "/tessera"))
    made = bundle(environment=Environment(variables=variables))
    line = env(made)["PROVISION_VARIABLES"]
    assert "'" not in line
    assert json.loads(line) == dict(variables)


def test_data_folders_are_mounted_where_participants_expect_them() -> None:
    made = bundle(data=(DataFolder(Path("a"), "/tessera"), DataFolder(Path("b"), "/b")))
    assert json.loads(env(made)["PROVISION_DATA"]) == {
        "/opt/provision/data/0": "/tessera",
        "/opt/provision/data/1": "/b",
    }


SAME_IMAGE = {
    "name": {"name": "other"},
    "limits": {"limits": Limits(2 * GIB, 0.5, GIB)},
    "variables": {"environment": Environment(variables=(("A", "1"),))},
    "data": {"data": (DataFolder(Path("a"), "/a"),)},
}
OTHER_IMAGE = {
    "python": {"environment": Environment(python=("geotessera",))},
    "apt": {"environment": Environment(apt=("gdal-bin",))},
    "base": {"environment": Environment(base_image="quay.io/x/y:1")},
    "mirror": {"network": Network(pip_index="https://pip.example.org")},
}


@pytest.mark.parametrize("changed", SAME_IMAGE)
def test_run_time_settings_do_not_rebuild_the_images(changed: str) -> None:
    assert bundle(**SAME_IMAGE[changed]).image_key == bundle().image_key


@pytest.mark.parametrize("changed", OTHER_IMAGE)
def test_what_goes_into_the_images_does(changed: str) -> None:
    assert bundle(**OTHER_IMAGE[changed]).image_key != bundle().image_key


def test_the_bundle_is_small() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in bundle().files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert len(gzip.compress(packed.getvalue())) < 9000


def test_the_hub_and_everybodys_server_have_the_same_jupyterhub() -> None:
    text = (STACK / "Dockerfile").read_text()
    assert text.count("requirements/jupyterhub.txt") >= 3
    (line,) = (STACK / "requirements" / "jupyterhub.txt").read_text().split()
    assert re.fullmatch(r"jupyterhub==\d+\.\d+\.\d+", line)


def test_what_must_not_move_is_pinned() -> None:
    for path in (STACK / "requirements").glob("*.txt"):
        for line in path.read_text().splitlines():
            assert re.match(r"[a-z-]+==[\d.]+( --hash=sha256:[0-9a-f]{64})?$", line), line
    assert "configurable-http-proxy@5." in (STACK / "Dockerfile").read_text()


def test_the_seeds_contents_are_there() -> None:
    notebook = (STACK / "requirements" / "notebook.txt").read_text()
    for package in (
        "jupyterlab",
        "notebook",
        "numpy",
        "matplotlib",
        "scikit-learn",
        "ipyleaflet",
        "ipywidgets",
        "ipykernel",
    ):
        assert f"{package}==" in notebook
    dockerfile = (STACK / "Dockerfile").read_text()
    for package in ("curl", "git", "vim", "nano"):
        assert re.search(rf"\b{package}\b", dockerfile)
    config = (STACK / "jupyterhub_config.py").read_text()
    for line in ('default_url = "/lab"', "start_timeout = 300", "http_timeout = 120"):
        assert line in config
