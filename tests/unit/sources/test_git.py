"""What git says when it fails, and what is made of it. Whole fetches: tests/workflow."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import Refused
from provisioner.models import MaterialsSource
from provisioner.sources.git import Git, _refusal, redacted


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (
            "fatal: could not read Username for 'https://example.org': terminal prompts disabled",
            "git ls-remote https://example.org/x.git",
        ),
        ("git@example.org: Permission denied (publickey).", "ssh-add"),
        ("Host key verification failed.", "ssh -T example.org"),
        ("fatal: unable to access: Could not resolve host: example.org", "on the network"),
        ("remote: Repository not found.", "--source"),
        ("fatal: something new", "git ls-remote https://example.org/x.git"),
    ],
)
def test_each_failure_has_a_way_on(said: str, hint: str) -> None:
    error = _refusal("https://ada@example.org/x.git", ["Cloning into 'x'...", said])
    assert hint in error.hint
    assert error.details[-1] == said


def test_nobodys_name_or_token_is_repeated() -> None:
    line = "fatal: Authentication failed for 'https://ada:secret@example.org/x.git/'"
    error = _refusal("https://ada:secret@example.org/x.git", [line])
    assert "secret" not in f"{error.message}{error.details}{error.hint}"
    assert "ada" not in redacted("https://ada@example.org/x.git")


def test_a_server_that_is_not_there_is_a_finding_and_no_question() -> None:
    """Port 9 of loopback: nobody listens, and nothing is asked of the terminal."""
    (found,) = Git().check(MaterialsSource("https://127.0.0.1:9/x.git"))
    assert "https://127.0.0.1:9/x.git could not be fetched" in found.message
    assert "git ls-remote" in found.hint


SSH = MaterialsSource("ssh://git@example.org/x.git")


def ssh(monkeypatch: pytest.MonkeyPatch, path: Path, script: str) -> None:
    """What git starts instead of ssh."""
    program = path / "ssh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(program))
    monkeypatch.setenv("GIT_SSH_VARIANT", "simple")


def test_an_ssh_that_is_silent_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("provisioner.sources.git.SILENCE", 0.2)
    ssh(monkeypatch, tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600")
    with pytest.raises(Refused, match="heard nothing"):
        Git().fetch(SSH, tmp_path / "into", lambda _: None)
    pid = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid), "nor left behind"


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_an_ssh_that_stays_for_the_next_one_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As ControlPersist leaves one behind, with git's stderr open."""
    stays = f"sleep 600 < /dev/null > /dev/null & echo $! > {tmp_path}/pid"
    ssh(monkeypatch, tmp_path, f"{stays}; echo 'fatal: gone' >&2; exit 128")
    try:
        with pytest.raises(Refused, match="could not be fetched"):
            Git().fetch(SSH, tmp_path / "into", lambda _: None)
    finally:
        subprocess.run(["kill", (tmp_path / "pid").read_text().strip()], check=True)


def test_a_disk_that_does_not_answer_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(words: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(words, options["timeout"])

    (tmp_path / ".git").mkdir()
    monkeypatch.setattr("provisioner.sources.git.subprocess.run", never)
    with pytest.raises(Refused, match="no answer"):
        Git().fetch(SSH, tmp_path, lambda _: None)
