"""One instance, from RunInstances to its own poweroff: what holds in EC2 holds in the twin.

The tests of this module are one story and run in their order: a few minutes where machines are
emulated.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from provisioner import keys
from tests.twin import network
from tests.twin.world import World, golden, twin

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

BOOT_SECONDS = 480
OPEN_PORT, CLOSED_PORT = 8081, 8080
METADATA = f"http://{network.METADATA}/latest"
TOKEN = f"curl -s -m 10 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {METADATA}/api/token"


@dataclass
class Machine:
    """What the tests know of the one instance."""

    world: World
    id: str
    private: str
    public: str
    key: Path
    known_hosts: Path

    def ssh(self, command: str, check: bool = True) -> str:
        options = {
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "ConnectTimeout": "10",
            "BatchMode": "yes",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        login = f"workshop@{self.public}"
        argv = ["ssh", "-q", "-i", str(self.key), *words, login, command]
        return self.world.run(argv, check=check, timeout=300).stdout.strip()

    def state(self) -> str:
        answer = self.world.aws("ec2", "describe_instances", InstanceIds=[self.id])
        return str(answer["Reservations"][0]["Instances"][0]["State"]["Name"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with twin(tmp_path_factory.mktemp("twin"), golden(), memory=2048) as made:
        yield made


@pytest.fixture(scope="module")
def machine(world: World, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("operator")
    own, host = keys.new_key_pair(), keys.new_key_pair()
    (folder / "key").write_text(str(own.private))
    (folder / "key").chmod(0o600)
    (folder / "known_hosts").write_text(f"{network.PUBLIC_ADDRESS} {host.public}\n")
    config = {
        "users": [
            {
                "name": "workshop",
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "shell": "/bin/bash",
                "ssh_authorized_keys": [own.public],
            }
        ],
        "ssh_genkeytypes": ["ed25519"],
        "ssh_keys": {"ed25519_private": str(host.private), "ed25519_public": host.public},
    }
    user_data = f"#cloud-config\n{json.dumps(config)}\n"
    image = world.aws("ec2", "describe_images")["Images"][0]["ImageId"]
    subnet = world.aws("ec2", "describe_subnets")["Subnets"][0]
    group = world.aws(
        "ec2",
        "create_security_group",
        GroupName="workshop",
        Description="workshop",
        VpcId=subnet["VpcId"],
    )["GroupId"]
    for port in (22, OPEN_PORT):
        world.aws(
            "ec2",
            "authorize_security_group_ingress",
            GroupId=group,
            IpProtocol="tcp",
            FromPort=port,
            ToPort=port,
            CidrIp="0.0.0.0/0",
        )
    answer = world.aws(
        "ec2",
        "run_instances",
        ImageId=image,
        SubnetId=subnet["SubnetId"],
        SecurityGroupIds=[group],
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        UserData=user_data,
        InstanceInitiatedShutdownBehavior="terminate",
    )
    born = answer["Instances"][0]
    return Machine(
        world,
        born["InstanceId"],
        born["PrivateIpAddress"],
        network.PUBLIC_ADDRESS,
        folder / "key",
        folder / "known_hosts",
    )


@contextmanager
def listening_outside() -> Iterator[tuple[str, int]]:
    """Something at this computer's own address, which is outside the twin."""
    cards = psutil.net_if_addrs().items()
    address = next(
        one.address
        for name, found in cards
        if name != "lo"
        for one in found
        if one.family == socket.AF_INET
    )
    with socket.create_server((address, 0)) as server:
        threading.Thread(target=_accept_all, args=(server,), daemon=True).start()
        yield address, server.getsockname()[1]


def _accept_all(server: socket.socket) -> None:
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        return


def test_ssh_answers_at_the_public_address_with_the_injected_host_key(machine: Machine) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while machine.ssh("true; echo in", check=False) != "in":
        assert time.monotonic() < deadline, machine.world.home(machine.id).serial.read_text()[
            -3000:
        ]
        time.sleep(2)
    status = json.loads(machine.ssh("cloud-init status --wait --format json"))
    assert (status["status"], status["errors"], status["recoverable_errors"]) == ("done", [], {})
    assert machine.state() == "running"


def test_cloud_init_believes_that_this_is_aws(machine: Machine) -> None:
    assert machine.ssh("cloud-id") == "aws"
    data = json.loads(machine.ssh("sudo cat /run/cloud-init/instance-data.json"))
    assert data["v1"]["instance_id"] == machine.id
    assert data["v1"]["region"] == "eu-west-2"


def test_it_does_not_know_its_public_address(machine: Machine) -> None:
    addresses = machine.ssh("ip -4 -brief address")
    assert machine.private in addresses
    assert machine.public not in addresses
    came_from = machine.ssh("echo $SSH_CONNECTION").split()
    assert (came_from[0], came_from[2]) == (network.OPERATOR, machine.private)


def test_metadata_needs_a_token_which_a_container_does_not_get(machine: Machine) -> None:
    about = f"{METADATA}/meta-data/instance-id"
    status = "-s -m 10 -o /dev/null -w '%{http_code}'"
    assert machine.ssh(f"curl {status} {about}") == "401"
    header = f'-H "X-aws-ec2-metadata-token: $({TOKEN})"'
    assert machine.ssh(f"curl -s -m 10 {header} {about}") == machine.id

    named = machine.ssh("sudo docker images --format '{{.Repository}}:{{.Tag}}'").split()
    image = next(name for name in named if name.startswith("provision-caddy:"))
    inside = f"sudo docker run --rm --entrypoint curl {image}"
    assert machine.ssh(f"{inside} {status} {about}") == "401", "it does reach the service"
    request = TOKEN.removeprefix("curl")
    assert machine.ssh(f"{inside} {request}; echo code $?", check=False) == "code 28", "silence"


def test_only_what_the_security_group_allows_gets_in(machine: Machine) -> None:
    for port in (OPEN_PORT, CLOSED_PORT):
        machine.ssh(f"sudo systemd-run --quiet python3 -m http.server --directory /srv {port}")
        patient = "curl -s -o /dev/null --retry 60 --retry-connrefused --retry-delay 1"
        machine.ssh(f"{patient} http://{machine.private}:{port}/")

    def fetch(port: int) -> int:
        url = f"http://{machine.public}:{port}/"
        return machine.world.run(["curl", "-s", "-m", "20", url], check=False).returncode

    assert fetch(OPEN_PORT) == 0
    assert fetch(CLOSED_PORT) == 28, "no answer"


def test_nothing_gets_out(machine: Machine) -> None:
    with listening_outside() as (address, port):
        with socket.create_connection((address, port), timeout=5):
            pass
        dial = f"timeout 5 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null"
        assert machine.ssh(f"{dial} && echo out || echo no") == "no"
        assert machine.world.run(["bash", "-c", dial], check=False).returncode != 0


def test_names_are_those_of_route_53(machine: Machine) -> None:
    world = machine.world
    zone = world.aws("route53", "create_hosted_zone", Name="twin.test", CallerReference="one")
    record = {
        "Name": "workshop.twin.test",
        "Type": "A",
        "TTL": 60,
        "ResourceRecords": [{"Value": machine.public}],
    }

    def create(name: str) -> None:
        change = {"Action": "CREATE", "ResourceRecordSet": record | {"Name": name}}
        world.aws(
            "route53",
            "change_resource_record_sets",
            HostedZoneId=zone["HostedZone"]["Id"],
            ChangeBatch={"Changes": [change]},
        )

    assert world.look(network.AUTHORITY, "workshop.twin.test") == ["NXDOMAIN"]
    assert world.look(network.RESOLVER, "early.twin.test") == ["NXDOMAIN"]
    create("workshop.twin.test")
    create("early.twin.test")
    assert world.look(network.AUTHORITY, "workshop.twin.test") == ["NOERROR", machine.public]
    assert world.look(network.RESOLVER, "workshop.twin.test") == ["NOERROR", machine.public]
    assert world.look(network.RESOLVER, "early.twin.test") == ["NXDOMAIN"], "resolvers remember"
    assert machine.ssh("getent hosts workshop.twin.test").split()[0] == machine.public
    asked = [one["who"] for one in world.questions() if one["name"] == "workshop.twin.test"]
    assert asked[:2] == ["authority", "authority"]


def test_poweroff_in_the_machine_ends_the_instance(machine: Machine) -> None:
    machine.ssh("sudo systemctl --no-block poweroff")
    deadline = time.monotonic() + 180
    while machine.state() not in ("shutting-down", "terminated"):
        assert time.monotonic() < deadline, "nobody noticed"
        time.sleep(1)
    assert not machine.world.home(machine.id).disk.exists()
