"""The bundle: the files of stack/ as they stand, and one `.env` with this workshop's values.

It is sent over SSH once the machine is known (delivery.py), and does not know who takes part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from provisioner.environment.dockerfile import prepared
from provisioner.models import Bundle, Culling, DataSource, Environment, Limits, Network
from provisioner.render.assets import asset_files

ROOT = "/opt/provision"
DATA_ROOT = f"{ROOT}/data"

DEBIAN_BASE = "provision-debian:trixie"
"""Imported by the bake; where a registry answers, Debian's own image stands in its place."""

DEBIAN_NOTEBOOK = "debian-notebook"
"""A stage of stack/Dockerfile: the notebook image without any registry."""

CUSTOM = "environment/custom"
"""The folder of the organiser's own Dockerfile: built first, and the notebook image from it."""


def data_mounts(data: tuple[DataSource, ...]) -> dict[str, str]:
    """Where each shared folder lies on the server → where participants see it."""
    return {f"{DATA_ROOT}/{number}": folder.path for number, folder in enumerate(data)}


def render_bundle(
    *,
    name: str,
    limits: Limits,
    environment: Environment,
    network: Network,
    data: tuple[DataSource, ...] = (),
    culling: Culling | None = None,
    notices: Sequence[float] = (),
    materials: Mapping[str, str] | None = None,
) -> Bundle:
    """The bundle of one workshop. Where it is found is told to it later: see render/site.py.

    `notices` are seconds before the deadline. `materials` is what participants' containers are
    told of them.
    """
    culling = culling or Culling()
    files = asset_files("stack")
    files["environment/requirements.txt"] = _lines(environment.python)
    files["environment/constraints.txt"] = _lines(environment.constraints)
    files["environment/apt.txt"] = _lines(environment.apt)
    build = {
        "PROVISION_DEBIAN_BASE": DEBIAN_BASE,
        "PROVISION_NOTEBOOK_BASE": environment.base_image or DEBIAN_NOTEBOOK,
        "PROVISION_PIP_INDEX": network.pip_index,
        "PROVISION_NPM_REGISTRY": network.npm_registry,
        "PROVISION_APT_MIRROR": network.apt_mirror,
    }
    if environment.context:
        own = prepared(dict(environment.context), network)
        files |= {f"{CUSTOM}/{name}": content for name, content in own.items()}
    image_key = _digest(files, build)
    if environment.context:
        build["PROVISION_NOTEBOOK_BASE"] = f"provision-custom:{image_key}"
    run = {
        "PROVISION_NAME": name,
        "PROVISION_TAG": image_key,
        "PROVISION_MEMORY": str(limits.memory),
        "PROVISION_CPU": str(limits.cpu),
        "PROVISION_DISK": str(limits.disk),
        "PROVISION_CULL_IDLE": str(round(culling.idle)),
        "PROVISION_CULL_MAX_AGE": str(round(culling.max_age)),
        "PROVISION_VARIABLES": json.dumps(dict(environment.variables)),
        "PROVISION_NOTICES": ",".join(str(round(seconds)) for seconds in notices),
        "PROVISION_REACH": " ".join(network.reach),
        "PROVISION_DATA": json.dumps(data_mounts(data)),
        "PROVISION_MATERIALS": json.dumps(dict(materials)) if materials else "",
    }
    files[".env"] = _env_file(build | run)
    return Bundle(files=tuple(sorted(files.items())), image_key=image_key)


def _lines(words: tuple[str, ...]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _digest(files: dict[str, bytes], build: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(files.items()):
        digest.update(f"{key}\0{len(value)}\0".encode() + value)
    digest.update(json.dumps(build, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _env_file(values: dict[str, str]) -> bytes:
    return "".join(f"{key}={_quote(value)}\n" for key, value in sorted(values.items())).encode()


def _quote(value: str) -> str:
    """Single quotes keep `$` and `"` as they are; a quote inside can only be JSON's, as \\u0027."""
    return "'" + value.replace("'", "\\u0027") + "'"
