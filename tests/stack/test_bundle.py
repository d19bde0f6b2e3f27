"""The files of stack/ as they stand, and as a workshop's values make them."""

from __future__ import annotations

import gzip
import io
import ipaddress
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from provisioner.models import GIB, DataSource, Environment, Limits, Network
from provisioner.render.assets import asset
from provisioner.render.bundle import render_bundle
from provisioner.settings import Settings

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
    overridable = {
        *("PROVISION_SECRETS", "PROVISION_OOM_SCORE_ADJ"),
        *("PROVISION_ISOLATED", "PROVISION_DOCKER_THREADS"),
    }
    assert read - overridable <= env(bundle()).keys()
    for script in ("make-homes", "isolate"):
        found = re.findall(r"\$\{?(PROVISION_\w+)", asset(f"cloud-init/{script}").read_text())
        read |= set(found)
    assert env(bundle()).keys() - read == {"PROVISION_NAME"}


def test_every_value_has_a_default_so_that_the_file_is_valid_as_it_stands() -> None:
    text = (STACK / "docker-compose.yml").read_text()
    assert not re.findall(r"\$\{PROVISION_\w+\}", text)


def test_nobody_but_the_hub_has_the_docker_socket_and_nobody_has_privileges() -> None:
    for name, service in COMPOSE["services"].items():
        if service.get("profiles"):  # only ever built
            continue
        assert ("docker.sock" in str(service.get("volumes"))) == (name == "hub"), name
        assert service["read_only"] is True, name
        assert service["pids_limit"] <= 512, name
        assert service["logging"]["options"]["max-size"], name
        assert service["healthcheck"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name


def test_only_caddy_is_reached_from_outside() -> None:
    published = [name for name, item in COMPOSE["services"].items() if item.get("ports")]
    assert published == ["caddy"]


def test_the_fence_means_the_addresses_that_the_services_have() -> None:
    """cloud-init/isolate runs before the network exists, so it can't look them up."""
    said = dict(re.findall(r"^(\w+)=([\w./-]+)", asset("cloud-init/isolate").read_text(), re.M))
    network = COMPOSE["networks"]["participants"]
    options, (block,) = network["driver_opts"], network["ipam"]["config"]
    assert options["com.docker.network.bridge.name"] == said["bridge"]
    assert len(said["bridge"]) <= 15, "as long as Linux lets the name of an interface be"
    assert options["com.docker.network.bridge.enable_icc"] == "false"
    assert block["subnet"] == said["everybody"]
    people = ipaddress.ip_network(block["ip_range"])
    services = {"proxy": "proxy", "hub": "hub", "gate": "caddy"}
    for word, service in services.items():
        address = COMPOSE["services"][service]["networks"]["participants"]["ipv4_address"]
        assert address == said[word]
        assert ipaddress.ip_address(address) not in people, "nobody else ever has it"
        assert ipaddress.ip_address(address) in ipaddress.ip_network(block["subnet"])


def test_private_networks_that_the_settings_name_are_what_the_fence_is_told() -> None:
    wanted = Settings.model_validate({"network": {"reach": ["10.1.0.0/16", "192.168.4.5"]}})
    made = env(bundle(network=wanted.network_options()))
    assert made["PROVISION_REACH"] == "10.1.0.0/16 192.168.4.5/32"
    for wrong in ("10.1.2.3/16", "fd00::/8", "campus", "10.0.0.0/8 -j ACCEPT"):
        with pytest.raises(ValidationError, match=r"an example is 10\.1\.0\.0/16"):
            Settings.model_validate({"network": {"reach": [wrong]}})


def test_the_proxys_api_is_on_a_network_without_participants() -> None:
    proxy = COMPOSE["services"]["proxy"]
    (api,) = [word for word in proxy["command"] if word.startswith("--api-ip=")]
    assert api.partition("=")[2] == proxy["networks"]["control"]["ipv4_address"]
    assert COMPOSE["networks"]["control"]["internal"] is True


def test_the_hub_cannot_start_where_the_fence_does_not_stand() -> None:
    """Docker starts it by itself after a reboot, before any unit of ours."""
    (mark,) = [item for item in COMPOSE["services"]["hub"]["volumes"] if isinstance(item, dict)]
    assert mark["bind"] == {"create_host_path": False}
    where = mark["source"].partition(":-")[2].rstrip("}")
    assert where.startswith("/run/"), "nothing of it is there after a reboot"
    assert f"mark={where}\n" in asset("cloud-init/isolate").read_text()


def test_the_proxy_does_not_live_in_the_hub() -> None:
    config = (STACK / "jupyterhub_config.py").read_text()
    assert "should_start = False" in config
    assert "cleanup_servers = False" in config


def test_what_must_survive_a_restart_is_in_named_volumes() -> None:
    mounts = {name: str(item.get("volumes")) for name, item in COMPOSE["services"].items()}
    assert "caddy-data:/data" in mounts["caddy"]
    assert "hub-state:/srv/jupyterhub/state" in mounts["hub"]


def test_values_with_quotes_and_dollars_survive() -> None:
    variables = (("GREETING", 'it\'s $5 "only"'), ("TESSERA_DATA_DIR", "/tessera"))
    made = bundle(environment=Environment(variables=variables))
    line = env(made)["PROVISION_VARIABLES"]
    assert "'" not in line
    assert json.loads(line) == dict(variables)


def test_data_sources_are_mounted_where_participants_expect_them() -> None:
    made = bundle(data=(DataSource("a", "/tessera"), DataSource("b", "/b")))
    assert json.loads(env(made)["PROVISION_DATA"]) == {
        "/opt/provision/data/0": "/tessera",
        "/opt/provision/data/1": "/b",
    }


SAME_IMAGE = {
    "name": {"name": "other"},
    "limits": {"limits": Limits(2 * GIB, 0.5, GIB)},
    "variables": {"environment": Environment(variables=(("A", "1"),))},
    "data": {"data": (DataSource("a", "/a"),)},
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
    assert len(gzip.compress(packed.getvalue())) < 50_000


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
    prepared = (STACK / "notebook" / "prepare").read_text()
    for package in ("curl", "git", "vim", "nano"):
        assert re.search(rf"\b{package}\b", prepared)
    config = (STACK / "jupyterhub_config.py").read_text()
    for line in ('default_url = "/lab"', "start_timeout = 300", "http_timeout = 120"):
        assert line in config
