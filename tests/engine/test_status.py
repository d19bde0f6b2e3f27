"""What `status` sees of a workshop that runs: of everybody's server, and of what goes wrong."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator

import pytest

from provisioner.errors import NotReady, NotYet
from provisioner.models import KIB, MIB
from provisioner.render import commands, looking
from provisioner.workflow.health import ask
from provisioner.workflow.hub import end_sessions
from provisioner.workflow.observing import Observer
from provisioner.workflow.seats import Seat, State
from provisioner.workflow.status import Status
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.engine.workshop import Workshop


@pytest.fixture
def observer(workshop: Workshop) -> Iterator[Observer]:
    with Observer(workshop.tools, workshop.record) as made:
        yield made


def seat(seen: Status, username: str) -> Seat:
    (found,) = [seat for seat in seen.seats if seat.username == username]
    return found


def until(observer: Observer, so: Callable[[Status], object], budget: float = 60) -> Status:
    """The first look that has it so."""

    def look() -> Status:
        seen = observer.look()
        if not so(seen):
            raise NotYet(str(seen.as_json()))
        return seen

    return wait_for(look, budget=budget, clock=SystemClock())


def in_background(workshop: Workshop, username: str, program: str) -> None:
    """A Python program of the participant's, that goes on by itself."""
    words = ["docker", "exec", "--detach", f"jupyter-{username}", "python3", "-c", program]
    assert workshop.run(shlex.join(words)).ok


def forget(workshop: Workshop, *usernames: str) -> None:
    end_sessions(workshop.engine, usernames, SystemClock())  # type: ignore[arg-type]


def test_all_is_well_and_told_in_one_question(workshop: Workshop, observer: Observer) -> None:
    observer.look()
    begun = time.monotonic()
    seen = observer.look()
    print(f"\na look takes {time.monotonic() - begun:.1f} s")
    assert seen.wrong == ()
    assert {name: item.health for name, item in seen.services.items()} == dict.fromkeys(
        ["caddy", "hub", "proxy"], "healthy"
    )
    assert seen.machine is not None
    assert seen.machine.cores > 0
    assert 0 < seen.machine.memory_used < seen.machine.memory
    assert {"/", commands.HOMES} <= {disk.target for disk in seen.machine.disks}
    assert seen.certificate_until is not None
    assert [item.username for item in seen.seats] == list(workshop.credentials)


def test_nothing_secret_is_in_it(workshop: Workshop, observer: Observer) -> None:
    text = str(observer.look().as_json())
    secrets = [str(item.password) for item in workshop.credentials.values()]
    files = workshop.run(f"cat {commands.SECRETS}/*.env {commands.USERS_FILE}").out
    secrets += [line.partition("=")[2] for line in files.splitlines() if "TOKEN=" in line]
    assert len(secrets) >= len(workshop.credentials) + 2
    assert not any(secret in text for secret in secrets)
    assert "scrypt" not in text


def test_from_never_to_running_to_stopped(workshop: Workshop, observer: Observer) -> None:
    forget(workshop, "user04")
    assert seat(observer.look(), "user04").state is State.NEVER
    with workshop.serving("user04") as visitor:
        visitor.run("print(1)", 60)
        here = seat(until(observer, lambda seen: seat(seen, "user04").memory_used), "user04")
        assert here.state is State.RUNNING
        assert here.memory_limit == 512 * MIB
        assert here.last_activity is not None
        workshop.in_container("user04", "head -c 5000000 /dev/urandom > ~/mine")
        grown = seat(observer.look(), "user04")
        assert grown.disk_used is not None
        assert grown.disk_used - (here.disk_used or 0) > 4000 * KIB
        in_background(
            workshop, "user04", "import time; end = time.time() + 8\nwhile time.time() < end: pass"
        )
        until(observer, lambda seen: (seat(seen, "user04").cpu or 0) > 20)
        workshop.in_container("user04", "rm ~/mine")
        assert visitor._api("DELETE", "/users/user04/server").status_code in {202, 204}
        gone = seat(until(observer, lambda seen: seat(seen, "user04").server == ""), "user04")
        assert gone.state is State.STOPPED
        assert gone.last_activity is not None


def test_a_server_that_does_not_start(workshop: Workshop, observer: Observer) -> None:
    forget(workshop, "user03")
    home = f"{commands.HOMES}/user03/home"
    workshop.run(f"mv {home} {home}.away")
    try:
        with pytest.raises(NotReady), workshop.serving("user03"):
            pass
    finally:
        workshop.run(f"mv {home}.away {home}")
    seen = until(observer, lambda seen: seat(seen, "user03").state is State.FAILED)
    assert "homes/user03" in seat(seen, "user03").why, "Docker's own words"
    count = f"{looking.logs(['hub'], tail=5000)} | grep -c user03/server/progress || true"
    asked = workshop.run(count).out
    assert observer.look().wrong == seen.wrong
    assert workshop.run(count).out == asked, "it is known already"
    with workshop.serving("user03"):
        assert seat(observer.look(), "user03").state is State.RUNNING


def test_memory_that_is_nearly_full_and_then_more_than_that(
    workshop: Workshop, observer: Observer
) -> None:
    with workshop.serving("user02") as visitor:
        visitor.run("print(1)", 60)
        now = seat(observer.look(), "user02").memory_used or 0
        room = int(512 * MIB * 0.94) - now - 12 * MIB
        in_background(workshop, "user02", f"kept = b'x' * {room}\nimport time; time.sleep(15)")
        seen = until(observer, lambda seen: seat(seen, "user02").troubles, budget=12)
        assert "memory 9" in seat(seen, "user02").troubles[0]
        in_background(workshop, "user02", "kept = []\nwhile True: kept.append(b'x' * 2**24)")
        until(observer, lambda seen: seat(seen, "user02").killed)


def test_without_the_hub_everything_else_is_seen(workshop: Workshop, observer: Observer) -> None:
    with workshop.serving("user01"):
        try:
            assert workshop.run(commands.compose("stop", "hub")).ok
            seen = observer.look()
            wrong = {check.name: check.says for check in seen.checks if not check.ok}
            assert wrong.keys() == {"hub", "https"}
            assert wrong["hub"].startswith("exited")
            assert seat(seen, "user01").state is State.RUNNING
            assert seat(seen, "user01").memory_used
        finally:
            workshop.run(commands.compose("start", "hub"))
        until(observer, lambda seen: not seen.wrong)


CUT = """\
for folder in /proc/[0-9]*; do
    grep -qs '^sshd[^ ]*: provision' $folder/cmdline && kill ${folder#/proc/}
done 2> /dev/null
"""


def test_a_connection_that_is_cut_comes_back(workshop: Workshop, observer: Observer) -> None:
    first = observer.look()
    workshop.run(CUT)
    cut = observer.look()
    assert [check.name for check in cut.checks if not check.ok] == ["ssh"]
    assert cut.at == first.at, "what it shows is from before"
    seen = until(observer, lambda seen: not seen.wrong)
    assert seen.at is not None
    assert first.at is not None
    assert seen.at > first.at


def test_a_hundred_are_seen_as_quickly(workshop: Workshop) -> None:
    """Containers that do nothing stand for participants: the machine's part of it."""
    tag = workshop.run("docker inspect --format '{{.Config.Image}}' jupyter-user01").out.strip()
    start = (
        f"for n in $(seq 100); do docker run --detach --rm --name jupyter-crowd$n --network none"
        f" --entrypoint sleep {tag} 600 > /dev/null || exit; done"
    )
    try:
        assert workshop.run(start, timeout=300).ok
        with_all = workshop.tools.connect(workshop.record.server, workshop.folder)  # type: ignore[arg-type]
        try:
            begun = time.monotonic()
            seen = ask(with_all, {}, timeout=60)
            print(f"\na look at {len(seen.usage)} takes {time.monotonic() - begun:.1f} s")
        finally:
            with_all.close()
        assert len([name for name in seen.usage if name.startswith("crowd")]) == 100
        assert all(usage.memory and usage.cpu is not None for usage in seen.usage.values())
    finally:
        workshop.run(
            "docker rm --force $(docker ps --quiet --filter name=^jupyter-crowd)", timeout=300
        )
