"""`prewarm` on a workshop that runs: the real verb's order of events over SSH."""

from __future__ import annotations

import time

import pytest

from provisioner.errors import NotReady
from provisioner.render import commands
from provisioner.workflow.hub import end_sessions
from provisioner.workflow.prewarm import Warmed, prewarm, refuse_failures
from provisioner.workflow.waiting import SystemClock
from tests.engine.workshop import Workshop


def warm(workshop: Workshop) -> tuple[Warmed, ...]:
    server = workshop.record.server
    assert server is not None
    return prewarm(workshop.tools, workshop.record, server, kind="engine")


def test_everybodys_server_runs_and_repeating_it_changes_nothing(workshop: Workshop) -> None:
    everybody = sorted(workshop.credentials)
    end_sessions(workshop.engine, everybody, SystemClock())  # type: ignore[arg-type]
    begun = time.monotonic()
    warmed = warm(workshop)
    print(f"\n{len(warmed)} servers within {time.monotonic() - begun:.1f} s: {warmed}")
    assert sorted(item.username for item in warmed) == everybody
    assert all(item.ok for item in warmed)
    started = "docker ps --filter name=^jupyter- --format '{{.ID}} {{.Names}}' | sort"
    before = workshop.run(started).out
    assert len(before.splitlines()) == len(everybody)
    assert [item.seconds for item in warm(workshop)] == [0.0] * len(everybody)
    assert workshop.run(started).out == before


def test_who_was_never_there_logs_in_to_a_server_that_is_ready(workshop: Workshop) -> None:
    warm(workshop)
    with workshop.visitor("user04") as visitor:
        assert visitor.server_ready(), "at the first look"
        assert visitor.run("print(6 * 7)", 60) == "42\n"


def test_a_server_that_does_not_start_is_named_with_its_reason(workshop: Workshop) -> None:
    end_sessions(workshop.engine, ["user03"], SystemClock())  # type: ignore[arg-type]
    home = f"{commands.ROOT}/homes/user03/home"
    workshop.run(f"mv {home} {home}.away")
    try:
        warmed = warm(workshop)
    finally:
        workshop.run(f"mv {home}.away {home}")
    assert [item.username for item in warmed if not item.ok] == ["user03"]
    with pytest.raises(NotReady) as refused:
        refuse_failures(warmed, workshop.record.name)
    print(f"\n{refused.value.details}")
    assert "homes/user03" in refused.value.details[0], "Docker's own words, not only 'failed'"
    assert all(item.ok for item in warm(workshop)), "the next one heals it"
