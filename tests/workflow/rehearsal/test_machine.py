from __future__ import annotations

import subprocess

from provisioner.models import MIB
from provisioner.render import rehearsal
from provisioner.workflow.rehearsal.machine import Load, killed, parse

SAID = """\
cpu  {busy} 0 0 {idle} 0 0 0 {stolen} 0 0
cpu0 1 1 1 1 1 1 1 1 0 0
cpu1 1 1 1 1 1 1 1 1 0 0
MemTotal:        8192 kB
MemAvailable:    {available} kB
disk  254 0 vda 1 1 {sectors} 1 1 1 0 1 0 1 1
disk  254 1 vda1 1 1 999999 1 1 1 0 1 0 1 1
disk  7 0 loop0 1 1 999999 1 1 1 0 1 0 1 1
net eth0 {received} 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0
net lo 999999999 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0
net veth12 999999999 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0
space Mounted 1B-blocks Used
space / 1000 {used}
"""
START = {
    "busy": 0,
    "idle": 0,
    "stolen": 0,
    "available": 4096,
    "sectors": 0,
    "received": 0,
    "used": 1,
}


def test_numbers_between_two_readings() -> None:
    after = START | {"busy": 60, "idle": 30, "stolen": 10, "sectors": 4096, "received": 4 * MIB}
    one = parse(SAID.format(**START), 10.0)
    two = parse(SAID.format(**after | {"available": 2048, "used": 900}), 12.0)
    assert one is not None
    assert two is not None
    load = Load([one, two])
    (sample,) = load.samples()
    assert (sample.cpu, sample.stolen, sample.memory) == (0.7, 0.1, 0.75)
    assert sample.disk == MIB, "a partition is not counted beside its disk"
    assert sample.network == 2 * MIB, "nor what stays inside the machine"
    assert load.cores == 2
    assert load.peak_memory() == 6 * MIB
    assert load.fullest() == {"/": (1000, 900)}


def test_times_count_from_where_the_crowd_began() -> None:
    readings = [parse(SAID.format(**START), at) for at in (0.0, 2.0, 4.0)]
    load = Load([item for item in readings if item]).since(1.5)
    assert [item.at for item in load.readings] == [0.5, 2.5]


def test_what_was_killed_is_heard_in_between() -> None:
    said = "oom jupyter-ada\n" + SAID.format(**START) + "oom jupyter-bo\noom jupyter-ada\n"
    assert killed(said) == ["jupyter-ada", "jupyter-bo", "jupyter-ada"]
    assert parse(said, 0.0) == parse(SAID.format(**START), 0.0)


def test_what_else_runs_on_an_owners_machine_is_no_part_of_the_workshop() -> None:
    said = "oom provision-hub-1 /opt/provision/bundle\noom shop-db-1 /srv/shop\noom alone \n"
    assert killed(said) == ["provision-hub-1"]


def test_half_a_reading_is_none() -> None:
    assert parse("", 0) is None
    assert parse("cpu  1 2 3\n", 0) is None


def test_this_very_machine_is_understood() -> None:
    quick = rehearsal.SAMPLE.replace("sleep 2", "exit 0")
    said = subprocess.check_output(["sh", "-c", quick], text=True)
    reading = parse(said.removesuffix("end\n"), 0.0)
    assert reading is not None
    assert reading.cores >= 1
    assert 0 < reading.available < reading.memory
    assert reading.space[0][0] == "/"
