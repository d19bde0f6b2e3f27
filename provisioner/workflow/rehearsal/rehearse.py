"""`rehearse`: everybody comes at once, works, stays, goes; then nothing of it is left.

What is to be undone is noted before it is done. What an earlier rehearsal could not undo is undone
first.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from provisioner import sizing
from provisioner.errors import NotReady, NotYet, ProvisionError
from provisioner.models import Credential, Server
from provisioner.protocols import Clock, Crowd, Remote, Step
from provisioner.render import commands, rehearsal
from provisioner.settings import recorded
from provisioner.store import Folder, Record, read_credentials
from provisioner.visits import (
    Effort,
    Heard,
    Held,
    Script,
    Span,
    Stage,
    visits_of,
)
from provisioner.workflow.checks import SLOW_FACTOR
from provisioner.workflow.launch import kind_of
from provisioner.workflow.people import reach
from provisioner.workflow.rehearsal import seats
from provisioner.workflow.rehearsal.aboard import attend_aboard
from provisioner.workflow.rehearsal.evidence import Evidence
from provisioner.workflow.rehearsal.machine import Watch
from provisioner.workflow.rehearsal.notebook import DEFAULT, Notebook
from provisioner.workflow.tools import Tools, quietly

HOLD = 10.0
SERVER, HERE = "server", "here"


@dataclass(frozen=True, slots=True)
class Plan:
    notebook: Notebook
    users: int | None = None  # None: as many as there are participants
    where: str = SERVER
    hold: float = HOLD
    folder: str = ""  # below everybody's home: where the notebook runs


def rehearse(
    tools: Tools,
    name: str,
    plan: Plan,
    crowd: Crowd,
    agree: Callable[[frozenset[str]], None] = lambda busy: None,
) -> Evidence:
    """What happened when everybody came at once. `crowd` is the one on this computer.

    `agree` hears who is at work, if anybody, before anything is changed; it may raise.
    Raises Refused, UsageError before anything is changed, NotReady when the crowd can't be.
    """
    with tools.store.lock(name, "rehearse"), _reached(tools, name) as stage:
        _undo_left(stage, crowd)
        cast = seats.choose(tools, stage.record, stage.remote, plan.users)
        _say_who(tools, cast, plan)
        if cast.busy:
            agree(cast.busy)
        note = seats.note_for(cast)
        seats.keep_note(stage.folder, note)
        with _cleared_up(stage, note, crowd):
            seats.admit(tools, stage.record, stage.remote, cast)
            return _perform(stage, plan, cast, crowd)


def clean_up(tools: Tools, name: str, crowd: Crowd) -> bool:
    """Undo what a rehearsal left that was cut short. False: there was nothing."""
    if seats.left_note(tools.store.folder(name)) is None:
        return False
    with tools.store.lock(name, "rehearse"), _reached(tools, name) as stage:
        _undo_left(stage, crowd)
    return True


@dataclass
class _Stage:
    """Where it happens."""

    tools: Tools
    record: Record
    server: Server
    remote: Remote

    @property
    def folder(self) -> Folder:
        return self.tools.store.folder(self.record.name)

    @property
    def patience(self) -> float:
        return float(SLOW_FACTOR) if self.server.slow else 1.0

    def script(self, guests: tuple[Credential, ...], plan: Plan | None = None) -> Script:
        """Without a plan: only to end what an earlier crowd left in their servers."""
        ca = self.folder.ca
        return Script(
            url=self.record.url,
            ca=ca.read_text(encoding="utf-8") if ca.exists() else "",
            guests=tuple((item.person.username, item.password) for item in guests),
            cells=plan.notebook.cells if plan else (),
            hold=plan.hold if plan else 0,
            patience=self.patience,
            kernel=plan.notebook.kernel if plan else "python3",
            folder=plan.folder if plan else "",
            only_tidy=plan is None,
        )


@contextmanager
def _reached(tools: Tools, name: str) -> Iterator[_Stage]:
    record, remote = reach(tools, name)
    try:
        server = tools.provider.find(record.id) or record.server
        if server is None:
            raise NotReady(f"The machine of {name!r} is gone", hint=f"provision status {name}")
        yield _Stage(tools, record, server, remote)
    except NotYet as error:
        raise NotReady(
            f"The rehearsal could not be: {error.message}",
            details=error.details,
            hint=error.hint or f"provision status {name}, then: provision launch {name}",
        ) from None
    finally:
        quietly(remote.close)


def _undo_left(stage: _Stage, crowd: Crowd) -> None:
    note = seats.left_note(stage.folder)
    if note is not None:
        with stage.tools.reporter.step("Undoing what an earlier rehearsal left"):
            _undo(stage, note, crowd, kernels=True)


@contextmanager
def _cleared_up(stage: _Stage, note: seats.Note, crowd: Crowd) -> Iterator[None]:
    """Whatever happens inside, everything is undone; what can't be is said, and stays noted."""
    well = False
    try:
        yield
        well = True
    finally:
        try:
            with stage.tools.reporter.step("Clearing up after everybody"):
                _undo(stage, note, crowd, kernels=not well)
        except ProvisionError as error:
            stage.tools.reporter.warn(
                f"Not everything could be cleared up: {error.message}. When the server answers: "
                f"provision rehearse {stage.record.name} --clean-up"
            )


def _undo(stage: _Stage, note: seats.Note, crowd: Crowd, *, kernels: bool) -> None:
    """`kernels`: the crowd may not have ended them itself, in servers that stay."""
    stage.remote.run(rehearsal.END_CROWD)
    real = {*note.ran, *note.starts}  # a kernel of ours must not pass for their work
    if kernels and real:
        sheet = read_credentials(stage.folder.credentials, stage.record.people)
        there = tuple(item for item in sheet if item.person.username in real)
        with suppress(ProvisionError):  # idle kernels harm nobody
            crowd(stage.script(there), lambda _: None)
    seats.undo(stage.tools, stage.record, stage.remote, note)


def _say_who(tools: Tools, cast: seats.Cast, plan: Plan) -> None:
    if cast.busy:
        tools.reporter.note(
            f"At work now: {', '.join(sorted(cast.busy))}. Their files and servers are not "
            "touched: all who rehearse are temporary"
        )
    if cast.guests:
        names = [item.person.username for item in cast.guests]
        shown = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        tools.reporter.note(f"Temporary participants, gone afterwards with their files: {shown}")
    if len(cast.guests) < len(cast.credentials) and plan.notebook.name != DEFAULT:
        tools.reporter.note("What the notebook writes stays in the homes of the real participants")


def _perform(stage: _Stage, plan: Plan, cast: seats.Cast, crowd: Crowd) -> Evidence:
    tools, name = stage.tools, stage.record.name
    if plan.where == SERVER:
        crowd = _aboard(stage.remote)
    usernames = tuple(item.person.username for item in cast.credentials)
    people = "1 person" if len(usernames) == 1 else f"{len(usernames)} people"
    title = f"{people} at once, from {'the server' if plan.where == SERVER else 'here'}"
    watch = Watch(stage.remote, tools.clock)
    watch.start()
    try:
        with tools.step(name, "rehearse", title, kind=kind_of(stage.record, stage.server)) as shown:
            heard = _Ears(stage.remote, len(usernames), shown, tools.clock)
            crowd(stage.script(cast.credentials, plan), heard)
            heard.finish()
    finally:
        watch.stop()
    held = [item.people for item in heard.all if isinstance(item, Held)]
    effort = [item for item in heard.all if isinstance(item, Effort)]
    return Evidence(
        name=name,
        notebook=plan.notebook.name,
        where=plan.where,
        hold=plan.hold,
        seconds=max((item.end for item in heard.all if isinstance(item, Span)), default=0.0),
        visits=visits_of(heard.all, usernames),
        warm=cast.warm,
        limits=recorded(stage.record.settings).limits(),
        lines={cell.number: cell.code.strip().splitlines()[0] for cell in plan.notebook.cells},
        held=max(held, default=0),
        patience=stage.patience,
        guests=tuple(item.person.username for item in cast.guests),
        busy=cast.busy,
        load=watch.load.since(heard.begun - watch.begun),
        effort=effort[-1] if effort else None,
        killed=watch.killed,
        used={name: heard.used[name] for name in usernames if name in heard.used},
    )


def _aboard(remote: Remote) -> Crowd:
    def attend(script: Script, hear: Callable[[Heard], None]) -> None:
        attend_aboard(remote, script, hear)

    return attend


@dataclass
class _Ears:
    """Keeps what is heard of the crowd, and shows how far everybody is."""

    remote: Remote
    people: int
    shown: Step
    clock: Clock
    begun: float = 0.0  # by the clock: when the crowd's own time began
    all: list[Heard] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    _asking: threading.Thread | None = None

    def __call__(self, heard: Heard) -> None:
        if isinstance(heard, Span) and not self.all:
            self.begun = self.clock.monotonic() - heard.end
        self.all.append(heard)
        if isinstance(heard, Held):  # the crowd must not wait for the answer
            self._asking = threading.Thread(target=self._measure, daemon=True)
            self._asking.start()
        self.shown.update(self.words())

    def words(self) -> str:
        """ "30 logged in, 12 have a server, 3 have run the notebook, 1 failed" """
        spans = [item for item in self.all if isinstance(item, Span)]
        done = Counter(span.stage for span in spans if span.failure is None)
        words = [
            f"{done[Stage.LOGIN]} of {self.people} logged in",
            f"{done[Stage.SERVER]} have a server",
            f"{done[Stage.NOTEBOOK]} have run everything",
        ]
        failed = sum(span.failure is not None for span in spans)
        return ", ".join(words + ([f"{failed} failed"] if failed else []))

    def finish(self) -> None:
        if self._asking is not None:
            self._asking.join(timeout=30)

    def _measure(self) -> None:
        with suppress(ProvisionError):
            said = self.remote.run(commands.participants_usage(), timeout=60).out
            self.used.update(memory_used(said))


def memory_used(text: str) -> dict[str, int]:
    """`docker stats --format json`: user name → bytes."""
    found = {}
    for line in text.splitlines():
        with suppress(ValueError, KeyError, AttributeError):
            item = json.loads(line)
            name = str(item["Name"]).removeprefix("jupyter-")
            found[name] = sizing.parse_size(item["MemUsage"].partition("/")[0])
    return found
