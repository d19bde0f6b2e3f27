"""A rehearsal on a workshop that runs, healthy and broken in the ways that it must tell apart."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.errors import NotReady
from provisioner.remote.crowd import attend
from provisioner.remote.hub import _execute
from provisioner.render import rehearsal
from provisioner.visits import Cell, Heard, Script, Span, Stage
from provisioner.workflow.hub import end_sessions
from provisioner.workflow.rehearsal import seats
from provisioner.workflow.rehearsal.evidence import Evidence
from provisioner.workflow.rehearsal.notebook import Notebook, default_notebook
from provisioner.workflow.rehearsal.rehearse import Plan, clean_up, rehearse
from provisioner.workflow.rehearsal.report import peaks
from provisioner.workflow.rehearsal.verdict import Verdict, judge
from provisioner.workflow.waiting import SystemClock
from tests.engine.machine import ROOT
from tests.engine.workshop import Workshop

JUPYTERS = "docker ps --quiet --filter name=^jupyter-"
KERNELS = f"for one in $({JUPYTERS}); do docker top $one -eo pid,args; done"


def played(workshop: Workshop, **plan: object) -> tuple[Evidence, Verdict]:
    wanted = {"notebook": default_notebook(()), "where": "here", "hold": 4.0}
    seen = rehearse(workshop.tools, workshop.record.name, Plan(**wanted | plan), attend)  # type: ignore[arg-type]
    verdict = judge(seen)
    print(f"\n{verdict.word} after {seen.seconds} s: {verdict.reasons}")
    return seen, verdict


def notebook(*codes: str) -> Notebook:
    cells = tuple(Cell(number, code) for number, code in enumerate(codes, 1))
    return Notebook("mine.ipynb", cells)


def containers(workshop: Workshop) -> list[str]:
    """The id and name of each participant's."""
    shown = workshop.run("docker ps --all --filter name=^jupyter- --format '{{.ID}} {{.Names}}'")
    return sorted(shown.out.splitlines())


def kernels(workshop: Workshop) -> int:
    listed = workshop.run(KERNELS)
    assert not listed.err, listed.err
    return listed.out.count("/kernel-")


def known(workshop: Workshop) -> str:
    return workshop.run("cat /opt/provision/secrets/users.json; ls /opt/provision/homes").out


@pytest.fixture(autouse=True)
def as_before(workshop: Workshop) -> Iterator[None]:
    """Whatever happened: nobody is left on the server, in its files, or in a note."""
    end_sessions(workshop.engine, sorted(workshop.credentials), SystemClock())  # type: ignore[arg-type]
    before = known(workshop)
    yield
    assert known(workshop) == before
    assert "rehears" not in workshop.run("docker ps --all; ls /opt/provision").out
    assert seats.left_note(workshop.folder) is None


def test_more_than_there_are_seats_come_at_once_from_the_server_and_nothing_is_left(
    workshop: Workshop,
) -> None:
    seen, verdict = played(workshop, users=6, where="server")
    assert verdict.passed, verdict.reasons
    assert seen.held == 6
    assert [name for name in seen.guests if name.startswith("rehearse")] == list(seen.guests)
    assert len(seen.guests) == 2
    for visit in seen.visits:
        assert [span.stage for span in visit.spans] == list(Stage), visit
    everybody = [visit.stage(Stage.NOTEBOOK) for visit in seen.visits]
    last = max(span.end for span in everybody if span)
    stays = [visit.stage(Stage.AGAIN) for visit in seen.visits]
    assert all(span.start >= last + 4 for span in stays if span), "nobody leaves before the last"
    found = peaks(seen)
    assert found is not None
    assert 0 < found.memory < found.memory_of
    assert found.cpu > 0.1
    assert set(seen.used) == {visit.username for visit in seen.visits}
    assert all(size > 50 * 2**20 for size in seen.used.values())
    assert seen.effort is not None
    assert not containers(workshop), "the servers that it started are gone"


def test_servers_that_ran_stay_and_their_kernels_go(workshop: Workshop) -> None:
    with workshop.serving("user01"):
        before = containers(workshop)
        seen, verdict = played(workshop)
        assert verdict.passed, verdict.reasons
        assert seen.warm == {"user01"}
        assert len(seen.visits) == 4
        assert not seen.guests
        assert containers(workshop) == before
        assert kernels(workshop) == 0


def test_people_at_work_are_left_alone(workshop: Workshop) -> None:
    with workshop.serving("user02") as visitor:
        made = visitor._lab("POST", "/api/kernels", json={"name": "python3"}).json()["id"]
        with visitor._channels(made) as socket:
            _execute(socket, "kept = 42", 60)
            seen, verdict = played(workshop, users=2, where="server")
            assert _execute(socket, "print(kept)", 60) == "42\n"
        visitor._lab("DELETE", f"/api/kernels/{made}")
    assert verdict.passed, verdict.reasons
    assert seen.busy == {"user02"}
    assert len(seen.guests) == len(seen.visits) == 2


def test_too_little_memory_fails_with_the_limit_and_a_larger_one(workshop: Workshop) -> None:
    greedy = notebook("x = 1", "import numpy\nnumpy.ones(200_000_000).sum()")
    _, verdict = played(workshop, notebook=greedy)
    (reason,) = verdict.reasons
    assert not verdict.passed
    assert "more memory than the 512.0 MiB that each has" in reason.what
    assert "all 4, in cell 2" in reason.what
    assert "--memory 1G" in reason.change


def test_a_broken_notebook_fails_with_its_cell(workshop: Workshop) -> None:
    _, verdict = played(workshop, notebook=notebook("a = 0", "1 / a", "print('never')"))
    (reason,) = verdict.reasons
    assert reason.what == "Cell 2 of mine.ipynb fails (all 4): ZeroDivisionError: division by zero"
    assert reason.evidence == ("the cell begins: 1 / a",)


def test_a_full_home_fails_as_such(workshop: Workshop) -> None:
    raising = notebook("import errno, os\nraise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))")
    _, verdict = played(workshop, notebook=raising, users=1)
    (reason,) = verdict.reasons
    assert "Disk quota exceeded" in reason.what
    assert "--disk" in reason.change


def test_a_spawner_without_its_image_fails_with_dockers_own_words(workshop: Workshop) -> None:
    image = f"provision-notebook:{workshop.run(rehearsal.IMAGE_TAG).out.strip()}"
    workshop.run(f"docker tag {image} kept:aside && docker rmi {image}")
    try:
        seen, verdict = played(workshop, users=3)
    finally:
        workshop.run(f"docker tag kept:aside {image} && docker rmi kept:aside")
    assert not verdict.passed
    assert seen.held == 0
    (reason,) = verdict.reasons
    assert reason.what.startswith("A server does not start (all 3)")
    assert "No such image" in reason.what
    assert "provision launch" in reason.change


def test_a_network_that_lets_no_websocket_through_fails_as_such(workshop: Workshop) -> None:
    """Caddy plays the proxy that knows only plain requests."""
    caddyfile = "/opt/provision/bundle/Caddyfile"
    reload = "docker exec provision-caddy-1 caddy reload --config /etc/caddy/Caddyfile"
    refuse = "\\t@upgrade header Upgrade *\\n\\trespond @upgrade 403"
    workshop.run(f"cp {caddyfile} /root/kept")
    edit = f"sed 's/^\\timport headers$/&\\n{refuse}/' /root/kept > {caddyfile}"
    try:
        assert workshop.run(f"{edit} && {reload}").ok
        _, verdict = played(workshop, users=2)
    finally:
        assert workshop.run(f"cat /root/kept > {caddyfile} && {reload}").ok
    (reason,) = verdict.reasons
    assert reason.what.startswith("No websocket to the kernel (all 2)")
    assert "403" in reason.what
    assert "--from server" in reason.change


@pytest.mark.parametrize("where", ["here", "server"])
def test_a_certificate_that_does_not_verify_fails(workshop: Workshop, where: str) -> None:
    """The workshop's own authority is one that nobody knows, unless they are told."""
    kept = workshop.ca.rename(workshop.ca.with_suffix(".kept"))
    try:
        _, verdict = played(workshop, users=1, where=where)
    finally:
        kept.rename(workshop.ca)
    (reason,) = (item for item in verdict.reasons if not item.warning)
    assert reason.what.startswith("HTTPS fails")
    assert "CERTIFICATE_VERIFY_FAILED" in reason.what
    assert "logs engine caddy" in reason.change


def test_a_hub_that_is_away_is_said_before_anything_is_done(workshop: Workshop) -> None:
    workshop.run("docker stop provision-hub-1", timeout=60)
    try:
        with pytest.raises(NotReady, match="hub") as refused:
            played(workshop)
        assert refused.value.hint
    finally:
        workshop.run("docker start provision-hub-1", timeout=60)
        health = "docker exec provision-hub-1 curl -fsS 127.0.0.1:8081/hub/health"
        workshop.run(f"until {health}; do sleep 1; done", timeout=120)


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Types it. What a shell starts in the background would not hear it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_clears_up(workshop: Workshop, ctrl_c: Callable[[], None]) -> None:
    def interrupted(script: Script, hear: Callable[[Heard], None]) -> None:
        def until_somebody_works(heard: Heard) -> None:
            hear(heard)
            if isinstance(heard, Span) and heard.stage is Stage.CELL:
                ctrl_c()

        attend(script, until_somebody_works)

    plan = Plan(default_notebook(()), users=5, where="here")
    with workshop.serving("user01"), pytest.raises(KeyboardInterrupt):
        rehearse(workshop.tools, workshop.record.name, plan, interrupted)
    assert [line.split()[1] for line in containers(workshop)] == ["jupyter-user01"]
    assert kernels(workshop) == 0


VICTIM = """
import sys
from pathlib import Path
from provisioner.cli import wiring
from provisioner.store import Store
from provisioner.workflow.rehearsal.notebook import default_notebook
from provisioner.workflow.rehearsal.rehearse import Plan, rehearse
from provisioner.workflow.tools import Tools
from tests.doubles import Listener

store, name, where = Store(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
server = store.load(name).server

class Known:
    name = "engine"
    def find(self, workshop_id):
        return server

tools = Tools(store, Known(), wiring._ssh, wiring._HttpWeb(), Listener())
rehearse(tools, name, Plan(default_notebook(()), users=5, where=where, hold=600), wiring.crowd())
"""


@pytest.mark.parametrize("where", ["here", "server"])
def test_what_a_killed_rehearsal_left_is_undone(workshop: Workshop, where: str) -> None:
    tools, name = workshop.tools, workshop.record.name
    with workshop.serving("user01"):
        words = [sys.executable, "-c", VICTIM, str(tools.store.home), name, where]
        victim = subprocess.Popen(words, cwd=Path(ROOT))
        deadline = time.monotonic() + 120
        while kernels(workshop) < 5 and time.monotonic() < deadline:
            assert victim.poll() is None
            time.sleep(0.5)
        victim.kill()
        victim.wait()
        assert seats.left_note(workshop.folder) is not None
        assert "jupyter-rehearse01" in "".join(containers(workshop))
        assert clean_up(tools, name, attend)
        assert [line.split()[1] for line in containers(workshop)] == ["jupyter-user01"]
        assert kernels(workshop) == 0
    assert not clean_up(tools, name, attend), "there is nothing more to undo"
