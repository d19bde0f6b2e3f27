"""Answers as machines give them: cgroups of both versions, quotas, a hub that is away."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from provisioner.errors import NotYet
from provisioner.models import KIB, MIB
from provisioner.workflow.health import parse

CONTAINERS = """\
@@ containers
{"name":"/jupyter-user01","state":"running","pid":1454,"service":"notebook","health":"","restarts":0,"code":0,"oom":false,"started":"2026-11-24T10:44:33.357805406Z","memory":536870912}
{"name":"/jupyter-ada_l-2","state":"exited","pid":0,"service":"notebook","health":"","restarts":0,"code":137,"oom":true,"started":"2026-11-24T10:44:33.315360329Z","memory":536870912}
{"name":"/provision-hub-1","state":"running","pid":877,"service":"hub","health":"healthy","restarts":2,"code":0,"oom":false,"started":"2026-11-24T10:44:24.501100104Z","memory":0}
"""
VERSION_1 = """\
@@ before
uptime 15308.13
cpu  1571164 65531 313277 1077390 11058 0 7785 2616 0 0
user01 memory.usage_in_bytes 99291136
user01 cpuacct.usage 1048352902
@@ after
uptime 15310.13
cpu  1571264 65531 313277 1077490 11058 0 7785 2616 0 0
user01 memory.usage_in_bytes 99291136
user01 memory.stat inactive_file 4096
user01 memory.stat total_inactive_file 8192
user01 memory.oom_control oom_kill 3
user01 cpuacct.usage 2048352902
"""
VERSION_2 = """\
@@ before
uptime 90.00
user01 cpu.stat usage_usec 4000000
@@ after
uptime 92.00
user01 memory.current 99291136
user01 memory.stat inactive_file 8192
user01 memory.events oom_kill 3
user01 cpu.stat usage_usec 5000000
"""
WHY = "Spawn failed: This server can't be started; please tell the organiser. Docker says: no image"
USERS = [
    {
        "name": "user01",
        "activity": "2026-11-24T10:44:30.174000Z",
        "ready": True,
        "pending": None,
        "started": "2026-11-24T10:44:27.105001Z",
        "used": "2026-11-24T10:44:30.174000Z",
    },
    {"name": "user02", "activity": "2026-11-24T10:44:33.217000Z", "ready": None, "why": WHY},
    {"name": "user03", "activity": "2026-11-24T10:44:33.217000Z", "ready": None, "why": None},
]
LOGINS = {"user01": "2026-11-24 10:44:29.131199"}
PEOPLE = "@@ people\n" + json.dumps({"error": "", "logins": LOGINS, "users": USERS}) + "\n"
MACHINE = """\
@@ machine
time 1795517296
load 5.55 5.08 4.46 13/1497 2047
uptime 15330.86 10774.44
cores 2
MemTotal       24684100 kB
MemAvailable   18816200 kB
@@ disks
Filesystem     Mounted on              1B-blocks        Used       Avail
/dev/vda1      /                    270553174016 62753767424 46190526464
/dev/vda1      /var/lib/docker      270553174016 62753767424 46190526464
/dev/loop0     /opt/provision/homes   2080374784    73850880  2006523904
"""
QUOTA = """\
@@ projects
999:
1000:user01
1001:ada_l-2
@@ quota
#0                   0          0          0     00 [--------]
#1000           146120          0    2097152     00 [--------]
#1001          2097152          0    2097152     00 [-none-]
@@ folders
"""
FOLDERS = """\
@@ projects
999:
1000:user01
@@ quota

@@ folders
32768\tuser01
0\tada_l-2
"""
END = "@@ end\n"


def answer(**parts: str) -> str:
    whole = {
        "containers": CONTAINERS,
        "samples": VERSION_1,
        "people": PEOPLE,
        "machine": MACHINE,
        "quota": QUOTA,
        "end": END,
    }
    return "".join((whole | parts).values())


def test_the_machine_itself() -> None:
    seen = parse(answer())
    machine = seen.machine
    assert seen.at == datetime.fromtimestamp(1795517296, UTC)
    assert (machine.load, machine.cores) == ((5.55, 5.08, 4.46), 2)
    assert machine.memory == 24684100 * KIB
    assert machine.memory_used == (24684100 - 18816200) * KIB
    assert machine.cpu == 50.0
    assert [disk.target for disk in machine.disks] == ["/", "/opt/provision/homes"]
    assert machine.disks[0].free == 46190526464


@pytest.mark.parametrize("samples", [VERSION_1, VERSION_2], ids=["cgroup1", "cgroup2"])
def test_memory_and_cpu_are_counted_as_docker_counts_them(samples: str) -> None:
    usage = parse(answer(samples=samples)).usage["user01"]
    assert usage.memory == 99291136 - 8192, "without what the kernel can give back"
    assert usage.cpu == 50.0
    assert usage.killed == 3


def test_services_and_participants_are_told_apart() -> None:
    seen = parse(answer())
    assert set(seen.services) == {"hub"}
    assert (seen.services["hub"].health, seen.services["hub"].restarts) == ("healthy", 2)
    ended = seen.containers["ada_l-2"]
    assert (ended.state, ended.code, ended.out_of_memory) == ("exited", 137, True)
    assert seen.containers["user01"].memory_limit == 512 * MIB


def test_quotas_are_those_of_names() -> None:
    assert parse(answer()).disk == {
        "user01": (146120 * KIB, 2097152 * KIB),
        "ada_l-2": (2097152 * KIB, 2097152 * KIB),
    }


def test_folders_are_counted_where_there_are_no_quotas() -> None:
    assert parse(answer(quota=FOLDERS)).disk == {"user01": (32768, 0), "ada_l-2": (0, 0)}


def test_why_a_server_did_not_start_in_dockers_words() -> None:
    people = parse(answer()).people
    assert people is not None
    assert people["user02"].why == "no image"
    assert people["user03"].why is None, "it was not asked: that is known already"
    assert people["user01"].serving
    assert not people["user02"].serving


@pytest.mark.parametrize(
    "said",
    ["@@ people\n", '@@ people\n{"error": "it answers 503: ", "logins": {}, "users": []}\n'],
)
def test_a_hub_that_is_away_hides_nothing_else(said: str) -> None:
    seen = parse(answer(people=said))
    assert seen.people is None
    assert seen.hub_error
    assert seen.containers["user01"].state == "running"
    assert seen.machine.cores == 2


def test_a_machine_without_docker_is_still_a_machine() -> None:
    nothing: dict[str, Any] = {
        "containers": "@@ containers\n\n",
        "samples": "@@ before\nuptime 1.0\n@@ after\nuptime 2.0\n",
        "people": "@@ people\n",
        "quota": "@@ projects\n@@ quota\n\n@@ folders\n",
    }
    seen = parse(answer(**nothing))
    assert (seen.services, seen.containers, seen.usage, seen.disk) == ({}, {}, {}, {})
    assert seen.machine.cpu is None
    assert seen.machine.memory == 24684100 * KIB


@pytest.mark.parametrize("text", ["", answer(end=""), CONTAINERS])
def test_half_an_answer_is_none(text: str) -> None:
    with pytest.raises(NotYet, match="cut short"):
        parse(text)
