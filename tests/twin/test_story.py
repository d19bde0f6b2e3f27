"""The main job in the cloud: the unmodified command line, from launch to nothing left.

What AWS is asked for really boots, the name is really looked up, and the certificate authority
really connects to it. The tests of this module are one story and run in their order; half an hour
where machines are emulated.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.output import ConsoleReporter
from provisioner.cli.wiring import image_folder
from provisioner.providers.local import LocalProvider
from provisioner.providers.local.image import Golden
from provisioner.settings import load
from provisioner.store import Store, read_events
from provisioner.workflow import planning
from tests.e2e.machine import measured
from tests.twin import acme, network
from tests.twin.world import World, twin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

HOSTNAME = "workshop.twin.test"
NOT_READY = 4
LAUNCHES = 6  # a launch has the patience for a real cloud's machines; these are emulated

ENVIRONMENT = """\
name = "tessera"
users = 1
[environment]
base_image = "debian"
python = ["geotessera"]
"""
"""That of the other end-to-end tests, so that one image serves all; the twin has no registry."""

IN_THE_CLOUD = """\
[aws]
region = "eu-west-2"
ssh_from = "{operator}/32"
[dns]
provider = "route53"
hostname = "{hostname}"
[tls]
mode = "acme"
ca = "{directory}"
ca_root = "{roots}"
"""


@dataclass
class Operator:
    """`provision`, typed inside the twin."""

    world: World
    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def __call__(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = self.world.run(
            [sys.executable, "-m", "provisioner.cli.app", *words],
            folder=self.folder,
            env={
                "PROVISION_HOME": str(self.home),
                "NO_COLOR": "1",
                "COLUMNS": "120",
            },
            timeout=2400,
            check=False,
        )
        print(f"$ provision {' '.join(words)}\n{done.stderr}{done.stdout}", flush=True)
        assert code in (None, done.returncode), f"{words}: {done.returncode}\n{done.stderr}"
        return done

    def json(self, *words: str, **options: Any) -> Any:
        return json.loads(self(*words, "--json", **options).stdout)

    def until_ready(self, *words: str) -> Any:
        for _ in range(LAUNCHES):
            done = self(*words, "--json", code=None)
            if done.returncode != NOT_READY:
                break
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def instances(self) -> list[dict[str, Any]]:
        """Those that have not ended."""
        answer = self.world.aws("ec2", "describe_instances")
        found = [one for group in answer["Reservations"] for one in group["Instances"]]
        return [one for one in found if one["State"]["Name"] != "terminated"]

    def records(self) -> list[dict[str, Any]]:
        (zone,) = self.world.aws("route53", "list_hosted_zones")["HostedZones"]
        answer = self.world.aws("route53", "list_resource_record_sets", HostedZoneId=zone["Id"])
        return [one for one in answer["ResourceRecordSets"] if one["Type"] not in ("NS", "SOA")]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """What the instance boots, in place of Debian's: it has Docker and the container images."""
    folder = tmp_path_factory.mktemp("bake")
    (folder / "workshop.toml").write_text(ENVIRONMENT)
    provider = LocalProvider(home=folder / "home", images=image_folder())
    settings = load({}, file=folder / "workshop.toml", environ={})
    draft = planning.draft(Store(folder / "home"), provider, settings, base_image="")
    return Golden(provider.bake(draft.spec, ConsoleReporter()).path)


@pytest.fixture(scope="module")
def operator(image: Golden, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with twin(tmp_path_factory.mktemp("twin"), image) as world:
        made = Operator(world, tmp_path_factory.mktemp("operator"))
        world.aws("route53", "create_hosted_zone", Name="twin.test", CallerReference="one")
        cloud = IN_THE_CLOUD.format(
            operator=network.OPERATOR,
            hostname=HOSTNAME,
            directory=acme.DIRECTORY,
            roots=world.authority.roots,
        )
        (made.folder / "workshop.toml").write_text(ENVIRONMENT + cloud)
        yield made


@pytest.fixture(scope="module")
def launched(operator: Operator) -> Any:
    start = time.monotonic()
    made = operator.until_ready("launch", "--provider", "aws", "--users", "1", "--yes")
    measured(twin_launch_seconds=round(time.monotonic() - start, 1), twin_rungs=made["timings"])
    return made


def test_launch_returns_when_a_participant_ran_a_cell_at_the_name(
    operator: Operator, launched: Any
) -> None:
    assert launched["phase"] == "ready"
    assert launched["url"] == f"https://{HOSTNAME}"
    assert launched["address"] == network.PUBLIC_ADDRESS
    events = read_events(operator.home / "tessera" / "events.jsonl")
    steps = {event["step"] for event in events if event.get("outcome") == "ok"}
    assert {"ssh", "host-key", "dns", "https", "login", "server", "cell"} <= steps


def test_nobody_looked_the_name_up_before_it_was_there(operator: Operator, launched: Any) -> None:
    asked = [one for one in operator.world.questions() if one["name"] == HOSTNAME]
    assert any(one["who"] == "authority" for one in asked)
    assert [one for one in asked if one["who"] == "resolver" and one["code"] == "NXDOMAIN"] == []


def test_the_certificate_came_from_the_authority_at_the_first_attempt(
    operator: Operator, launched: Any
) -> None:
    root = str(operator.world.authority.issuer_root)
    answer = operator.world.run(["curl", "-sS", "-I", "--cacert", root, launched["url"]])
    assert answer.stdout.startswith("HTTP/2 ")
    log = (operator.world.place.path / "pebble.log").read_text()
    assert (log.count("Added order"), log.count("Issued certificate")) == (1, 1)


def test_status_sees_everything(operator: Operator, launched: Any) -> None:
    seen = operator.json("status")
    assert [check for check in seen["checks"] if not check["ok"]] == []
    servers = {item["username"]: item["server"] for item in seen["participants"]}
    assert servers["user01"] == "running"


def test_participants_code_reaches_no_metadata(operator: Operator, launched: Any) -> None:
    ask = "curl -s -m 10 -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/"
    inside = f"sudo docker exec jupyter-user01 {ask} || true"
    assert operator("ssh", "--", inside).stdout.strip() == "000"
    assert operator("ssh", "--", ask).stdout.strip() == "401", "the machine itself does"


def test_a_night_off(operator: Operator, launched: Any) -> None:
    (before,) = operator.instances()
    operator("stop")
    deadline = time.monotonic() + 120
    while (state := operator.instances()[0]["State"]["Name"]) != "stopped":
        assert time.monotonic() < deadline, state
        time.sleep(1)
    again = operator.until_ready("start")
    assert again["url"] == launched["url"]
    assert again["credentials"] == launched["credentials"]
    (after,) = operator.instances()
    assert after["InstanceId"] == before["InstanceId"]


def test_tags_suffice_to_find_it_again(operator: Operator, launched: Any) -> None:
    (machine,) = operator.instances()
    tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
    assert tags["provision:workshop"] == "tessera"
    assert {"provision:id", "provision:owner", "provision:expires-at"} <= tags.keys()


def test_teardown_brings_the_work_home_and_leaves_nothing(
    operator: Operator, launched: Any
) -> None:
    start = time.monotonic()
    done = operator.json("teardown", "--yes")
    measured(twin_teardown_seconds=round(time.monotonic() - start, 1))
    assert done["deleted"]
    assert done["leftovers"] == []
    assert operator.instances() == []
    assert operator.records() == []
    groups = operator.world.aws("ec2", "describe_security_groups")["SecurityGroups"]
    assert [one["GroupName"] for one in groups] == ["default"]
    assert operator.world.aws("ec2", "describe_volumes")["Volumes"] == []
    assert (operator.home / "backups").is_dir()
    assert operator.world.run(["pgrep", "-c", "qemu"], check=False).stdout.strip() == "0"
    assert "nothing to do" in operator("teardown").stdout
