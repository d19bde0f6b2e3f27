"""The order of events over a fake cloud, with a crowd that is made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, NotYet, Refused, UsageError
from provisioner.models import Result
from provisioner.protocols import Crowd
from provisioner.providers.fake import FakeRemote
from provisioner.render import commands, hub, rehearsal
from provisioner.settings import Settings
from provisioner.visits import Cell, Effort, Heard, Held, Script, Span, Stage, heard_json
from provisioner.workflow.launch import launch
from provisioner.workflow.rehearsal import seats
from provisioner.workflow.rehearsal.notebook import Notebook
from provisioner.workflow.rehearsal.rehearse import Plan, clean_up, memory_used, rehearse
from provisioner.workflow.rehearsal.verdict import judge
from provisioner.workflow.tools import Tools
from tests.doubles import Listener, fake_tools

NOTEBOOK = Notebook("mine.ipynb", (Cell(1, "1"),))


class Machine:
    """Answers beside the fake's: whose servers run, who is at work, what was typed."""

    def __init__(self) -> None:
        self.running: dict[str, Any] = {}
        self.at_work = ""
        self.then: list[str] = []  # what is said of that later on
        self.usage = ""
        self.silent = False  # who is at work can't be told
        self.commands: list[str] = []
        self.broken = ""  # the file that can't be written from now on
        self.spoken: list[Heard] = []
        self.stdin = b""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made, run, receive = Machine(), FakeRemote.run, FakeRemote.receive

    def answer(self: Any, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        made.commands.append(command)
        if made.broken and stdin and made.broken in command:
            raise NotYet("the SSH connection was lost")
        if command == rehearsal.AT_WORK:
            said, made.at_work = made.at_work, made.then.pop(0) if made.then else made.at_work
            return Result(69 if made.silent else 0, said, "")
        if command == commands.participants_usage():
            return Result(0, made.usage, "")
        if command == rehearsal.NOW:
            return Result(0, "1795517296\n", "")
        if command == rehearsal.IMAGE_TAG:
            return Result(0, "abc\n", "")
        if command == hub.ASK and b'"GET"' in stdin:
            users = [{"name": name, "servers": {"": {}}} for name in made.running]
            users = [user | {"servers": {"": {"ready": True}}} for user in users]
            return Result(0, json.dumps({"status": 200, "body": users}), "")
        return run(self, command, timeout=timeout, stdin=stdin)

    def read(self: Any, command: str, sink: Any, **kwargs: Any) -> Result:
        if command == rehearsal.run_crowd("abc"):
            made.stdin = kwargs["stdin"]
            for heard in made.spoken:
                sink.write(f"{heard_json(heard)}\n".encode())
            return Result(0, "", "")
        return receive(self, command, sink, **kwargs)

    monkeypatch.setattr(FakeRemote, "run", answer)
    monkeypatch.setattr(FakeRemote, "receive", read)
    return made


@pytest.fixture
def tools(own_home: Path, machine: Machine) -> Tools:
    made = fake_tools(own_home)
    launch(made, Settings(name="geo", users=3, provider="fake"), base_image="")
    machine.commands.clear()
    return made


def well(script: Script) -> list[Heard]:
    spans = [
        Span(name, stage, float(number), float(number + 1))
        for name, _ in script.guests
        for number, stage in enumerate(Stage)
    ]
    return [*spans, Held(7.0, len(script.guests)), Effort(0.1, 0.1, 0.0)]


class Players:
    """A crowd that does well, and remembers what it was asked."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.scripts: list[Script] = []
        self._then = then

    def __call__(self, script: Script, hear: Callable[[Heard], None]) -> None:
        self.scripts.append(script)
        if not script.only_tidy:
            for heard in well(script):
                hear(heard)
            self._then()


def here(**changes: Any) -> Plan:
    values: dict[str, Any] = {"notebook": NOTEBOOK, "where": "here", "hold": 1.0}
    return Plan(**values | changes)


def state(tools: Tools) -> dict[str, Any]:
    record = tools.store.load("geo")
    assert record is not None
    return tools.provider.read(record.id)  # type: ignore[attr-defined, no-any-return]


def asked(tools: Tools) -> list[str]:
    return [f"{item['method']} {item['path']}" for item in state(tools).get("asked", [])]


def left(tools: Tools) -> seats.Note | None:
    return seats.left_note(tools.store.folder("geo"))


def test_all_participants_with_the_passwords_of_the_sheet(tools: Tools) -> None:
    players = Players()
    seen = rehearse(tools, "geo", here(), players)
    (script,) = players.scripts
    assert [name for name, _ in script.guests] == ["user01", "user02", "user03"]
    sheet = tools.store.folder("geo").credentials.read_text()
    assert all(str(password) in sheet for _, password in script.guests)
    assert script.url.startswith("https://")
    assert script.ca, "the workshop's own authority"
    assert seen.held == 3
    assert judge(seen).passed
    assert not seen.guests
    assert {f"DELETE /users/user0{number}/server" for number in (1, 2, 3)} <= {*asked(tools)}
    assert left(tools) is None


def test_more_than_there_are_participants_come_for_a_while(tools: Tools) -> None:
    during: dict[str, Any] = {}
    players = Players(lambda: during.update(state(tools)))
    before = state(tools)["users"]
    seen = rehearse(tools, "geo", here(users=5), players)
    assert seen.guests == ("rehearse01", "rehearse02")
    assert {*during["users"]} == {*before, "rehearse01", "rehearse02"}
    assert {*during["homes"]} >= {"rehearse01", "rehearse02"}
    assert all(during["users"][name] == before[name] for name in before), "nobody else's changes"
    after = state(tools)
    assert after["users"] == before
    assert not [name for name in after["homes"] if name.startswith("rehearse")]
    assert "DELETE /users/rehearse01" in asked(tools)
    assert "rehearse01" not in tools.store.folder("geo").credentials.read_text()


def test_nobody_at_work_is_disturbed(tools: Tools, machine: Machine) -> None:
    machine.running, machine.at_work = {"user02": {}}, "user02\n"
    players = Players()
    seen = rehearse(tools, "geo", here(users=2), players)
    assert [name for name, _ in players.scripts[0].guests] == ["rehearse01", "rehearse02"]
    assert seen.busy == {"user02"}
    assert not [item for item in asked(tools) if "user02" in item]
    assert isinstance(tools.reporter, Listener)
    assert any("At work now: user02" in words for words in tools.reporter.words)


def test_memory_is_told_of_those_who_took_part(tools: Tools, machine: Machine) -> None:
    machine.running, machine.at_work = {"user02": {}}, "user02\n"
    machine.usage = "\n".join(
        json.dumps({"Name": f"jupyter-{name}", "MemUsage": "1GiB / 2GiB"})
        for name in ("user02", "rehearse01")
    )
    assert {*rehearse(tools, "geo", here(users=1), Players()).used} == {"rehearse01"}


def test_who_began_to_work_meanwhile_keeps_the_server(tools: Tools, machine: Machine) -> None:
    """In the middle of the rehearsal, or on the morning after one that was killed."""

    def come() -> None:
        machine.at_work = "user02\n"

    rehearse(tools, "geo", here(), Players(come))
    assert "DELETE /users/user02/server" not in asked(tools)
    assert {f"DELETE /users/user0{number}/server" for number in (1, 3)} <= {*asked(tools)}
    assert isinstance(tools.reporter, Listener)
    assert any("their servers stay: user02" in words for words in tools.reporter.words)
    assert left(tools) is None


def test_what_a_kernel_leaves_for_a_moment_is_nobody_at_work(
    tools: Tools, machine: Machine
) -> None:
    seats.keep_note(tools.store.folder("geo"), seats.Note(starts=("user01", "user02")))
    machine.at_work, machine.then = "user01\n", ["user01\n", ""]
    assert clean_up(tools, "geo", Players())
    assert {f"DELETE /users/user0{number}/server" for number in (1, 2)} <= {*asked(tools)}


def test_a_killed_rehearsal_is_cleaned_up_around_who_works(tools: Tools, machine: Machine) -> None:
    seats.keep_note(tools.store.folder("geo"), seats.Note(starts=("user01", "user02")))
    machine.at_work = "user02\n"
    assert clean_up(tools, "geo", Players())
    stopped = [item for item in asked(tools) if item.startswith("DELETE")]
    assert stopped == ["DELETE /users/user01/server"]
    assert left(tools) is None


def test_nobody_is_stopped_on_a_guess(tools: Tools, machine: Machine) -> None:
    note = seats.Note(starts=("user01", "user02"))
    seats.keep_note(tools.store.folder("geo"), note)
    machine.silent = True
    with pytest.raises(NotReady, match="who is at work"):
        clean_up(tools, "geo", Players())
    assert not [item for item in asked(tools) if item.startswith("DELETE")]
    assert left(tools) == note


def test_nobody_is_played_on_a_guess(tools: Tools, machine: Machine) -> None:
    machine.silent, players = True, Players()
    with pytest.raises(NotReady, match="who is at work"):
        rehearse(tools, "geo", here(), players)
    assert not players.scripts


def test_while_somebody_works_it_is_asked_for_before_anything_is_done(
    tools: Tools, machine: Machine
) -> None:
    def never(busy: frozenset[str]) -> None:
        raise Refused(f"not while {[*busy]}")

    players = Players()
    rehearse(tools, "geo", here(), players, never)
    machine.running, machine.at_work = {"user02": {}}, "user02\n"
    with pytest.raises(Refused, match="user02"):
        rehearse(tools, "geo", here(), players, never)
    assert len(players.scripts) == 1
    assert left(tools) is None


def test_when_participants_were_played_is_kept_by_the_servers_clock(tools: Tools) -> None:
    rehearse(tools, "geo", here(), Players())
    record = tools.store.load("geo")
    assert record is not None
    assert record.rehearsed_at == datetime.fromtimestamp(1795517296, UTC)


def test_temporary_ones_alone_change_nothing_of_that(tools: Tools, machine: Machine) -> None:
    machine.running, machine.at_work = {"user02": {}}, "user02\n"
    rehearse(tools, "geo", here(users=2), Players())
    record = tools.store.load("geo")
    assert record is not None
    assert record.rehearsed_at is None


def test_servers_that_ran_before_are_warm_and_stay(tools: Tools, machine: Machine) -> None:
    machine.running = {"user01": {}}
    seen = rehearse(tools, "geo", here(), Players())
    assert seen.warm == {"user01"}
    assert "DELETE /users/user01/server" not in asked(tools)
    assert "DELETE /users/user02/server" in asked(tools)


def test_more_than_the_machine_bears_are_refused_with_numbers(tools: Tools) -> None:
    players = Players()
    with pytest.raises(Refused) as refused:
        rehearse(tools, "geo", here(users=40), players)
    assert "40 × 1.0 GiB + 2.0 GiB = 42.0 GiB, but the machine has 8.0 GiB" in (
        "".join(refused.value.details)
    )
    assert not players.scripts
    assert left(tools) is None
    assert "rehearse01" not in state(tools)["users"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, NotReady("no"), RuntimeError("a bug")])
def test_whatever_ends_it_nothing_is_left(tools: Tools, error: Any) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        rehearse(tools, "geo", here(users=4), Players(fail))
    assert "rehearse01" not in state(tools)["users"]
    assert "rehearse01" not in state(tools)["homes"]
    assert left(tools) is None


def test_what_could_not_be_cleared_up_is_said_and_the_next_one_does_it(
    tools: Tools, machine: Machine
) -> None:
    """The connection breaks while all are there: as after a kill, the note is what remains."""
    machine.running = {"user01": {}}

    def cut() -> None:
        machine.broken = commands.USERS_FILE

    seen = rehearse(tools, "geo", here(users=4), Players(cut))
    assert judge(seen).passed, "what was measured is told all the same"
    assert isinstance(tools.reporter, Listener)
    assert any("provision rehearse geo --clean-up" in words for words in tools.reporter.words)
    assert left(tools) == seats.Note(("rehearse01",), ("user02", "user03"), ("user01",))
    assert "rehearse01" in state(tools)["users"]
    machine.broken = ""
    players = Players()
    assert clean_up(tools, "geo", players)
    assert "rehearse01" not in state(tools)["users"]
    assert "rehearse01" not in state(tools)["homes"]
    (script,) = players.scripts
    assert script.only_tidy
    tidied = [name for name, _ in script.guests]
    assert tidied == ["user01", "user02", "user03"], "kernels go; the server of user01 stays"
    assert "DELETE /users/user01/server" not in asked(tools)
    assert left(tools) is None
    assert not clean_up(tools, "geo", players)


def test_from_the_server_the_script_goes_over_stdin_and_through_caddy(
    tools: Tools, machine: Machine
) -> None:
    def never(script: Script, hear: Callable[[Heard], None]) -> None:
        raise AssertionError("this computer plays nobody")

    local: Crowd = never
    guests = tuple((f"user0{number}", "") for number in (1, 2, 3))
    machine.spoken = well(Script("", "", guests, (), 0))  # type: ignore[arg-type]
    seen = rehearse(tools, "geo", here(where="server"), local)
    assert seen.held == 3
    script = Script.from_json(machine.stdin.decode())
    assert script.dial == ("caddy", 443)
    for _, password in script.guests:
        assert not [command for command in machine.commands if str(password) in command]
    assert rehearsal.END_CROWD in machine.commands


def test_a_crowd_on_the_server_that_breaks_off_is_no_verdict(
    tools: Tools, machine: Machine
) -> None:
    machine.spoken = [Span("user01", Stage.LOGIN, 0, 1)]
    with pytest.raises(NotReady, match="did not come to its end"):
        rehearse(tools, "geo", here(where="server"), Players())
    assert left(tools) is None


def test_no_workshop_and_none_that_is_ready(tools: Tools) -> None:
    with pytest.raises(UsageError, match="no workshop 'other'"):
        rehearse(tools, "other", here(), Players())


def test_memory_as_docker_says_it() -> None:
    said = '{"Name": "jupyter-ada", "MemUsage": "146.2MiB / 1GiB"}\nrubbish\n{"Name": 3}\n'
    assert memory_used(said) == {"ada": int(146.2 * 2**20)}
