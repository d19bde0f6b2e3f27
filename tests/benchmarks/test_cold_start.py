"""A room's servers from cold: this bundle beside DockerSpawner as it comes, in the same images.

As it comes means: one thread for all requests to Docker, and the server's own command. Ratios only;
the seconds are printed.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from provisioner.cli.output import ConsoleReporter
from provisioner.errors import NotYet
from provisioner.render import commands
from provisioner.workflow.hub import end_sessions
from provisioner.workflow.prewarm import prewarm
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.engine.machine import Engine
from tests.engine.workshop import Workshop, launched, settings, why_not

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.timeout(1800)]

PEOPLE = 6
PLAIN = """
load_subconfig("/srv/jupyterhub/jupyterhub_config.py")
c = get_config()
from concurrent.futures import ThreadPoolExecutor
from spawner import WorkshopSpawner
WorkshopSpawner._executor = ThreadPoolExecutor(1)
c.DockerSpawner.cmd = ["jupyterhub-singleuser"]
"""
PLAIN_FILE = f"{commands.ROOT}/plain/plain.py"
OVERRIDE = f"{commands.BUNDLE}/docker-compose.override.yml"
OVERRIDES = {
    "services": {
        "hub": {
            "command": ["jupyterhub", "-f", "/srv/plain/plain.py"],
            "volumes": [f"{commands.ROOT}/plain:/srv/plain:ro"],
        }
    }
}


@dataclass
class Room:
    last: float  # seconds from the first login to the last cell
    cpu: float  # seconds of all containers, from start to the last cell


@pytest.fixture(scope="module")
def room() -> Iterator[Workshop]:
    if reason := why_not():
        pytest.skip(reason)
    with Engine("room") as engine:
        asked = settings(name="room", users=PEOPLE, prewarm=False)
        yield Workshop(engine, *launched(engine, asked, ConsoleReporter()))


def everybody(workshop: Workshop) -> list[str]:
    return [person.username for person in workshop.record.people if not person.admin]


def cold(workshop: Workshop) -> None:
    """No server runs, as in the morning."""
    end_sessions(workshop.engine, sorted(workshop.credentials), SystemClock())  # type: ignore[arg-type]


def at_once(workshop: Workshop) -> Room:
    """Everybody logs in in the same moment, gets a server, and runs a cell."""

    def one(username: str) -> float:
        with workshop.visitor(username) as visitor:

            def ready() -> None:
                if not visitor.server_ready():
                    raise NotYet("starting")

            wait_for(ready, budget=600, clock=SystemClock(), every=0.5)
            assert visitor.run("print(6 * 7)", 300) == "42\n"
        return time.monotonic()

    names, begun = everybody(workshop), time.monotonic()
    with ThreadPoolExecutor(len(names)) as pool:
        last = max(pool.map(one, names))
    return Room(last - begun, spent(workshop))


def spent(workshop: Workshop) -> float:
    """CPU seconds of participants' containers so far."""
    usage = (
        "for id in $(docker ps --no-trunc --quiet --filter name=^jupyter-); do "
        "cat $(find /sys/fs/cgroup -path \"*$id*\" '(' -name cpuacct.usage -o -name cpu.stat ')'"
        " | head -n 1); done"
    )
    total = 0.0
    for line in workshop.run(usage).out.splitlines():
        words = line.split()
        if words[0] == "usage_usec":
            total += int(words[1]) / 1e6
        elif len(words) == 1:
            total += int(words[0]) / 1e9
    return total


def recreate_hub(workshop: Workshop) -> None:
    up = commands.compose("up", "--detach", "--no-build", "--wait", "hub")
    done = workshop.run(up, timeout=180)
    assert done.ok, done.err


def plain(workshop: Workshop) -> None:
    for path, text in {PLAIN_FILE: PLAIN, OVERRIDE: json.dumps(OVERRIDES)}.items():
        content = text.encode()
        assert workshop.run(commands.write_file(path, len(content), "0644"), stdin=content).ok
    workshop.run(f"chmod 755 {commands.ROOT}/plain")
    recreate_hub(workshop)


def ours(workshop: Workshop) -> None:
    workshop.run(f"rm -f {OVERRIDE}")
    recreate_hub(workshop)


def test_from_cold_and_prewarmed(room: Workshop) -> None:
    measured: dict[str, list[Room]] = {"ours": [], "plain": []}
    cold(room)
    at_once(room)  # fills the page cache for both
    for _ in range(2):  # in turns, so that a busy machine is unfair to neither
        for name, become in (("plain", plain), ("ours", ours)):
            become(room)
            cold(room)
            measured[name].append(at_once(room))
    cold(room)
    server = room.record.server
    assert server is not None
    begun = time.monotonic()
    warmed = prewarm(room.tools, room.record, server, kind="engine")
    filled = time.monotonic() - begun
    assert all(item.ok for item in warmed), warmed
    warm = at_once(room)

    def lowest(name: str) -> Room:
        rooms = measured[name]
        return Room(min(it.last for it in rooms), min(it.cpu for it in rooms))

    mine, other = lowest("ours"), lowest("plain")
    print(
        f"\n{PEOPLE} people at once, first login to last cell:"
        f"\n  DockerSpawner as it comes  {other.last:5.1f} s, {other.cpu / PEOPLE:.2f} CPU s each"
        f"\n  this bundle, cold          {mine.last:5.1f} s, {mine.cpu / PEOPLE:.2f} CPU s each"
        f"\n  this bundle, prewarmed     {warm.last:5.1f} s (prewarming took {filled:.1f} s,"
        f" {statistics.median(item.seconds for item in warmed):.1f} s each)"
        f"\n  as it comes ÷ cold {other.last / mine.last:.2f};"
        f" as it comes ÷ prewarmed {other.last / warm.last:.2f};"
        f" CPU {other.cpu / mine.cpu:.2f}"
    )
    assert other.cpu / mine.cpu > 1.3
    assert other.last / mine.last > 1.2
    assert warm.last < mine.last
