"""`status` as it is typed: once, as a condition, and again and again."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.test_app import launched, provision

WORDS = [sys.executable, "-m", "provisioner.cli.app", "status"]
EACH = ("--every", "1")


@pytest.fixture(autouse=True)
def workshop(own_home: Path) -> None:
    launched("--users", "2")


def end_machine(own_home: Path) -> None:
    (machine,) = (own_home / ".fake").glob("*.json")
    machine.unlink()


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*WORDS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_check_is_a_condition_for_scripts(own_home: Path) -> None:
    well = provision("status", "--check")
    assert (well.returncode, well.stderr) == (0, "")
    end_machine(own_home)
    assert provision("status").returncode == 0, "a look that worked is a success"
    ill = provision("status", "--check")
    assert ill.returncode == 4
    assert "machine: does not exist" in ill.stderr


def test_check_and_json_are_one_document(own_home: Path) -> None:
    end_machine(own_home)
    done = provision("status", "--check", "--json")
    assert done.returncode == 4
    document = json.loads(done.stdout)
    assert document["ok"] is False
    assert document["wrong"] == ["machine: does not exist"]


def test_check_does_not_go_on_forever() -> None:
    done = provision("status", "--check", "--watch")
    assert done.returncode == 2
    assert "--watch" in done.stderr


def test_watched_without_a_terminal_it_is_printed_again_and_again() -> None:
    child = started("--watch", *EACH)
    assert child.stdout is not None
    heads = 0
    for line in child.stdout:
        heads += line.startswith("--- ")
        if heads == 2:
            break
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert (child.returncode, errors) == (0, "")


def test_watched_as_json_it_is_a_document_a_line() -> None:
    child = started("--json", *EACH)  # --every says that it goes on
    assert child.stdout is not None
    documents = [json.loads(child.stdout.readline()) for _ in range(2)]
    assert [document["name"] for document in documents] == ["workshop", "workshop"]
    assert documents[0]["seconds_left"] > documents[1]["seconds_left"] - 1
    child.stdout.close()  # as `head` does
    assert child.wait(20) == 0
    assert child.stderr is not None
    assert child.stderr.read() == ""
    child.stderr.close()


class Terminal:
    """`status --watch` in a terminal of `rows` by `columns`."""

    def __init__(self, rows: int, columns: int) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ |= {"TERM": "xterm-256color"}
            os.execv(sys.executable, [*WORDS, "--watch", *EACH])
        self.resize(rows, columns)
        os.set_blocking(self._fd, False)
        self.said = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, so: Callable[[str], bool], seconds: float = 30) -> str:
        """Everything that was drawn so far, once that is so."""
        end = time.monotonic() + seconds
        while not so(self.said):
            assert time.monotonic() < end, self.said[-4000:]
            try:
                self.said += os.read(self._fd, 65536).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:  # the other side is gone
                time.sleep(0.05)
        return self.said

    def press(self, key: bytes) -> None:
        os.write(self._fd, key)

    def close(self) -> int:
        """Its exit code, within seconds."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                os.read(self._fd, 65536)
            except OSError:
                time.sleep(0.05)
            done, code = os.waitpid(self.pid, os.WNOHANG)
            if done:
                os.close(self._fd)
                self.pid = 0
                return os.waitstatus_to_exitcode(code)
        raise AssertionError("it did not end")

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal(24, 80)
    yield made
    made.kill()


def test_on_a_terminal_it_is_a_dashboard_that_ctrl_c_ends(terminal: Terminal) -> None:
    said = terminal.until(lambda text: "never logged in" in text)
    assert "\x1b[?1049h" in said, "on a screen of its own"
    terminal.press(b"\x03")
    terminal.until(lambda text: "\x1b[?1049l" in text)
    assert "Interrupted" not in terminal.said
    assert terminal.close() == 0


def test_the_dashboard_goes_on_when_the_machine_is_gone(terminal: Terminal, own_home: Path) -> None:
    terminal.until(lambda text: "never logged in" in text)
    end_machine(own_home)
    terminal.until(lambda text: "does not exist" in text)
    terminal.press(b"\x03")
    assert terminal.close() == 0


def test_the_dashboard_ends_with_the_workshop(terminal: Terminal) -> None:
    terminal.until(lambda text: "never logged in" in text)
    assert provision("teardown", "--yes").returncode == 0
    terminal.until(lambda text: "not there any more" in text)
    assert terminal.close() == 4
