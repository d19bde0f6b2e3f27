"""The organiser's own Dockerfile, and what a participant finds in the image made from it."""

from __future__ import annotations

import io
import shlex
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.output import ConsoleReporter
from provisioner.errors import Refused
from provisioner.models import GIB, Bundle, Environment, Limits, Network
from provisioner.render.assets import asset
from provisioner.render.bundle import DEBIAN_BASE, render_bundle
from tests.engine.machine import Engine
from tests.engine.template import Template
from tests.engine.workshop import why_not

# As the one of the workshop that this all began with, over the only base that is at hand: packages
# of its own, system packages, users, and a command that is not a participant's.
DOCKERFILE = f"""FROM {DEBIAN_BASE}
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv adduser \\
    # two that everybody expects
    curl git
RUN python3 -m venv /opt/own
ENV PATH=/opt/own/bin:$PATH
RUN pip install --no-cache-dir \\
    ipywidgets==8.1.5
RUN for user in user1 user2; do adduser --disabled-password --gecos '' $user; done
COPY conda /opt/conda/bin/conda
RUN chmod +x /opt/conda/bin/conda
USER user2
VOLUME /somewhere
HEALTHCHECK --interval=1s CMD curl localhost
ENTRYPOINT ["start.sh"]
CMD ["jupyterhub", "-f", "/srv/jupyterhub/jupyterhub_config.py"]
"""
CONDA = b"""#!/bin/sh
echo "PS1='(base) '"
echo "export GDAL_DATA='/opt/conda/share/gdal'"
"""
JUPYTERHUB = asset("stack/requirements/jupyterhub.txt").read_text().strip().partition("==")[2]


def bundle(**environment: Any) -> Bundle:
    return render_bundle(
        name="own",
        limits=Limits(GIB, 1.0, GIB),
        environment=Environment(**environment),
        network=Network(),
    )


OWN = bundle(context=(("Dockerfile", DOCKERFILE.encode()), ("conda", CONDA)), python=("cowsay",))

Inside = Callable[[str], str]


@pytest.fixture(scope="module")
def inside() -> Iterator[Inside]:
    """Runs a shell command in one participant's container, and answers with its output."""
    if reason := why_not():
        pytest.skip(reason)
    with Engine("own") as engine:
        engine.install(OWN, Network(), ConsoleReporter())
        engine.power_on()
        engine.must("mkdir -p /home/one /home/tmp && chown 1000:100 /home/one /home/tmp")
        engine.must("cat > /home/mine-1-py3-none-any.whl", stdin=wheel())
        started = (
            "docker run --detach --name one --read-only --cap-drop ALL --network none"
            " --security-opt no-new-privileges --user 1000:100 --env MEM_LIMIT=536870912"
            " --env CPU_LIMIT=1.0 --volume /home/one:/home/jovyan --volume /home/tmp:/tmp"
            " --volume /home/mine-1-py3-none-any.whl:/srv/mine-1-py3-none-any.whl:ro"
            f" provision-notebook:{OWN.image_key} jupyter server --port=8888"
            " --IdentityProvider.token=x"
        )
        engine.must(started)

        def run(command: str) -> str:
            words = ["docker", "exec", "one", "provision-env", "bash", "-c", command]
            return engine.must(shlex.join(words), timeout=120)

        run("for _ in $(seq 150); do curl -sf localhost:8888/api && break; sleep 0.2; done")
        yield run


def wheel() -> bytes:
    """A package `mine` with nothing but a number in it."""
    packed = io.BytesIO()
    about = "Metadata-Version: 2.1\nName: mine\nVersion: 1\n"
    kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mine.py", "number = 42\n")
        archive.writestr("mine-1.dist-info/METADATA", about)
        archive.writestr("mine-1.dist-info/WHEEL", kind)
        archive.writestr("mine-1.dist-info/RECORD", "")
    return packed.getvalue()


def test_whatever_its_users_were_a_participant_is_jovyan(inside: Inside) -> None:
    assert inside("id").strip() == "uid=1000(jovyan) gid=100(users) groups=100(users)"
    assert inside("echo $HOME; pwd").split() == ["/home/jovyan"] * 2


def test_the_hub_and_the_server_have_one_version(inside: Inside) -> None:
    assert inside("jupyterhub-singleuser --version").strip() == JUPYTERHUB


def test_its_packages_stay_as_they_were_and_ours_and_the_workshops_are_added(
    inside: Inside,
) -> None:
    listed = inside("pip list --format=freeze 2> /dev/null").splitlines()
    assert "ipywidgets==8.1.5" in listed
    assert {"cowsay", "jupyterlab", "nbgitpuller"} <= {line.partition("==")[0] for line in listed}


def test_nothing_of_its_own_start_is_left(inside: Inside) -> None:
    assert inside("cat /proc/1/comm").strip() == "tini"
    assert "curl localhost" not in inside("ps -eo args")


def test_an_environment_that_conda_makes_is_there_in_kernels_and_terminals(inside: Inside) -> None:
    for shell in ("bash -c", "bash -lc"):
        words = inside(f"{shell} 'echo $GDAL_DATA; which python3; echo $PS1'").split()
        assert words == ["/opt/conda/share/gdal", "/opt/own/bin/python3"]


def test_what_a_network_needs_to_build_does_not_stay(inside: Inside) -> None:
    assert "CARGO_HTTP_CAINFO" not in inside("env")


UNCOMPILED = """
import os, sys, sysconfig
for kind in ("stdlib", "purelib"):
    for folder, _, names in os.walk(sysconfig.get_path(kind)):
        for name in names if "lib2to3" not in folder else ():
            path = os.path.join(folder, name)
            if name.endswith(".py") and not os.path.exists(cached(path)):
                print(path)
"""


def test_no_module_has_to_be_compiled_at_a_start(inside: Inside) -> None:
    """The root file system is read-only: each start would compile everything again."""
    code = "from importlib.util import cache_from_source as cached" + UNCOMPILED
    assert inside(f"python3 -c {shlex.quote(code)}") == ""


def test_a_participant_installs_for_themselves(inside: Inside) -> None:
    told = inside("pip install --no-index /srv/mine-1-py3-none-any.whl 2>&1")
    assert "Successfully installed mine-1" in told
    assert inside("python3 -c 'import mine; print(mine.number, mine.__file__)'").startswith(
        "42 /home/jovyan/.local/"
    )


def test_and_into_an_environment_of_their_own(inside: Inside) -> None:
    inside("python3 -m venv ~/env && ~/env/bin/pip install --no-index /srv/mine-1*.whl")
    assert "/home/jovyan/env/" in inside("~/env/bin/python -c 'import mine; print(mine.__file__)'")


def test_lab_shows_memory_processor_and_disk_with_their_limits(inside: Inside) -> None:
    told = inside("curl -s -H 'Authorization: token x' localhost:8888/api/metrics/v1")
    for word in ('"rss": 536870912', '"cpu": {"cpu": 1.0}', '"disk_total"', '"cpu_percent"'):
        assert word in told
    shown = inside(
        "curl -s -H 'Authorization: token x'"
        " 'localhost:8888/lab/api/settings/@jupyter-server/resource-usage:topbar-item'"
    )
    assert '"default": true' in shown


def test_nobody_is_asked_to_rename_what_they_save(inside: Inside) -> None:
    code = (
        "import json, sys; print(json.load(sys.stdin)['schema']['properties']"
        "['renameUntitledFileOnSave']['default'])"
    )
    address = "localhost:8888/lab/api/settings/@jupyterlab/docmanager-extension:plugin"
    ask = f"curl -s -H 'Authorization: token x' {address} | python3 -c {shlex.quote(code)}"
    assert inside(ask).strip() == "False"


BROKEN = {
    "python": ({"python": ("no-such-package-anywhere",)}, "No matching distribution found"),
    "apt": ({"apt": ("no-such-package",)}, "Unable to locate package no-such-package"),
    "base": ({"base_image": DEBIAN_BASE}, "has no python3 on its PATH"),
    "dockerfile": (
        {"context": (("Dockerfile", f"FROM {DEBIAN_BASE}\nCOPY gone /\n".encode()),)},
        "gone",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_can_not_be_built_is_told_in_the_tools_own_words(what: str) -> None:
    if reason := why_not():
        pytest.skip(reason)
    environment, words = BROKEN[what]
    with tempfile.TemporaryDirectory() as keep, pytest.raises(Refused) as caught:
        Template(Network()).build(bundle(**environment), ConsoleReporter(), keep=Path(keep))
    assert words in caught.value.message.splitlines()[0]


def test_a_repository_is_pulled_by_a_link(inside: Inside) -> None:
    inside(
        "git init -q -b main /tmp/repo && cd /tmp/repo && echo 1 > day1.ipynb && git add ."
        " && git -c user.name=a -c user.email=a@example.org commit -qm one"
    )
    link = "localhost:8888/git-pull?repo=/tmp/repo&branch=main&targetPath=course&token=x"
    assert ">lab/tree/course/" in inside(f"curl -sL {shlex.quote(link)}")
    api = "localhost:8888/git-pull/api?repo=/tmp/repo&branch=main&targetpath=course"
    told = inside(f"curl -s -H 'Authorization: token x' {shlex.quote(api)}")
    assert '"phase": "finished"' in told
    assert inside("cat course/day1.ipynb").strip() == "1"
