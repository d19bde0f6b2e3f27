"""Each call × what AWS may answer in its place: the right end, no orphan, words for a person."""

from __future__ import annotations

from typing import Any

import pytest

from tests.aws.conftest import World

READS = (
    *("GetCallerIdentity", "GetParameters", "GetServiceQuota"),
    *("DescribeImages", "DescribeInstances", "DescribeInstanceTypeOfferings"),
    *("DescribeRouteTables", "DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"),
    *("ListHostedZones", "GetHostedZone", "ListResourceRecordSets", "GetChange"),
)
WRITES = (
    "CreateSecurityGroup",
    "AuthorizeSecurityGroupIngress",
    "RunInstances",
    "ChangeResourceRecordSets",
)
ENDS = ("TerminateInstances", "DeleteSecurityGroup", "ChangeResourceRecordSets")

PASSING: dict[str, dict[str, Any]] = {
    "throttled": {"error": "RequestLimitExceeded"},
    "500 then fine": {"error": "InternalError", "status": 500},
    "lost response": {"effect": "lost"},
}
"""Trouble that goes by itself: the verb succeeds, at the latest when it is repeated."""

LASTING: dict[str, tuple[dict[str, Any], str]] = {
    "access denied": ({"error": "UnauthorizedOperation", "status": 403}, "allow"),
    "expired token": ({"error": "ExpiredToken", "status": 403}, "expired"),
}
"""Trouble that a person must end; the message says how."""


@pytest.mark.parametrize("trouble", PASSING)
@pytest.mark.parametrize("action", [*READS, *WRITES])
def test_a_launch_gets_over_it(world: World, action: str, trouble: str) -> None:
    world.cloud.script(action, **PASSING[trouble])
    done = world("launch", "--yes")
    if done.code != 0:
        assert "→" in done.err, "a failure says what to type next"
        assert "Traceback" not in done.err
        done = world("launch", "--yes")
    assert done.code == 0, done.err
    world.one_workshop()
    assert world("teardown", "--discard-homes", "--yes").code == 0
    world.empty()


@pytest.mark.parametrize("trouble", LASTING)
@pytest.mark.parametrize("action", WRITES)
def test_what_only_a_person_can_end_is_said_at_once(
    world: World, action: str, trouble: str
) -> None:
    fault, words = LASTING[trouble]
    world.cloud.script(action, times=None, **fault)
    done = world("launch", "--yes")
    assert done.code in {2, 3, 4}, done.err
    assert "Traceback" not in done.err
    assert "bug" not in done.err
    assert words in done.err.lower(), done.err
    assert len(world.cloud.calls(action)) < 12, "no silent retry loop"
    world.cloud.unscript()
    assert world("launch", "--yes").code == 0, "the record is kept, and launch goes on"
    world.one_workshop()
    assert world("teardown", "--discard-homes", "--yes").code == 0
    world.empty()


@pytest.mark.parametrize("trouble", PASSING)
@pytest.mark.parametrize("action", ENDS)
def test_a_teardown_gets_over_it(world: World, action: str, trouble: str) -> None:
    assert world("launch", "--yes").code == 0
    world.cloud.script(action, **PASSING[trouble])
    done = world("teardown", "--discard-homes", "--yes")
    if done.code != 0:
        assert "Traceback" not in done.err
        done = world("teardown", "--discard-homes", "--yes")
    assert done.code == 0, done.err
    world.empty()


@pytest.mark.parametrize("action", ["DescribeInstances", "GetCallerIdentity", "ListHostedZones"])
def test_credentials_that_end_are_said_at_once_by_every_verb(world: World, action: str) -> None:
    assert world("launch", "--yes").code == 0
    world.cloud.script(action, "ExpiredToken", status=403, times=None)
    done = world("teardown", "--discard-homes", "--yes")
    if done.code != 5:  # where the machine could be deleted, only the name is left
        assert done.code in {2, 3, 4}, done.err
    assert "expired" in done.err.lower(), done.err
    assert "Traceback" not in done.err
    assert world("launch", "--yes").code != 1
    world.cloud.unscript()
    assert world("teardown", "--discard-homes", "--yes").code == 0
    world.empty()


def test_no_room_in_a_zone_is_another_zone_s_chance(world: World) -> None:
    world.cloud.script("RunInstances", "InsufficientInstanceCapacity", status=500)
    done = world("launch", "--yes")
    assert done.code == 0, done.err
    assert "InsufficientInstanceCapacity" in done.err, "each attempt is shown"
    world.one_workshop()


def test_no_room_anywhere_names_the_one_fix(world: World) -> None:
    world.cloud.script("RunInstances", "InsufficientInstanceCapacity", status=500, times=None)
    done = world("launch", "--yes")
    assert done.code == 3, done.err
    assert "→" in done.err
    assert world.instances() == []
    world.cloud.unscript()
    assert world("teardown", "--yes").code == 0
    world.empty()


def test_a_machine_that_dies_of_no_capacity_is_told_with_its_reason(world: World) -> None:
    world.cloud.script(
        "RunInstances", "Server.InsufficientInstanceCapacity", effect="fails", times=None
    )
    done = world("launch", "--yes")
    assert done.code != 0
    assert "InsufficientInstanceCapacity" in done.err
    world.cloud.unscript()
    assert world("teardown", "--yes").code == 0
    world.empty()


def test_a_quota_is_named_before_anything_is_made(world: World) -> None:
    world.cloud.settings(vcpus=1)
    done = world("launch", "--yes")
    assert done.code == 3, done.err
    assert "vcpu" in done.err.lower()
    assert world.instances() == []
    assert world.groups() == []
