"""How a status looks: printed once, or as a dashboard that fits the terminal, whatever its size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.text import Text

from provisioner.cli.output import duration_words, seconds_words, stdout
from provisioner.cli.seats import COLOURS, SHORT, full_lines, people, warmth
from provisioner.cli.views import each, money
from provisioner.models import GIB
from provisioner.sizing import format_size
from provisioner.workflow.cost import participants
from provisioner.workflow.health import Machine
from provisioner.workflow.launch import local_time
from provisioner.workflow.seats import State, percent
from provisioner.workflow.status import Check, Status

SILENT_AFTER = 3
"""How many looks may be missing until it is called a lost connection."""


def show_status(status: Status, console: Console = stdout) -> None:
    """All of it, for people: as long as it takes."""
    record = status.record
    console.print(f"[bold]{record.name}[/]  {status.phase}  {record.url}")
    console.print(f"Ends {local_time(record.expires_at)}, {_ends(status)}{_cost(status)}")
    if record.failure:
        console.print(f"[red]{escape(record.failure)}[/]")
    for check in status.checks:
        mark = "[green]✓[/]" if check.ok else "[red]✗[/]"
        console.print(f"  {mark} {check.name:<8} {escape(check.says)}")
    if status.machine is not None:
        console.print(f"    {_machine_words(status.machine)}")
    if status.seats:
        for line in full_lines(status.seats, status.at):
            console.print(line)
        console.print(_counts(status))


def _ends(status: Status) -> str:
    left = status.seconds_left
    return f"in {duration_words(left)}" if left > 0 else "the deadline has passed"


def _cost(status: Status) -> str:
    if status.cost is None or status.cost_at_end is None:
        return ""
    words = f"; about {money(status.cost)} so far, {money(status.cost_at_end)} until then"
    people, now = participants(status.record), status.each(status.cost)
    then = status.each(status.cost_at_end)
    if people < 2 or now is None or then is None:
        return words
    return f"{words}: {now:.2f} and {each(then, people)}"


def _machine_words(machine: Machine) -> str:
    busy = "" if machine.cpu is None else f", {machine.cpu:.0f} % busy"
    load = f" (load {machine.load[0]:.1f})" if machine.load else ""
    used, total = machine.memory_used / GIB, machine.memory / GIB
    disks = "".join(
        f"; {disk.target} {format_size(disk.used)} of {format_size(disk.size)}"
        for disk in machine.disks
    )
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    return f"{cores}{busy}{load}; memory {used:.1f} of {total:.1f} GiB{disks}"


def _counts(status: Status, width: int | None = None) -> Text:
    """In shorter words where they have to fit."""
    full = Text("  ").join(Text(*part) for part in _parts(status, {}))
    if width is None or full.cell_len <= width:
        return full
    return Text("  ").join(Text(*part) for part in _parts(status, SHORT))


def _parts(status: Status, words: Mapping[State, str]) -> list[tuple[str, str]]:
    parts = [
        (f"{count} {words.get(state, state)}", COLOURS[state])
        for state, count in status.counts.items()
    ]
    if troubled := sum(bool(seat.troubles) for seat in status.seats):
        parts.insert(0, (f"{troubled} in trouble", "bold red"))
    return parts


@dataclass
class Dashboard:
    """Draws itself at whatever size the terminal has now. `interval`: seconds between looks."""

    interval: float
    clock: Callable[[], float]  # monotonic seconds
    status: Status | None = None
    heard: float = field(default=0.0)  # by `clock`, when the server could last be asked
    begun: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.begun = self.heard = self.clock()

    def show(self, status: Status) -> None:
        if status.at is not None and (self.status is None or status.at != self.status.at):
            self.heard = self.clock()
        self.status = status

    @property
    def silence(self) -> float:
        """Seconds without an answer of the server's, once that is more than usual; else 0."""
        quiet = self.clock() - self.heard
        return quiet if quiet > max(10.0, SILENT_AFTER * self.interval) else 0.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.size.height
        if self.status is None:
            yield Text(f"Looking …  {seconds_words(self.clock() - self.begun)}", "dim")
            return
        head = [line for line in self._head(self.status, width) if line.plain]
        for line in head:
            line.truncate(width, overflow="ellipsis")
            yield line
        rest = height - len(head) - 1
        if self.status.seats and rest > 0:
            yield Text("")
            for line in people(self.status.seats, self.status.at, width, rest):
                line.truncate(width, overflow="ellipsis")
                yield line

    def _head(self, status: Status, width: int) -> Iterator[Text]:
        record = status.record
        yield Text.assemble(
            (record.name, "bold"), f"  {status.phase}  ", (record.url, "cyan"), f"  {_clock()}"
        )
        ends = "bold red" if status.seconds_left < 600 else ""
        yield Text.assemble((f"ends {_ends(status)}", ends), (_cost(status), "dim"))
        if (quiet := self.silence) > 0:
            words = f"no connection for {seconds_words(quiet)}; what follows is from before that"
            yield Text(words, "bold red")
        yield Text("  ").join(_checks(status))
        for check in status.checks:
            if not check.ok:
                yield Text(f"✗ {check.name}: {check.says}", "red")
        if record.failure:
            yield Text(record.failure, "red")
        if status.machine is not None:
            yield Text("  ").join(_bars(status.machine, width))
        yield _counts(status, width)


def _clock() -> str:
    return datetime.now(UTC).astimezone().strftime("%H:%M:%S")


def _checks(status: Status) -> Iterator[Text]:
    for check in status.checks:
        yield Text(
            f"{'✓' if check.ok else '✗'} {check.name}{_more(check, status)}",
            "green" if check.ok else "red",
        )


def _more(check: Check, status: Status) -> str:
    """What is worth a glance of something that is in order."""
    service = status.services.get(check.name)
    if service is None:
        return ""
    starting = " starting" if service.health == "starting" else ""
    return starting + (f" ↻{service.restarts}" if service.restarts else "")


def _bars(machine: Machine, width: int) -> Iterator[Text]:
    shares = [("CPU", machine.cpu), ("memory", percent(machine.memory_used, machine.memory))]
    shares += [
        ("homes" if disk.target.endswith("/homes") else disk.target, percent(disk.used, disk.size))
        for disk in machine.disks
    ]
    room = width // len(shares) - 17
    for name, full in shares:
        if full is not None:
            yield bar(name, full, min(20, room))


def bar(name: str, full: float, length: int) -> Text:
    """ "memory ██████░░░░  62 %"; without the blocks where there is no room for them."""
    colour = warmth(full) or "green"
    made = Text(f"{name} ")
    if length >= 4:
        filled = round(min(100.0, full) * length / 100)
        made.append("█" * filled, colour)
        made.append("░" * (length - filled), "dim")
        made.append(" ")
    made.append(f"{full:3.0f} %", colour)
    return made
