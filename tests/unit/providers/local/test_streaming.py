from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from provisioner.errors import Refused
from provisioner.providers.local import recipes
from provisioner.providers.local.streaming import stream


def test_each_line_is_logged_and_shown(tmp_path: Path) -> None:
    seen: list[str] = []
    with (tmp_path / "log").open("wb") as log:
        command = ["sh", "-c", r"printf 'one\n\033[32mtwo\033[0m\n'; echo three >&2"]
        stream(command, log, seen.append, temporary=tmp_path)
    assert seen == ["one", "two", "three"]
    assert (tmp_path / "log").read_bytes().count(b"\n") == 3


def test_a_failure_speaks_in_the_tools_own_words(tmp_path: Path) -> None:
    command = [
        "sh",
        "-c",
        "echo '#4 0.651 ERROR: No matching distribution for nump'; echo '#4 ERROR: process pip';"
        "echo bye; exit 7",
    ]
    with (tmp_path / "log").open("wb") as log, pytest.raises(Refused) as caught:
        stream(command, log, lambda line: None, temporary=tmp_path)
    assert caught.value.message == "Making the image failed: No matching distribution for nump"
    assert caught.value.details == ("ERROR: No matching distribution for nump",)
    assert str(tmp_path / "log") in caught.value.hint


def test_other_tools_speak_for_themselves(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo 'E: Unable to locate package linux-imag'; echo bye; exit 7"]
    with (tmp_path / "log").open("wb") as log, pytest.raises(Refused) as caught:
        stream(command, log, lambda line: None, temporary=tmp_path)
    assert caught.value.message.endswith(": Unable to locate package linux-imag")
    assert caught.value.details[-1] == "bye"


def test_an_interruption_ends_the_command(tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with (tmp_path / "log").open("wb") as log, pytest.raises(KeyboardInterrupt):
        stream(["sh", "-c", "echo $$; exec sleep 60"], log, interrupt, temporary=tmp_path)
    assert not psutil.pid_exists(pids[0])


def test_nothing_survives_a_killed_caller(tmp_path: Path) -> None:
    """As root only: it takes namespaces."""
    inner = recipes.contained(["sh", "-c", "echo up; sleep 61 & exec sleep 61"])
    if subprocess.run(recipes.contained(["true"]), capture_output=True, check=False).returncode:
        pytest.skip("namespaces cannot be made here")
    code = f"import subprocess; subprocess.run({inner!r})"
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert caller.stdout is not None
    assert caller.stdout.readline() == b"up\n"
    below = psutil.Process(caller.pid).children(recursive=True)
    assert len(below) >= 2
    caller.kill()
    caller.wait()
    caller.stdout.close()
    deadline = time.monotonic() + 10
    while any(map(lives, below)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [process for process in below if lives(process)]


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
