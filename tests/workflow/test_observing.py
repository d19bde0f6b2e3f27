from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotYet, Refused
from provisioner.models import Phase, Result, Server
from provisioner.protocols import Remote
from provisioner.providers.fake import FakeRemote
from provisioner.render import health
from provisioner.settings import Settings
from provisioner.store import Record
from provisioner.workflow.launch import launch
from provisioner.workflow.observing import Observer, status
from provisioner.workflow.seats import State
from provisioner.workflow.status import Status
from provisioner.workflow.tools import Tools
from tests.doubles import fake_tools

Answer = Callable[[str, bytes], str]
"""The machine's usual answer about itself and the script → what it says instead."""


@pytest.fixture
def tools(own_home: Path) -> Tools:
    return fake_tools(own_home)


@pytest.fixture
def record(tools: Tools) -> Record:
    values: dict[str, Any] = {"name": "tessera", "provider": "fake", "users": 2}
    asked = Settings(**values | {"login": {"admins": ["ada_l-2"]}})
    return launch(tools, asked, base_image="").record


def saying(tools: Tools, answer: Answer) -> Tools:
    """The same tools, with a machine that says something else about itself."""

    class Machine(FakeRemote):
        def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
            said = super().run(command, timeout=timeout, stdin=stdin)
            if command == health.LOOK:
                return Result(0, answer(said.out, stdin), "")
            return said

    def connect(server: Server, folder: Any) -> Remote:
        made = tools.connect(server, folder)
        made.__class__ = Machine
        return made

    return replace(tools, connect=connect)


def changed(old: str, new: str) -> Answer:
    def answer(said: str, _: bytes) -> str:
        assert old in said
        return said.replace(old, new, 1)

    return answer


def container(name: str, **of: Any) -> str:
    """A service, as the machine tells of it."""
    service = name.removeprefix("provision-").removesuffix("-1")
    return json.dumps({"name": f"/{name}", "service": service, "state": "running"} | of)


HUB = container("provision-hub-1")


def people(*users: dict[str, Any]) -> Answer:
    """The hub's answer; each of these has logged in."""
    now = datetime.now(UTC)
    logins = {user["name"]: f"{now + timedelta(minutes=1):%Y-%m-%d %H:%M:%S.%f}" for user in users}
    said = json.dumps({"error": "", "logins": logins, "users": users})
    return changed('{"error": "", "logins": {}, "users": []}', said)


def failed(seen: Status) -> dict[str, str]:
    return {check.name: check.says for check in seen.checks if not check.ok}


def test_all_is_well(tools: Tools, record: Record) -> None:
    seen = status(tools, record)
    assert {check.name: check.ok for check in seen.checks} == dict.fromkeys(
        ["machine", "https", "ssh", "caddy", "hub", "proxy"], True
    )
    assert not seen.wrong
    assert seen.counts == {State.NEVER: 3}
    assert 11 * 3600 < seen.seconds_left <= 12 * 3600
    assert seen.machine is not None
    assert seen.machine.cores == 16


def test_what_others_read_of_it_is_there(tools: Tools, record: Record) -> None:
    document = status(tools, record).as_json()
    json.dumps(document)
    contract = {
        *("name", "provider", "phase", "url", "expires_at", "seconds_left", "failure"),
        *("checks", "participants"),
    }
    assert contract <= document.keys()
    assert {"username", "state", "memory"} <= document["participants"][0].keys()
    assert document["ok"] is True


def test_an_admin_with_dashes_is_found_by_name(tools: Tools, record: Record) -> None:
    running = container("jupyter-ada_l-2", service="notebook", pid=12, memory=2**30)
    now = datetime.now(UTC)
    user = {
        "name": "ada_l-2",
        "activity": now.isoformat(),
        "ready": True,
        "started": now.isoformat(),
        "used": now.isoformat(),
    }

    def answer(said: str, script: bytes) -> str:
        return people(user)(said, script).replace("@@ before", f"{running}\n@@ before", 1)

    seats = {seat.username: seat for seat in status(saying(tools, answer), record).seats}
    assert seats["ada_l-2"].state is State.RUNNING
    assert seats["ada_l-2"].admin
    assert seats["user01"].state is State.NEVER


@pytest.mark.parametrize(
    ("hub", "says"),
    [
        (container("provision-hub-1", health="unhealthy"), "running, unhealthy"),
        (container("provision-hub-1", state="exited", code=1), "exited with code 1"),
        (
            container("provision-hub-1", state="exited", code=137, oom=True),
            "exited with code 137, for want of memory",
        ),
        (
            container("provision-hub-1", state="restarting", restarts=7),
            "restarting, restarted 7 times",
        ),
        ("", "is not there"),
    ],
)
def test_a_service_in_trouble(tools: Tools, record: Record, hub: str, says: str) -> None:
    seen = status(saying(tools, changed(HUB, hub)), record)
    assert failed(seen)["hub"] == says
    assert f"hub: {says}" in seen.wrong


def test_a_service_that_restarted_and_is_well_again_is_well(tools: Tools, record: Record) -> None:
    again = container("provision-hub-1", health="healthy", restarts=1)
    seen = status(saying(tools, changed(HUB, again)), record)
    assert not failed(seen)
    assert {check.name: check.says for check in seen.checks}["hub"] == (
        "running, healthy, restarted once"
    )


def test_a_hub_that_can_not_be_asked(tools: Tools, record: Record) -> None:
    answer = changed('"error": ""', '"error": "the hub answers 503"')
    seen = status(saying(tools, answer), record)
    assert "503" in failed(seen)["people"]
    assert {seat.state for seat in seen.seats} == {State.UNKNOWN}


def test_a_full_disk_and_no_memory_left(tools: Tools, record: Record) -> None:
    disk = "@@ disks\n/dev/vda1 / 53687091200 53600000000 80000000\n@@ after"

    def answer(said: str, _: bytes) -> str:
        return said.replace("@@ after", disk).replace("60000000 kB", "1000000 kB")

    wrong = failed(status(saying(tools, answer), record))
    assert "76.3 MiB are free on /" in wrong["disk"]
    assert "99 %" in wrong["memory"]


def test_a_participant_in_trouble_is_wrong(tools: Tools, record: Record) -> None:
    answer = people({"name": "user02", "activity": "2026-11-24T10:44:30Z", "why": "no image"})
    seen = status(saying(tools, answer), record)
    assert seen.wrong == ("user02: failed: no image",)
    assert seen.as_json()["ok"] is False


@pytest.mark.parametrize(
    ("left", "mode", "ok"),
    [
        (timedelta(days=80), "acme", True),
        (timedelta(hours=4), "acme", True),
        (timedelta(minutes=30), "acme", False),
        (timedelta(hours=4), "files", False),
        (timedelta(days=2), "files", True),
    ],
)
def test_a_certificate_that_ends_too_early(
    tools: Tools, record: Record, left: timedelta, mode: str, ok: bool
) -> None:
    """Those that are renewed have hours; the operator's own must outlast the workshop."""

    class Web:
        healthy = staticmethod(tools.web.healthy)

        def certificate_until(self, url: str, ca: Path | None) -> datetime:
            return datetime.now(UTC) + left

    settings = record.settings | {"tls": {"mode": mode, "certificate": "/c.pem", "key": "/k.pem"}}
    if mode == "files":
        record = record.but(settings=settings)
        tools.store.save(record)
    seen = status(replace(tools, web=Web()), record)  # type: ignore[arg-type]
    assert ("https" not in failed(seen)) is ok
    assert seen.certificate_until is not None


def test_what_was_before_a_rehearsal_is_not_the_participants(tools: Tools, record: Record) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    user = {"name": "user02", "activity": datetime.now(UTC).isoformat(), "why": ""}
    tools.store.save(record.but(rehearsed_at=later))
    seen = status(saying(tools, people(user)), record)
    assert seen.counts == {State.NEVER: 3}


def test_a_docker_that_hangs_is_called_that_and_not_a_lost_connection(
    tools: Tools, record: Record
) -> None:
    def answer(said: str, _: bytes) -> str:
        before, rest = said.index("@@ containers"), said.index("@@ before")
        silent = f"{said[:before]}@@ containers\nsilent\n{said[rest:]}"
        return silent.replace('{"error": "", "logins": {}, "users": []}', "")

    seen = status(saying(tools, answer), record)
    assert [*failed(seen)] == ["docker"]
    assert {seat.state for seat in seen.seats} == {State.UNKNOWN}
    assert seen.machine is not None


def test_a_machine_that_is_gone(tools: Tools, record: Record) -> None:
    tools.provider.delete(record.id)
    seen = status(tools, record)
    assert failed(seen) == {"machine": "does not exist"}
    assert len(seen.checks) == 1


def test_a_provider_that_does_not_answer(
    tools: Tools, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: str) -> Server:
        raise Refused("AWS does not answer")

    monkeypatch.setattr(tools.provider, "find", away)
    assert failed(status(tools, record)) == {"machine": "AWS does not answer"}


def test_a_deadline_that_has_passed(tools: Tools, record: Record) -> None:
    tools.store.save(record.but(expires_at=datetime.now(UTC) - timedelta(hours=1)))
    tools.provider.delete(record.id)
    seen = status(tools, record)
    assert seen.phase is Phase.EXPIRED
    assert "the deadline has passed" in seen.wrong


def test_what_it_has_cost_and_will_cost(tools: Tools, record: Record) -> None:
    now = datetime.now(UTC)
    times = {"created_at": now - timedelta(hours=2), "expires_at": now + timedelta(hours=3)}
    tools.store.save(record.but(hourly=0.5, **times))
    document = status(tools, record).as_json()
    assert document["cost_usd"] == pytest.approx(1.0, abs=0.02)
    assert document["cost_at_deadline_usd"] == pytest.approx(2.5, abs=0.02)
    assert document["cost_usd_per_participant"] == pytest.approx(0.5, abs=0.02), "of two"
    assert document["cost_at_deadline_usd_per_participant"] == pytest.approx(1.25, abs=0.02)


def test_a_lost_connection_is_opened_again_and_meanwhile_the_last_is_shown(
    tools: Tools, record: Record
) -> None:
    lost = [False]
    connections: list[int] = []

    def answer(said: str, _: bytes) -> str:
        if lost[0]:
            raise NotYet("the SSH connection was lost")
        return said

    flaky = saying(tools, answer)

    def connect(server: Server, folder: Any) -> Remote:
        connections.append(1)
        return flaky.connect(server, folder)

    with Observer(replace(flaky, connect=connect), record) as observer:
        first = observer.look()
        assert observer.look().seats == first.seats
        assert len(connections) == 1, "one connection for all looks"
        lost[0] = True
        away = observer.look()
        assert failed(away) == {"ssh": "the SSH connection was lost"}
        assert (away.seats, away.machine, away.at) == (first.seats, first.machine, first.at)
        lost[0] = False
        assert not failed(observer.look())
        assert len(connections) == 2


def test_the_reason_of_a_failure_is_asked_for_once(tools: Tools, record: Record) -> None:
    """Each question is a line in the hub's log."""
    scripts: list[bytes] = []
    activity = "2026-11-24T10:44:30Z"

    def answer(said: str, script: bytes) -> str:
        known = activity.encode() in script
        scripts.append(script)
        user = {"name": "user02", "activity": activity, "why": None if known else "no image"}
        return people(user)(said, script)

    with Observer(saying(tools, answer), record) as observer:
        for _ in range(3):
            seen = observer.look()
            assert seen.wrong == ("user02: failed: no image",)
    assert [activity.encode() in script for script in scripts] == [False, True, True]


def test_people_who_are_added_meanwhile_are_seen(tools: Tools, record: Record) -> None:
    with Observer(tools, record) as observer:
        observer.look()
        tools.store.save(record.but(people=record.people[:2]))
        assert len(observer.look().seats) == 2


def test_a_workshop_that_is_torn_down_meanwhile_ends_it(tools: Tools, record: Record) -> None:
    with Observer(tools, record) as observer:
        observer.look()
        tools.store.folder(record.name).record.unlink()
        with pytest.raises(NotYet, match="not there any more"):
            observer.look()
