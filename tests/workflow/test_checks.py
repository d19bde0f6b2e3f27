from __future__ import annotations

import json

import pytest

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
    WEB,
    parse_cloud_init,
    parse_services,
)

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
