from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from provisioner.errors import NotReady, NotYet
from provisioner.models import Result
from provisioner.workflow.checks import (
    BOOTSTRAP,
    CLOUD_INIT,
    ENGINE,
    MACHINE,
    NAME,
    OWN_AUTHORITY,
    PARTICIPANT,
    SERVICES,
    SSH,
    STANDSTILL,
    WEB,
    Climb,
    bootstrap_done,
    parse_cloud_init,
    parse_services,
)
from tests.doubles import FakeClock

LADDER = (
    *MACHINE,
    *SSH,
    *CLOUD_INIT,
    *BOOTSTRAP,
    *ENGINE,
    *NAME,
    *SERVICES,
    *OWN_AUTHORITY,
    *WEB,
    *PARTICIPANT,
)


def test_every_rung_has_a_name_of_its_own_and_says_what_to_do() -> None:
    ladder = LADDER
    assert len({rung.name for rung in ladder}) == len(ladder)
    for rung in ladder:
        assert rung.hint.format(name="tessera")
        assert rung.budget > 0


def test_ready_means_that_a_participant_ran_a_cell() -> None:
    assert PARTICIPANT[-1].name == "cell"


CLOUD_INIT = [
    ("", "not started", "", 0),
    ("status: not run", "not started", "", 0),
    ('{"status": "running", "stage": "modules-config"}', "running", "modules-config", 0),
    ('{"status": "done", "errors": [], "recoverable_errors": {}}', "done", "", 0),
    (
        '{"status": "done", "recoverable_errors": {"WARNING": ["a", "b"]}}',
        "done",
        "",
        2,
    ),
    (
        '{"status": "error", "errors": ["boom"], "modules-final": {"errors": ["boom"]}}',
        "error",
        "modules-final",
        0,
    ),
]


@pytest.mark.parametrize(("text", "state", "stage", "warnings"), CLOUD_INIT)
def test_cloud_init_status(text: str, state: str, stage: str, warnings: int) -> None:
    seen = parse_cloud_init(text)
    assert (seen.state, seen.stage, len(seen.warnings)) == (state, stage, warnings)


def test_service_states_of_old_and_new_compose() -> None:
    items = [
        {"Service": "hub", "State": "running", "Health": "unhealthy"},
        {"Service": "caddy", "State": "running", "Health": ""},
        {"Service": "proxy", "State": "restarting"},
    ]
    wanted = {"hub": "unhealthy", "caddy": "running", "proxy": "restarting"}
    assert parse_services("\n".join(json.dumps(item) for item in items)) == wanted
    assert parse_services(json.dumps(items)) == wanted
    assert parse_services("") == {}
    assert parse_services("no such file") == {}


class Preparing:
    """A machine whose bootstrap says something; `climb` looks at it."""

    def __init__(self, *said: str, state: str = "activating", more: str = "") -> None:
        self.said, self.state, self.more = list(said), state, more
        self.clock = FakeClock()
        tools = SimpleNamespace(provider=object(), clock=self.clock)
        server = SimpleNamespace(slow=False)
        record = SimpleNamespace(name="tessera", id="id-1")
        self.climb = Climb(*cast(Any, (tools, record, None, server, None)))
        self.climb._remote = cast(Any, self)

    def run(self, command: str, *, timeout: float) -> Result:
        text = "\n".join([f"LoadState=loaded\nActiveState={self.state}{self.more}", *self.said])
        return Result(0, text, "")


def test_a_bootstrap_may_take_long_while_it_moves() -> None:
    machine = Preparing("bootstrap [9.1s] building images")
    for layer in range(5):
        machine.said.append(f"#9 sha256 {layer} GB")
        with pytest.raises(NotYet, match="building images"):
            bootstrap_done(machine.climb)
        machine.clock.sleep(STANDSTILL - 1)
    with pytest.raises(NotYet):
        bootstrap_done(machine.climb)
    machine.clock.sleep(2)
    with pytest.raises(NotReady, match="nothing new for 15 min") as error:
        bootstrap_done(machine.climb)
    assert not isinstance(error.value, NotYet)
    assert error.value.details[-1] == "#9 sha256 4 GB"


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (Preparing(state="failed", more="\nResult=exit-code"), "failed"),
        (Preparing(state="inactive"), "cut short"),
        (Preparing(state="inactive", more="\nJob=7"), "is at: its first stage"),
    ],
)
def test_a_bootstrap_that_is_not_done_says_why(machine: Preparing, words: str) -> None:
    with pytest.raises(NotReady, match=words):
        bootstrap_done(machine.climb)


@pytest.mark.parametrize(
    "machine",
    [
        Preparing(state="active"),
        Preparing(state="inactive", more="\nBootstrapped=yes"),  # it was, before this boot
        Preparing(state="inactive", more="\nLoadState=not-found"),  # an earlier version's machine
    ],
)
def test_a_bootstrap_that_is_done_is_not_waited_for(machine: Preparing) -> None:
    bootstrap_done(machine.climb)
