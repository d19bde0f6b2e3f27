"""What the human sees: progress and words on stderr, results on stdout; JSON is all of stdout."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from provisioner.errors import ProvisionError
from provisioner.protocols import Step

STILL_EVERY = 30.0
"""Seconds between two signs of life where there is no terminal to redraw."""

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def seconds_words(seconds: float) -> str:
    """ "7 s", "2 min 05 s" """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def duration_words(seconds: float) -> str:
    """For a deadline: "11 h 58 min", "4 min" """
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


@dataclass
class _Shown:
    """One open step; it draws itself with the time that has passed."""

    title: str
    usual: float | None
    detail: str = ""
    start: float = field(default_factory=time.monotonic)
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))

    def update(self, detail: str) -> None:
        self.detail = " ".join(detail.split())

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    def clock(self) -> str:
        usual = f", usually {seconds_words(self.usual)}" if self.usual else ""
        return f"{seconds_words(self.seconds)}{usual}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = Text.assemble(self.title, "  ", (self.clock(), "cyan"))
        if self.detail:
            text.append(f"  {self.detail}", style="dim")
        text.truncate(max(20, options.max_width - 4), overflow="ellipsis")
        self.spinner.update(text=text)
        yield self.spinner.render(time.monotonic())


class ConsoleReporter:
    """Progress for people: one live line on a terminal, plain lines in a log. Steps may nest."""

    def __init__(self, console: Console = stderr) -> None:
        self._console = console
        self._open: list[_Shown] = []
        self._live: Live | None = None

    @contextmanager
    def step(self, title: str, *, usual: float | None = None) -> Iterator[Step]:
        shown = _Shown(title, usual)
        self._open.append(shown)
        outermost = len(self._open) == 1
        still = threading.Event()
        try:
            if self._console.is_terminal:
                self._draw(outermost)
            else:
                threading.Thread(target=self._still, args=(shown, still), daemon=True).start()
            yield shown
        except BaseException:
            self._close(shown, outermost)
            self._console.print(f"[red]✗[/] {escape(title)}  [cyan]{shown.clock()}[/]")
            raise
        else:
            self._close(shown, outermost)
            took = seconds_words(shown.seconds)
            self._console.print(f"[green]✓[/] {escape(title)}  [cyan]{took}[/]")
        finally:
            still.set()

    def note(self, text: str) -> None:
        self._console.print(f"[cyan]·[/] {escape(text)}")

    def warn(self, text: str) -> None:
        self._console.print(f"[yellow]![/] {escape(text)}")

    def _draw(self, outermost: bool) -> None:
        if outermost:
            self._live = Live(
                get_renderable=lambda: self._open[-1] if self._open else Text(""),
                console=self._console,
                refresh_per_second=5,
                transient=True,
            )
            self._live.start()

    def _close(self, shown: _Shown, outermost: bool) -> None:
        if shown in self._open:
            self._open.remove(shown)
        if outermost and self._live is not None:
            self._live.stop()
            self._live = None

    def _still(self, shown: _Shown, done: threading.Event) -> None:
        while not done.wait(STILL_EVERY):
            if self._open and self._open[-1] is shown:
                detail = f": {shown.detail}" if shown.detail else ""
                self._console.print(
                    f"[cyan]…[/] {escape(shown.title)}  [cyan]{shown.clock()}[/]{escape(detail)}"
                )


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_error(error: ProvisionError) -> None:
    stderr.print(f"[bold red]Error:[/] {escape(error.message)}")
    for line in error.details:
        stderr.print(f"  {escape(line)}")
    for number, line in enumerate(error.hint.splitlines()):
        stderr.print(f"[bold]{'→' if number == 0 else ' '}[/] {escape(line)}")


def table(*headings: str, rows: list[tuple[str, ...]], title: str = "") -> Table:
    made = Table(title=title or None, title_justify="left", header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*(escape(cell) for cell in row))
    return made
