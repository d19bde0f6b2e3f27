"""A build that fails on the server is told like one that fails at home."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from provisioner.models import Phase
from provisioner.render import commands, looking
from provisioner.workflow import evidence

LOG = (
    """bootstrap [3.1s] building images
#9 [notebook notebook  9/12] RUN python3 -m pip install -r /tmp/environment/requirements.txt
#9 0.4 ERROR: No matching distribution found for nump
#9 ERROR: process "/bin/sh -c python3 -m pip install" did not complete successfully: exit code: 1
------
Dockerfile:99
"""
    + "failed to solve: process x did not complete\n" * 30
)


@pytest.mark.parametrize("source", [commands.BOOTSTRAP_LOG, commands.CLOUD_INIT_LOG])
def test_pips_own_words_are_found_in_the_servers_log(tmp_path: Any, source: str) -> None:
    def run(command: str, *, timeout: float) -> Any:
        return SimpleNamespace(out=LOG if command == source else "", err="")

    climb = SimpleNamespace(
        tools=SimpleNamespace(provider=object()),
        remote=SimpleNamespace(run=run),
        folder=SimpleNamespace(logs=tmp_path / "logs"),
        record=SimpleNamespace(phase=Phase.BOOTING),
    )
    told = evidence.collect(cast(Any, climb))
    assert told[-1] == "ERROR: No matching distribution found for nump"
    assert "did not complete" not in "\n".join(told)
    assert len(list((tmp_path / "logs").iterdir())) == 1  # and all of it is kept


@pytest.mark.parametrize(
    ("phase", "cause"),
    [(Phase.BOOTING, "E: Unable to fetch docker.io"), (Phase.STARTING, "hub: no such user")],
)
def test_before_there_is_an_engine_the_machine_is_asked_first(
    tmp_path: Any, phase: Phase, cause: str
) -> None:
    """Without Docker the bundle's log says that there is no Docker, and apt's says why."""
    bundle = "sh: docker: not found" if phase is Phase.BOOTING else "hub: no such user"
    said = {
        commands.BOOTSTRAP_LOG: "bootstrap [3.1s] installing\nE: Unable to fetch docker.io\n",
        looking.logs([], tail=200): bundle,
    }
    climb = SimpleNamespace(
        tools=SimpleNamespace(provider=object()),
        remote=SimpleNamespace(
            run=lambda command, timeout: SimpleNamespace(out=said.get(command, ""), err="")
        ),
        folder=SimpleNamespace(logs=tmp_path / "logs"),
        record=SimpleNamespace(phase=phase),
    )
    assert evidence.collect(cast(Any, climb))[-1] == cause
