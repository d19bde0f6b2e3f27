"""A workshop in a cloud, as an organiser types it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.aws.conftest import HOSTNAME, World
from tests.cloud.fixture import REGION


def test_launch_status_list_and_teardown(world: World) -> None:
    done = world("launch", "--yes", "--json")
    assert done.code == 0, done.err
    assert done.json["url"] == f"https://{HOSTNAME}"
    assert done.json["phase"] == "ready"
    world.one_workshop()
    (machine,) = world.instances()
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    listed = world("list", "--json")
    assert listed.code == 0, listed.err
    assert [(line["name"], line["phase"]) for line in listed.json] == [("tessera", "ready")]
    assert listed.json[0]["cost_usd"] is not None
    ended = world("teardown", "--yes", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["leftovers"] == []
    assert any(machine["InstanceId"] in words for words in ended.json["deleted"])
    assert ended.json["cost_usd"] is not None
    world.empty()
    assert world("list", "--json").json == []


def test_plan_names_the_machine_and_its_price(world: World) -> None:
    done = world("plan", "--users", "30", "--json")
    assert done.code == 0, done.err + done.out
    assert done.json["price"]["usd_per_hour"] > 0
    people = world("plan", "--users", "30")
    assert done.json["price"]["machine"] in people.out
    assert "USD an hour" in people.out
    assert not world.instances()


def test_teardown_from_another_laptop(world: World, tmp_path: Path) -> None:
    assert world("launch", "--yes").code == 0
    other = tmp_path / "other"
    listed = world("list", "--json", home=other)
    assert [line["name"] for line in listed.json] == ["tessera"]
    assert "without a record" in listed.json[0]["note"]
    refused = world("teardown", "--yes", home=other)
    assert refused.code == 4, refused.err
    assert "--discard-homes" in refused.err
    world.one_workshop()
    (world.root / "workshop.toml").unlink()
    words = ("teardown", "--name", "tessera", "--provider", "aws", "--region", REGION)
    done = world(*words, "--discard-homes", "--yes", home=other)
    assert done.code == 0, done.err
    world.empty()


def test_a_name_that_cannot_be_cleared_costs_no_machine(world: World) -> None:
    assert world("launch", "--yes").code == 0
    world.cloud.script("ChangeResourceRecordSets", "AccessDenied", status=403, times=None)
    done = world("teardown", "--discard-homes", "--yes")
    assert done.code == 5, done.err
    assert HOSTNAME in done.err
    assert "aws route53" in done.err, "the command that removes it"
    assert world.instances() == []
    world.cloud.unscript()
    assert world("teardown", "--discard-homes", "--yes").code == 0
    world.empty()


def test_stop_and_start_keep_name_and_key(world: World) -> None:
    assert world("launch", "--yes").code == 0
    (before,) = world.instances()
    known = (world.home / "tessera" / "known_hosts").read_text().split()[1:]
    stopped = world("stop")
    assert stopped.code == 0, stopped.err
    assert world("status", "--json").json["phase"] == "stopped"
    started = world("start", "--json")
    assert started.code == 0, started.err
    assert started.json["phase"] == "ready"
    (after,) = world.instances()
    assert after["InstanceId"] == before["InstanceId"]
    assert after["PublicIpAddress"] != before["PublicIpAddress"]
    world.one_workshop()
    assert (world.home / "tessera" / "known_hosts").read_text().split()[1:] == known
    assert world("teardown", "--yes").code == 0
    world.empty()


def test_extend_moves_record_and_tags(world: World) -> None:
    assert world("launch", "--yes").code == 0
    before = world("status", "--json").json["expires_at"]
    done = world("extend", "2h", "--json")
    assert done.code == 0, done.err
    assert done.json["expires_at"] > before
    (machine,) = world.instances()
    tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
    assert tags["provision:expires-at"][:16] == done.json["expires_at"][:16]
    assert world("teardown", "--yes").code == 0


def test_gc_finds_what_a_forgotten_machine_left(world: World, tmp_path: Path) -> None:
    assert world("launch", "--yes").code == 0
    (machine,) = world.instances()
    other = tmp_path / "other"
    assert world("gc", "--json", home=other).json["found"] == [], "it is somebody's, at work"
    world.cloud.shut_down(machine["InstanceId"])  # as the deadline does, with the laptop off
    assert world.groups(), "the group outlives the machine"
    assert world("gc", "--json", home=other).json["found"] == [], "nor before its time"
    world.expire()
    found = world("gc", "--json", home=other)
    assert found.code == 0, found.err
    assert [item["name"] for item in json.loads(found.out)["found"]] == ["tessera"]
    assert world.groups(), "nothing is deleted without a yes"
    done = world("gc", "--yes", home=other)
    assert done.code == 0, done.err
    world.empty()


def test_gc_leaves_a_live_workshop_of_the_same_name_alone(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert world("launch", "--yes", home=other).code == 0
    (machine,) = world.instances()
    world.cloud.shut_down(machine["InstanceId"])
    world.expire()
    toml = (world.root / "workshop.toml").read_text()
    (world.root / "workshop.toml").write_text(toml.replace(REGION, "eu-west-1"))
    assert world("launch", "--yes", "--takeover").code == 0
    (world.root / "workshop.toml").unlink()
    done = world("gc", "--provider", "aws", "--yes", "--discard-homes")
    assert done.code == 0, done.err
    assert world.groups() == []
    seen = world("status", "tessera", "--json")
    assert [item["ok"] for item in seen.json["checks"] if item["name"] == "machine"] == [True]
    assert world("teardown", "tessera", "--discard-homes", "--yes").code == 0


def test_teardown_in_the_wrong_region_says_which_is_right(world: World, tmp_path: Path) -> None:
    assert world("launch", "--yes").code == 0
    (world.root / "workshop.toml").unlink()
    words = ("teardown", "tessera", "--provider", "aws", "--region", "eu-west-1")
    done = world(*words, "--discard-homes", "--yes", home=tmp_path / "other")
    assert done.code == 3, done.err
    assert f"--region {REGION}" in done.err
    world.one_workshop()


def test_another_s_workshop_of_the_same_name_survives_my_teardown(
    world: World, tmp_path: Path
) -> None:
    world.cloud.script("RunInstances", "InsufficientInstanceCapacity", status=500, times=None)
    assert world("launch", "--yes").code == 3
    world.cloud.unscript()
    (world.home / "tessera").rename(world.root / "mine")
    assert world("teardown", "--discard-homes", "--yes").code == 0
    other = tmp_path / "other"
    assert world("launch", "--yes", home=other).code == 0
    (world.root / "mine").rename(world.home / "tessera")
    assert world("teardown", "--yes").code == 0
    world.one_workshop()


def test_homes_are_fetched_from_a_machine_that_was_off(world: World) -> None:
    assert world("launch", "--yes").code == 0
    assert world("stop").code == 0
    done = world("teardown", "--yes")
    assert done.code == 0, done.err
    assert "starting it once more" in done.err
    world.empty()


def test_a_record_of_somebody_else_is_not_taken(world: World) -> None:
    client = world.cloud.client("route53")
    (zone,) = client.list_hosted_zones()["HostedZones"]
    theirs = {
        "Name": HOSTNAME,
        "Type": "A",
        "TTL": 300,
        "ResourceRecords": [{"Value": "198.51.100.7"}],
    }
    change = {"Action": "CREATE", "ResourceRecordSet": theirs}
    client.change_resource_record_sets(HostedZoneId=zone["Id"], ChangeBatch={"Changes": [change]})
    refused = world("launch", "--yes")
    assert refused.code == 3, refused.err
    assert "198.51.100.7" in refused.err
    assert "--takeover" in refused.err
    assert not world.instances()
    taken = world("launch", "--yes", "--takeover")
    assert taken.code == 0, taken.err
    world.one_workshop()
