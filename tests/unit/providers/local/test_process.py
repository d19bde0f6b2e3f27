"""Nothing but our own machine is ever signalled. The processes are real ones, in disguise."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.providers.local import process

Start = Callable[..., subprocess.Popen[bytes]]

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, name: str = "qemu-system-x86_64", code: str = SLEEP):  # type: ignore[no-untyped-def]
        child = subprocess.Popen(
            [name, "-c", code, *arguments], executable=sys.executable, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        started.append(child)
        return child

    yield run
    for child in started:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def ours(workshop_id: str) -> tuple[str, ...]:
    return ("-name", "guest=provision:demo", "-uuid", workshop_id)


def test_found_and_ended(start: Start) -> None:
    workshop_id = str(uuid.uuid4())
    child = start(*ours(workshop_id))
    found = process.find(workshop_id)
    assert found is not None
    assert (found.pid, found.name) == (child.pid, "demo")
    process.end(workshop_id)
    assert child.wait(5) == -signal.SIGTERM
    assert process.find(workshop_id) is None
    process.end(workshop_id)  # again is fine


def test_one_that_ignores_requests_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERM_SECONDS", 0.2)
    workshop_id = str(uuid.uuid4())
    child = start(*ours(workshop_id), code=STUBBORN)
    process.end(workshop_id)
    assert child.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("qemu-system-x86_64", ("-uuid", "{id}")),  # somebody's own QEMU
        ("qemu-system-x86_64", ("-name", "guest=other:demo", "-uuid", "{id}")),
        ("qemu-system-x86_64", ("-name", "guest=provision:demo", "-uuid", "another")),
        ("vim", ("-name", "guest=provision:demo", "-uuid", "{id}")),
    ],
)
def test_strangers_are_left_alone(start: Start, name: str, arguments: tuple[str, ...]) -> None:
    workshop_id = str(uuid.uuid4())
    child = start(*(word.format(id=workshop_id) for word in arguments), name=name)
    assert process.find(workshop_id) is None
    process.end(workshop_id)
    assert child.poll() is None


def test_a_pidfile_proves_nothing(start: Start, tmp_path: Path) -> None:
    """A record with the pid of a stranger, as after a reboot of the host, ends nobody."""
    stranger = start(name="python")
    (tmp_path / "pid").write_text(str(stranger.pid))
    process.end(str(uuid.uuid4()))
    assert stranger.poll() is None
