"""`status` once, and `status --watch`: a dashboard on a terminal, else one status after another."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import typer
from rich.console import Console
from rich.live import Live

from provisioner.cli import output
from provisioner.cli.dashboard import Dashboard, show_status
from provisioner.errors import NotReady
from provisioner.store import Record
from provisioner.workflow.observing import Observer
from provisioner.workflow.status import Status
from provisioner.workflow.tools import Tools

EVERY = 5.0
"""Seconds between looks, if nothing is said."""

REDRAWS = 2  # a second: the clock, and a terminal whose size changes


def once(tools: Tools, record: Record, *, as_json: bool, check: bool) -> None:
    """Raises typer.Exit with the code of NotReady if it is to `check` and anything is wrong."""
    with Observer(tools, record) as observer:
        seen = observer.look()
    if as_json:
        output.print_json(seen.as_json())
    else:
        show_status(seen)
    if check and seen.wrong:
        for words in seen.wrong:
            output.stderr.print(f"✗ {words}", style="red", markup=False)
        raise typer.Exit(NotReady.exit_code)


def watch(tools: Tools, record: Record, every: float, *, as_json: bool) -> None:
    """Until Ctrl-C, or until the reader at the end of the pipe has enough; neither is an error.

    Raises ProvisionError when the workshop itself is not there any more.
    """
    with Observer(tools, record) as observer, _quiet_end():
        if as_json or not output.stdout.is_terminal:
            for seen in looks(observer.look, every):
                _write(seen, as_json)
        else:
            _dashboard(observer.look, every)


def looks(look: Callable[[], Status], every: float) -> Iterator[Status]:
    """One status after another, begun `every` seconds apart if each takes less."""
    while True:
        begun = time.monotonic()
        yield look()
        time.sleep(max(0.0, begun + every - time.monotonic()))


def _write(seen: Status, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(seen.as_json(), ensure_ascii=False, default=str) + "\n")
    else:
        output.stdout.print(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}")
        show_status(seen)
    sys.stdout.flush()


@contextlib.contextmanager
def _quiet_end() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # What Python still flushes at its end must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dashboard(look: Callable[[], Status], every: float) -> None:
    """It looks in a thread of its own, so that the clock goes on where a connection is silent."""
    board = Dashboard(every, time.monotonic)
    ended = threading.Event()
    errors: list[BaseException] = []

    def looking() -> None:
        try:
            for seen in looks(look, every):
                board.show(seen)
                if ended.is_set():
                    return
        except BaseException as error:  # for the main thread, which knows what to do with it
            errors.append(error)
            ended.set()

    console = Console(highlight=False)
    with Live(
        get_renderable=lambda: board,
        console=console,
        screen=True,
        refresh_per_second=REDRAWS,
        redirect_stderr=False,
    ):
        threading.Thread(target=looking, daemon=True).start()
        try:
            while not ended.wait(0.2):
                pass
        finally:
            ended.set()
    if errors:
        raise errors[0]
