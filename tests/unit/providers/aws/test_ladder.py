"""Where the machine is tried, in which order, and that there is never a second one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.errors import NotReady, NotYet, Refused, UsageError
from provisioner.models import GIB, ServerState, Size
from tests.unit.providers.aws.conftest import World

NO_ROOM = "InsufficientInstanceCapacity"


def test_no_room_in_one_zone_means_the_next(world: World) -> None:
    world.cloud.script("RunInstances", NO_ROOM, when={"zone": "a"})
    server = world.provider().create(world.spec())
    assert ("zone", "eu-west-2b") in server.about
    assert world.zones_asked() == ["a", "b"]
    assert len(world.instances()) == 1
    assert world.slept == [], "no room is an answer, not something to wait for"
    assert any("eu-west-2a" in line and NO_ROOM in line for line in world.told)


def test_no_room_for_a_type_in_any_zone_means_the_next_type(world: World) -> None:
    world.cloud.script("RunInstances", NO_ROOM, times=3)
    world.provider().create(world.spec())
    asked = [
        (call["params"]["InstanceType"], call["params"]["zone"])
        for call in world.cloud.calls("RunInstances")
    ]
    assert [zone[-1] for _, zone in asked] == ["a", "b", "c", "a"]
    assert len({kind for kind, _ in asked[:3]}) == 1
    assert asked[3][0] != asked[0][0]


def test_no_room_anywhere_lists_every_attempt_and_leaves_nothing(world: World) -> None:
    world.cloud.script("RunInstances", NO_ROOM, times=None)
    spec = world.spec()
    with pytest.raises(Refused) as caught:
        world.provider().create(spec)
    assert "eu-west-2" in caught.value.message
    assert len(caught.value.details) == len(world.zones_asked()) > 3
    assert "--region" in caught.value.hint
    assert world.groups() == [], "nothing was created"
    assert world.provider().leftovers(spec.id) == []


def test_an_empty_quota_names_the_one_fix_and_stops(world: World) -> None:
    world.cloud.settings(vcpus=4)
    spec = world.spec(instance_type="m6i.4xlarge")
    with pytest.raises(Refused) as caught:
        world.provider().create(spec)
    assert "vCPU limit of 4" in caught.value.message
    assert caught.value.hint == (
        "aws service-quotas request-service-quota-increase --service-code ec2 "
        "--quota-code L-1216C47A --desired-value 32 --region eu-west-2"
    )
    assert world.zones_asked() == ["a"], "another zone has the same quota"
    assert world.groups() == []


def test_a_lost_answer_makes_one_machine(world: World) -> None:
    world.cloud.script("RunInstances", effect="lost")
    server = world.provider().create(world.spec())
    assert [one["InstanceId"] for one in world.instances()] == [server.id]
    assert world.zones_asked() == ["a", "a"], "it is settled where it was tried"


@pytest.mark.parametrize("code", ["InternalError", "Unavailable", "RequestLimitExceeded"])
def test_trouble_at_aws_is_waited_out_in_the_same_zone(world: World, code: str) -> None:
    world.cloud.script("RunInstances", code, times=2)
    world.provider().create(world.spec())
    calls = world.cloud.calls("RunInstances")
    assert [call["params"]["zone"][-1] for call in calls] == ["a", "a", "a"]
    assert len({call["params"]["ClientToken"] for call in calls}) == 1
    assert len(world.instances()) == 1


def test_an_attempt_that_stays_open_is_settled_by_the_next_launch(world: World) -> None:
    """The answer is lost again and again, and the machine is not shown for a while."""
    world.cloud.settings(unseen_seconds=300)
    world.cloud.script("RunInstances", effect="lost", times=None)
    spec = world.spec()
    with pytest.raises(NotReady, match="has not said whether") as caught:
        world.provider().create(spec)
    assert "provision launch one" in caught.value.hint
    assert set(world.zones_asked()) == {"a"}, "no other zone before this one is settled"
    left = world.provider().leftovers(spec.id)
    assert any(item.kind == "unanswered request" for item in left)
    world.cloud.unscript()
    server = world.provider().create(spec)
    world.cloud.settings(unseen_seconds=0)
    world.passes(300)
    assert [one["InstanceId"] for one in world.instances()] == [server.id]


def test_a_process_that_dies_between_call_and_answer_leaves_one_machine(world: World) -> None:
    spec = world.spec()
    world.cloud.script("RunInstances", effect="lost")

    def die() -> None:
        raise KeyboardInterrupt

    world.on_sleep = die
    with pytest.raises(KeyboardInterrupt):
        world.provider().create(spec)
    world.on_sleep = None
    server = world.provider().create(spec)
    assert [one["InstanceId"] for one in world.instances()] == [server.id]


def test_the_same_holds_where_the_journal_is_lost_too(world: World) -> None:
    world.cloud.settings(unseen_calls=1)
    spec = world.spec()
    first = world.provider().create(spec)
    (spec.folder / "journal.jsonl").unlink()
    assert world.provider().create(spec).id == first.id
    assert len(world.instances()) == 1


def test_a_token_known_with_other_words_leads_to_its_machine(world: World) -> None:
    spec = world.spec()
    world.cloud.script("RunInstances", effect="lost")
    world.on_sleep = lambda: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        world.provider().create(spec)
    world.on_sleep = None
    world.cloud.settings(unseen_calls=0)
    world.cloud.script("DescribeInstances", effect="error", error="InternalError", nth=99)
    changed = replace(spec, user_data=b"\x1f\x8banother")
    server = world.provider().create(changed)
    assert [one["InstanceId"] for one in world.instances()] == [server.id]


def test_signing_out_half_way_is_told_at_once(world: World) -> None:
    world.cloud.script("RunInstances", "ExpiredToken")
    with pytest.raises(UsageError) as caught:
        world.provider().create(world.spec())
    assert "sign in again" in caught.value.hint
    assert "provision launch one" in caught.value.hint
    assert len(world.zones_asked()) == 1
    assert world.slept == []


def test_a_no_after_a_lost_answer_does_not_mean_that_there_is_nothing(world: World) -> None:
    world.cloud.settings(unseen_seconds=300)
    world.cloud.script("RunInstances", effect="lost")
    world.cloud.script("RunInstances", "UnauthorizedOperation", nth=2)
    spec = world.spec()
    with pytest.raises(NotReady, match="has not said whether"):
        world.provider().create(spec)
    found = world.provider().find(spec.id)
    assert found is not None
    assert found.state is ServerState.PENDING


def test_no_permission_names_the_action(world: World) -> None:
    world.cloud.script("RunInstances", "UnauthorizedOperation")
    with pytest.raises(Refused) as caught:
        world.provider().create(world.spec())
    assert "ec2:RunInstances" in caught.value.message
    assert len(world.zones_asked()) == 1
    assert world.groups() == []


def test_throttled_for_good_is_not_called_a_refusal(world: World) -> None:
    world.cloud.script("RunInstances", "RequestLimitExceeded", times=None)
    spec = world.spec()
    with pytest.raises(NotYet) as caught:
        world.provider().create(spec)
    assert "provision launch one" in caught.value.hint
    world.cloud.unscript()
    world.provider().create(spec)
    assert len(world.instances()) == 1


def test_a_machine_that_never_came_up_is_replaced_elsewhere(world: World) -> None:
    world.cloud.script("RunInstances", f"Server.{NO_ROOM}", effect="fails")
    spec = world.spec()
    world.provider().create(spec)
    world.passes()
    dead = world.provider().find(spec.id)
    assert dead is not None
    assert dead.state is ServerState.STOPPED
    assert dead.ended
    assert "no room" in dead.why
    server = world.provider().create(spec)
    assert ("zone", "eu-west-2b") in server.about, "the zone without room comes last"
    assert [one["InstanceId"] for one in world.instances()] == [server.id]


def test_a_region_without_such_a_machine(world: World) -> None:
    with pytest.raises(Refused) as caught:
        world.provider().create(world.spec(size=Size(memory=9000 * GIB, cores=64, disk=20 * GIB)))
    assert "eu-west-2" in caught.value.message
    assert "--users" in caught.value.hint
    assert world.groups() == []
