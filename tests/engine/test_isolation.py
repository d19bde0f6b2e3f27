"""Participants' code attacks whatever is around it. Each attack has a control: what it aims at
answers to those who may ask, so that a fence is what stops it, and not silence.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from provisioner.errors import NotYet
from provisioner.models import Result
from provisioner.remote.hub import Participant
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.engine import network
from tests.engine.workshop import Workshop

MALLORY, ALICE = "user01", "user02"
MIB = 1024**2

KNOCK = """
import concurrent.futures, socket, sys
def knock(line):
    host, _, port = line.rpartition("|")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return ""
    return line
with concurrent.futures.ThreadPoolExecutor(24) as pool:
    print(*pool.map(knock, sys.stdin.read().split()))
"""
"""Prints those of the doors on stdin that open."""

Door = tuple[str, int]


@dataclass(frozen=True)
class Room:
    """A workshop in which Mallory and Alice have their servers running."""

    workshop: Workshop
    mallory: Participant
    alice: Participant

    def attack(self, command: str, *, timeout: float = 60) -> Result:
        """Mallory's, in their own container."""
        return self.workshop.in_container(MALLORY, command, timeout=timeout)

    def machine(self, command: str, *, timeout: float = 60) -> str:
        return self.workshop.engine.must(command, timeout=timeout)

    def opened(self, doors: set[Door], *, by: str = "") -> set[Door]:
        """Which of them open to this participant; to the machine itself, if nobody is named."""
        lines = "\n".join(f"{host}|{port}" for host, port in sorted(doors)).encode()
        command = f"python3 -c {shlex.quote(KNOCK)}"
        if by:
            done = self.workshop.in_container(by, command, stdin=lines, timeout=300)
        else:
            done = self.workshop.run(command, stdin=lines, timeout=300)
        assert done.ok, done.err
        found = (line.rpartition("|") for line in done.out.split())
        return {(host, int(port)) for host, _, port in found}

    def address(self, username: str) -> str:
        where = '{{(index .NetworkSettings.Networks "provision-participants").IPAddress}}'
        return self.machine(f"docker inspect --format '{where}' jupyter-{username}").strip()

    def inspected(self, username: str) -> dict[str, object]:
        (found,) = json.loads(self.machine(f"docker inspect jupyter-{username}"))
        return dict(found["HostConfig"])


@pytest.fixture(scope="module")
def room(workshop: Workshop) -> Iterator[Room]:
    with ExitStack() as stack:
        people = [stack.enter_context(workshop.serving(name)) for name in (MALLORY, ALICE)]
        yield Room(workshop, *people)


@contextmanager
def listening(room: Room, port: int, username: str = "") -> Iterator[None]:
    """Something that answers on every address, of the machine or of somebody's container."""
    serve = (
        "import http.server as h, socketserver as s\n"
        "s.TCPServer.allow_reuse_address = True\n"
        f"s.TCPServer(('', {port}), h.SimpleHTTPRequestHandler).serve_forever()"
    )
    command = f"python3 -c {shlex.quote(serve)}"
    where = f"docker exec --detach jupyter-{username} " if username else ""
    tail = "" if username else " > /dev/null 2>&1 < /dev/null &"
    room.machine(f"{where}{command}{tail}")
    try:
        home = room.address(username) if username else "127.0.0.1"
        deadline = time.monotonic() + 20
        while not room.opened({(home, port)}) and time.monotonic() < deadline:
            time.sleep(0.2)
        yield
    finally:
        room.workshop.run(f"pkill -f {shlex.quote(f'TCPServer[(].., {port}')}")


# What the cloud hands out

WAYS = {
    "directly": "curl -sS -m 3 http://169.254.169.254/latest/meta-data/",
    "as one number": "curl -sS -m 3 http://2852039166/latest/meta-data/",
    "over IPv6": "curl -sS -g -m 3 'http://[fd00:ec2::254]/latest/meta-data/'",
    "as IPv4 in IPv6": "curl -sS -g -m 3 'http://[::ffff:169.254.169.254]/latest/meta-data/'",
    "by a name": "curl -sS -m 3 --resolve x.example:80:169.254.169.254 http://x.example/",
    "through the proxy": "curl -sS -m 3 -x http://198.18.208.2:8000 http://169.254.169.254/",
    "through the hub": "curl -sS -m 3 -x http://hub:8081 http://169.254.169.254/",
    "through the gate": "curl -sS -m 3 -x http://gate:8082 http://169.254.169.254/",
    "in a tunnel": "curl -sS -m 3 -p -x http://gate:8082 http://169.254.169.254/",
    "as the gate's host": "curl -sS -m 3 -H 'Host: 169.254.169.254' http://gate:8082/latest/",
    "through the machine": "curl -sS -m 3 -x http://198.18.208.1:80 http://169.254.169.254/",
    "by a redirect": (
        "python3 -c 'import http.server as h\n"
        "class R(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(302)\n"
        '        self.send_header("Location", "http://169.254.169.254/latest/")\n'
        "        self.end_headers()\n"
        'h.HTTPServer(("127.0.0.1", 8765), R).handle_request()\' &'
        " sleep 1; curl -sSL -m 3 http://127.0.0.1:8765/"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_metadata_service_is_out_of_reach(room: Room, way: str) -> None:
    for service in ("metadata", "metadata6"):
        assert room.workshop.reaches(service), "it answers to the machine"
    before = len(room.workshop.engine.visits())
    said = room.attack(WAYS[way])
    assert "metadata" not in said.out
    assert room.workshop.engine.visits()[before:] == []


# Who else is there


def test_participants_do_not_reach_each_other(room: Room) -> None:
    alice = room.address(ALICE)
    doors = {(alice, 8888), (alice, 9999), (f"jupyter-{ALICE}", 8888)}
    with listening(room, 9999, ALICE):
        assert room.opened({(alice, 8888), (alice, 9999)}) == {(alice, 8888), (alice, 9999)}
        assert room.opened(doors, by=MALLORY) == set()
        assert not room.attack(f"ping -c 1 -W 2 {alice}").ok


def test_of_the_services_only_the_gate_opens(room: Room) -> None:
    listed = room.machine(
        "docker ps --quiet --filter label=com.docker.compose.project=provision"
        " | xargs docker inspect --format"
        " '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}'"
    ).split()
    assert len(listed) >= 7, "three services on up to three networks"
    ports = (80, 443, 2019, 2375, 2376, 8000, 8001, 8080, 8081, 8082, 8443, 9000)
    doors = {(address, port) for address in listed for port in ports}
    inside = room.opened(doors)
    assert {("198.18.208.3", 8081), ("198.18.208.2", 8000), ("198.18.224.2", 8001)} <= inside
    assert {("198.18.208.4", 443), ("198.18.208.4", 8082)} <= inside
    assert ("198.18.208.2", 8001) not in inside, "the proxy's API keeps to its own network"
    named = {("hub", 8081), ("proxy", 8000), ("proxy", 8001), ("proxy-api", 8001), ("caddy", 443)}
    assert room.opened(doors | named, by=MALLORY) == {("198.18.208.4", 8082)}
    assert room.opened({("gate", 8082)}, by=MALLORY), "their servers have to ask who somebody is"


def test_the_machine_itself_shows_what_it_shows_the_internet(room: Room) -> None:
    own = set(room.machine("ip -4 -o address | awk '{print $4}' | cut -d/ -f1").split())
    own -= {"127.0.0.1"}
    assert {"198.18.208.1", network.MACHINE} <= own
    with listening(room, 7777):
        doors = {(address, port) for address in own for port in (22, 443, 2375, 2376, 7777)}
        inside = room.opened(doors)
        assert {(network.MACHINE, 22), ("198.18.208.1", 22), ("198.18.208.1", 7777)} <= inside
        assert {port for _, port in room.opened(doors, by=MALLORY)} <= {443}


def test_the_operators_computer_answers_for_names_only(room: Room) -> None:
    assert room.workshop.reaches("router")
    assert not room.workshop.reaches("router", MALLORY, timeout=3)
    assert room.attack("curl -sS -m 10 http://any.example.org").out == "public\n"


RESOLVER = (
    "import socket as s\n"
    f"with s.create_server(('{network.METADATA}', 53)) as door:\n"
    "    while True: door.accept()[0].close()"
)


def test_a_resolver_answers_where_the_metadata_service_does(room: Room) -> None:
    """As in some clouds: names, but not what else is at that address."""
    engine, doors = room.workshop.engine, {(network.METADATA, 53), (network.METADATA, 80)}
    assert engine._outside is not None
    outside = ["nsenter", "-t", str(engine._outside.pid), "-n", sys.executable, "-c", RESOLVER]
    kept = room.machine("cat /etc/resolv.conf")
    with subprocess.Popen(outside) as resolver:
        try:
            wait_for(lambda: _all_open(room, doors), budget=20, clock=SystemClock())
            assert room.opened(doors, by=MALLORY) == set(), "the machine doesn't ask it for names"
            room.machine(
                "{ cat /etc/resolv.conf; echo 'nameserver fe80::1%eth0';"
                f" echo 'nameserver {network.METADATA}'; }} > /tmp/named"
                " && cat /tmp/named > /etc/resolv.conf && /opt/provision/isolate"
            )
            assert room.opened(doors, by=MALLORY) == {(network.METADATA, 53)}
        finally:
            resolver.kill()
            write = "cat > /etc/resolv.conf && /opt/provision/isolate"
            engine.must(write, stdin=kept.encode())
    assert network.METADATA + "/32 -p udp" not in room.machine("iptables -S PROVISION")


def test_the_institutions_network_is_shut_but_for_what_the_settings_name(room: Room) -> None:
    """On the router's side of the wire: a neighbour of the machine, and one of the organiser's."""
    engine, campus = room.workshop.engine, ["10.77.0.9", "172.20.3.4", "192.168.4.5"]
    assert engine._outside is not None
    serve = (
        "import socket as s, threading as t\n"
        "def go(door):\n"
        "    while True: door.accept()[0].close()\n"
        f"for host in {campus}:\n"
        "    t.Thread(target=go, args=(s.create_server((host, 8080)),)).start()"
    )
    addresses = "".join(f"ip address replace {host}/32 dev lo; " for host in campus)
    shell = f"{addresses} exec {shlex.quote(sys.executable)} -c {shlex.quote(serve)}"
    outside = ["nsenter", "-t", str(engine._outside.pid), "-n", "sh", "-c", shell]
    doors = {(host, 8080) for host in campus}
    env = "/opt/provision/bundle/.env"
    kept = room.machine(f"cat {env}")
    with subprocess.Popen(outside) as neighbours:
        try:
            wait_for(lambda: _all_open(room, doors), budget=20, clock=SystemClock())
            assert room.opened(doors, by=MALLORY) == set()
            named = "PROVISION_REACH='172.20.0.0/16 192.168.4.5/32'"
            room.machine(f"echo {shlex.quote(named)} >> {env} && /opt/provision/isolate")
            assert room.opened(doors, by=MALLORY) == doors - {("10.77.0.9", 8080)}
            mirror = "PROVISION_PIP_INDEX='https://10.77.0.9:8080/simple/'"
            room.machine(f"echo {shlex.quote(mirror)} >> {env} && /opt/provision/isolate")
            assert room.opened(doors, by=MALLORY) == doors
        finally:
            neighbours.kill()
            engine.must(f"cat > {env} && /opt/provision/isolate", stdin=kept.encode())


def _all_open(room: Room, doors: set[Door]) -> None:
    if room.opened(doors) != doors:
        raise NotYet("the resolver is not there yet")


@pytest.mark.parametrize("port", network.MAIL_PORTS)
def test_nobody_sends_mail(room: Room, port: int) -> None:
    assert room.workshop.reaches(f"mail-{port}")
    assert not room.workshop.reaches(f"mail-{port}", MALLORY, timeout=3)


def test_nobody_comes_to_participants_from_outside(room: Room) -> None:
    """Who shares a wire with the machine could take it for a router."""
    engine, alice = room.workshop.engine, room.address(ALICE)
    assert engine._outside is not None
    knock = (
        f"ip route replace 198.18.208.0/20 via {network.MACHINE};"
        f" timeout 3 bash -c 'exec 3<>/dev/tcp/{alice}/8888' && echo open;"
        " ip route delete 198.18.208.0/20"
    )
    outside = ["nsenter", "-t", str(engine._outside.pid), "-n", "bash", "-c", knock]
    done = subprocess.run(outside, capture_output=True, text=True, check=False, timeout=30)
    assert "open" not in done.stdout
    assert room.opened({(alice, 8888)}) == {(alice, 8888)}


def test_there_is_no_ipv6_to_go_round_by(room: Room) -> None:
    addresses = room.attack("cat /proc/net/if_inet6 2> /dev/null || true").out.splitlines()
    assert [line for line in addresses if not line.endswith(" lo")] == []


# What they are to the kernel


def test_a_cell_runs_as_nobody_in_particular(room: Room) -> None:
    said = room.mallory.run("print(open('/proc/self/status').read())", timeout=60)
    status = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert set(status["Uid"].split()) == {"1000"}
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


FORBIDDEN = {
    "become root": "python3 -c 'import os; os.setuid(0)'",
    "su": "echo | su -c id root",
    "sudo": "sudo -n id",
    "a set-uid copy": "cp /bin/sh /tmp/rootsh && chown root /tmp/rootsh",
    "raw packets": "python3 -c 'import socket as s; s.socket(s.AF_INET, s.SOCK_RAW, 1)'",
    "raw frames": "python3 -c 'import socket as s; s.socket(s.AF_PACKET, s.SOCK_RAW)'",
    "change the system": "touch /usr/bin/evil",
    "change names": "echo 127.0.0.1 x >> /etc/hosts",
    "read memory": "head -c 1 /proc/kcore",
    "read the kernel's words": "dmesg",
    "write to the kernel": "echo 1 > /proc/sys/kernel/core_pattern",
    "restart the machine": "echo b > /proc/sysrq-trigger",
    "write to devices' files": "echo 0 > /sys/kernel/mm/transparent_hugepage/enabled",
    "lift its own limits": (
        "for limit in pids/pids.max pids.max memory/memory.limit_in_bytes memory.max; do"
        " echo 99999999999 > /sys/fs/cgroup/$limit && exit 0; done; exit 1"
    ),
    "mount": "mount -t tmpfs none /tmp",
    "a world of its own": "unshare --user --map-root-user id",
    "devices": "mknod /tmp/disk b 8 0",
    "look at disks": "ls /dev/vda /dev/sda /dev/loop0 /dev/loop-control",
    "the engine's socket": "ls /var/run/docker.sock /run/docker.sock /run/containerd",
    "the server's files": "ls /opt/provision",
    "other homes": "ls /opt/provision/homes /home/jovyan/../user02",
}


@pytest.mark.parametrize("deed", FORBIDDEN)
def test_what_they_may_not_do_fails(room: Room, deed: str) -> None:
    done = room.attack(FORBIDDEN[deed])
    assert done.code not in {0, 124}, done.out


def test_nothing_of_the_machine_is_mounted_but_their_own_folders(room: Room) -> None:
    lines = room.attack("cat /proc/self/mountinfo").out.splitlines()
    mounts = {}
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()[0]
        mounts[fields[4]] = (fields[3], fields[5].split(","), kind)
    virtual = {"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay"}
    real = {where: found for where, found in mounts.items() if found[2] not in virtual}
    names = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
    assert set(real) - names <= {"/home/jovyan", "/tmp", "/opt/materials"}
    assert real["/home/jovyan"][0] == f"/{MALLORY}/home"
    assert real["/tmp"][0] == f"/{MALLORY}/tmp", "it counts as theirs"
    assert "ro" in mounts["/"][1]
    assert room.attack("echo mine > /tmp/x && echo mine > ~/x && rm /tmp/x ~/x").ok


ACCOUNT = """
import ctypes, fcntl, os, struct
path = os.path.expanduser("~/cuckoo")
os.makedirs(path, exist_ok=True)
file = os.open(path, os.O_RDONLY)
GET, SET, FLAGS = 0x801C581F, 0x401C5820, 0x40086602
held = bytearray(28)
fcntl.ioctl(file, GET, held)
flags, _, _, project, _ = struct.unpack_from("5I", held)
struct.pack_into("5I", held, 0, 0, 0, 0, project + 1, 0)
for name, call, argument in (
    ("another account", SET, held),
    ("no account for what comes", FLAGS, struct.pack("l", 0)),
):
    for high in (0, 1 << 32):  # the kernel looks at the lower half alone
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(bytes(argument))
        if libc.syscall(SYSCALL, file, ctypes.c_ulong(call | high), buffer) == 0:
            print(name)
"""


def test_files_stay_on_their_owners_account(room: Room) -> None:
    """XFS lets owners move what is theirs into another project, out of their own limit."""
    number = {"x86_64": "16", "aarch64": "29"}[room.machine("uname -m").strip()]
    attack = ACCOUNT.replace("SYSCALL", number)
    said = room.attack(f"python3 -c {shlex.quote(attack)}")
    assert said.ok, said.err
    assert said.out == ""


NEWER = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
attributes = ctypes.create_string_buffer(bytes(16) + bytes([7, 0, 0, 0]) + bytes(4), 24)
done = libc.syscall(469, -100, b"/tmp", attributes, ctypes.c_size_t(24), 0)
print("done" if done == 0 else errno.errorcode[ctypes.get_errno()])
"""
"""file_setattr: another project for what is in one's own folder, by a call of 2025."""


def test_calls_that_came_later_are_not_there(room: Room) -> None:
    if room.machine(f"python3 -c {shlex.quote(NEWER)}").strip() == "ENOSYS":
        pytest.skip("this kernel has no file_setattr")
    assert room.attack(f"python3 -c {shlex.quote(NEWER)}").out.strip() == "ENOSYS"
    assert room.mallory.run(NEWER, timeout=60).strip() == "ENOSYS"


# What they may use up


def alive(room: Room) -> None:
    """Alice works on, and the hub is well."""
    assert room.alice.run("6 * 7", timeout=60).strip() == "42"
    room.workshop.tools.web.healthy(room.workshop.url, room.workshop.ca)


def test_a_fork_bomb_is_its_owners_own_trouble(room: Room) -> None:
    bomb = "for i in $(seq 3000); do sleep 9 & done; wait"
    room.machine(f"docker exec --detach jupyter-{MALLORY} sh -c {shlex.quote(bomb)}")
    processes = f"docker stats --no-stream --format '{{{{.PIDs}}}}' jupyter-{MALLORY}"
    most = max(int(room.machine(processes)) for _ in range(3))
    assert 100 < most <= 512, "it went off, and only so far"
    alive(room)

    def over() -> None:
        if int(room.machine(processes)) > 100:
            raise NotYet("the bomb's processes are there still")

    wait_for(over, budget=60, clock=SystemClock())


def test_a_memory_hog_ends_alone(room: Room) -> None:
    limits = room.inspected(MALLORY)
    assert limits["Memory"] == limits["MemorySwap"] == 512 * MIB
    hog = "python3 -c 'x = []\nwhile True: x.append(bytearray(b\"x\" * 2**24))'"
    assert room.attack(hog, timeout=120).code == 137
    alive(room)
    states = room.machine("docker ps --format '{{.Names}} {{.Status}}'")
    assert not re.findall(r"\(unhealthy\)|Restarting", states)


CELL = """
import statistics, time
def once():
    start = time.perf_counter()
    sum(i * i for i in range(300_000))
    return time.perf_counter() - start
print(statistics.median(once() for _ in range(25)))
"""


def test_a_full_machine_of_work_leaves_others_responsive(room: Room) -> None:
    """Ratio of the medians of Alice's work, with Mallory on all cores and without."""
    quiet = float(room.alice.run(CELL, timeout=60))
    burn = "for i in 1 2 3 4 5 6 7 8; do timeout 20 sh -c 'while :; do :; done' & done; wait"
    room.machine(f"docker exec --detach jupyter-{MALLORY} sh -c {shlex.quote(burn)}")
    time.sleep(1)
    busy = float(room.alice.run(CELL, timeout=60))
    print(f"a cell beside a CPU hog takes {busy / quiet:.1f} times as long")
    assert busy < 8 * quiet


def test_endless_logs_do_not_fill_the_disk(room: Room) -> None:
    """Whoever runs in a container can write to its first process's output."""
    path = room.machine(f"docker inspect --format '{{{{.LogPath}}}}' jupyter-{MALLORY}").strip()
    size = f"cat {path}* | wc -c"
    before = int(room.machine(size))
    room.attack("head -c 40000000 /dev/zero | tr '\\0' x | fold -w 200 > /proc/1/fd/1")
    after = int(room.machine(size))
    print(f"logs of 40 MB take {after / 1e6:.1f} MB")
    assert before < after + 1 < 12e6


def test_everybody_has_a_limit_for_files_of_their_own(room: Room) -> None:
    """As the kernel is told it; that it keeps it is seen on a machine whose kernel has quotas."""
    told = room.machine("cat /var/log/xfs_quota.log")
    projects = dict(re.findall(r"project -s -d 0 -p /opt/provision/homes/(\S+) (\d+)", told))
    limits = dict(re.findall(r"limit -p (bhard=\d+ ihard=\d+) (\d+)", told))
    assert set(projects) >= {MALLORY, ALICE, "user03", "user04", "instructor"}
    assert len(set(projects.values())) == len(projects), "nobody shares a limit"
    disk = re.search(r"PROVISION_DISK='(\d+)'", room.machine("cat /opt/provision/bundle/.env"))
    assert disk is not None
    numbers = {
        number
        for limit, number in re.findall(r"limit -p (\S+ \S+) (\d+)", told)
        if limit.startswith(f"bhard={disk[1]} ihard=")
    }
    assert numbers >= set(projects.values()), limits


# That it stands before anybody comes, and stays


def test_without_the_fence_nothing_starts(room: Room) -> None:
    """A network of somebody else's in the place of ours makes `isolate` give up."""
    room.machine("docker stop provision-hub-1")
    room.machine("ip route add 198.18.211.0/24 dev lo")
    try:
        assert not room.workshop.run("systemctl restart provision-stack.service").ok
        assert "somebody else's" in room.machine("journalctl -u provision-stack.service -n 5")
        assert not room.workshop.run("docker start provision-hub-1").ok
    finally:
        room.machine("ip route delete 198.18.211.0/24 dev lo")
        room.machine("systemctl restart provision-stack.service", timeout=120)
    wait_for(
        lambda: room.workshop.tools.web.healthy(room.workshop.url, room.workshop.ca),
        budget=120,
        clock=SystemClock(),
    )


def test_the_fence_is_put_up_once_however_often(room: Room) -> None:
    rules = "iptables -S; ip6tables -S"
    before = room.machine(rules)
    assert before.count("-j PROVISION") == 6
    room.machine("/opt/provision/isolate && /opt/provision/isolate")
    assert sorted(room.machine(rules).splitlines()) == sorted(before.splitlines())


def test_the_fence_stands_after_docker_was_restarted(room: Room) -> None:
    room.machine("systemctl restart docker.service", timeout=120)
    alice = room.address(ALICE)
    assert room.opened({(alice, 8888)}) == {(alice, 8888)}, "their servers went on"
    assert room.opened({(alice, 8888), ("hub", 8081)}, by=MALLORY) == set()
    assert not room.workshop.reaches("metadata", MALLORY, timeout=3)
    wait_for(
        lambda: room.workshop.tools.web.healthy(room.workshop.url, room.workshop.ca),
        budget=120,
        clock=SystemClock(),
    )
