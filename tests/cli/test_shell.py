"""exec, logs and ssh with the real SSH client against a real server, over a stand-in for Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.settings import Settings
from provisioner.store import Store
from provisioner.workflow.launch import launch
from tests.doubles import fake_tools
from tests.unit.remote.test_ssh import Server, server

__all__ = ["server"]  # the fixture

Run = Callable[..., "subprocess.CompletedProcess[str]"]

DOCKER = """\
#!/bin/sh
for last; do :; done
case "$1 $2" in
"info "*)
    test ! -e "$RUNNING/../broken" || { echo 'Cannot connect to the Docker daemon' >&2; exit 1; } ;;
"container inspect")
    test -e "$RUNNING/${last#jupyter-}" || exit 1
    echo true ;;
"exec --interactive")
    echo "$3" > "$RUNNING/../entered"
    shift 3
    exec "$@" ;;
"logs --timestamps")
    echo "$*" >> "$RUNNING/../asked"
    printf '\\033[2Kthe server of %s \\033[31mis\\033[0m up\\033]0;owned\\007\\n' "$last"
    echo 'and complains' >&2 ;;
"compose --ansi")
    echo "$*" >> "$RUNNING/../asked"
    echo 'hub: user01 logged in'
    echo 'hub: user01-b logged in'
    echo 'hub: User user01 spawned'
    echo 'hub: 200 GET /hub/api/users/user01' ;;
esac
"""

PROVISION = """\
import os
from dataclasses import replace

import typer

from provisioner.cli import during, wiring
from provisioner.cli.funnel import verb
from provisioner.providers.fake import FakeCloud


def connect(self, server, folder):
    port = int(os.environ["SSH_PORT"])
    return wiring._ssh(replace(server, ssh_host="127.0.0.1", ssh_port=port), folder)


FakeCloud.connect = connect
app = typer.Typer()
pass_on = {"allow_extra_args": True, "ignore_unknown_options": True}
for word, function in (("exec", during.exec_), ("logs", during.logs), ("ssh", during.ssh)):
    app.command(word, context_settings=pass_on if word == "ssh" else None)(verb(function))
app(prog_name="provision")
"""


@pytest.fixture
def run(server: Server, own_home: Path, tmp_path: Path) -> Run:
    """A workshop whose machine answers SSH on loopback; `running` holds who has a server."""
    tools = fake_tools(own_home)
    launch(tools, Settings(name="workshop", provider="fake", users=2), base_image="")
    folder = Store(own_home).folder("workshop")
    record = json.loads(folder.record.read_text())
    record["server"] |= {"ssh_host": "127.0.0.1", "ssh_port": server.port}
    folder.record.write_text(json.dumps(record))
    folder.ssh_key.write_text(server.key.read_text())
    folder.path.joinpath("ssh_key.pub").unlink()  # the client would offer that one
    folder.known_hosts.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    programs, running = tmp_path / "bin", tmp_path / "running"
    programs.mkdir()
    running.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    # The server in this process is where the commands end up.
    os.environ.update(PATH=f"{programs}:{os.environ['PATH']}", RUNNING=str(running))

    def type_in(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROVISION, *words],
            capture_output=True,
            text=True,
            input=stdin,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "SSH_PORT": str(server.port)},
            check=False,
        )

    return type_in


@pytest.fixture(autouse=True)
def same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("RUNNING", "")


def start(tmp_path: Path, username: str) -> None:
    (tmp_path / "running" / username).write_text("")


def test_exec_is_that_participant_with_every_word_as_typed(run: Run, tmp_path: Path) -> None:
    start(tmp_path, "user01")
    done = run("exec", "user01", "--", "printf", "%s|", "it's", "$HOME", "a  b", "-l", "--", "*")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "it's|$HOME|a  b|-l|--|*|"
    assert (tmp_path / "entered").read_text() == "jupyter-user01\n"


def test_exec_ends_with_the_code_of_the_command_and_passes_stdin(run: Run, tmp_path: Path) -> None:
    start(tmp_path, "user02")
    assert run("exec", "workshop", "user02", "--", "sh", "-c", "exit 7").returncode == 7
    assert run("exec", "user02", "--", "cat", stdin="typed\n").stdout == "typed\n"
    shell = run("exec", "user02", stdin="echo from a shell\n")
    assert shell.stdout == "from a shell\n"


def test_exec_says_how_a_server_is_started(run: Run) -> None:
    done = run("exec", "user01", "--", "true")
    assert done.returncode == 3
    assert "The server of 'user01' does not run" in done.stderr
    assert "provision prewarm workshop" in done.stderr
    assert "/hub/admin" in done.stderr


WRONG = [
    (("exec", "user1", "--", "true"), "did you mean user01?"),
    (("exec", "nowhere", "user01", "--", "true"), "There is no workshop 'nowhere'"),
    (("exec", "user01", "ls"), "provision exec user03 -- ls -l"),
    (("exec", "a", "b", "c", "--", "ls"), "Say whose server"),
    (("logs", "hbu"), "did you mean hub?"),
    (("logs", "user01;reboot"), "neither a service nor a participant"),
    (("logs", "--since", "soon"), "neither a duration nor a time"),
    (("logs", "--since", "2999-01-01T00:00"), "has not come yet"),
]


def test_wrong_words_never_reach_the_server(run: Run, tmp_path: Path) -> None:
    for words, message in WRONG:
        done = run(*words)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
    assert not (tmp_path / "entered").exists()
    assert not (tmp_path / "asked").exists()


def test_logs_of_a_participants_server_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    start(tmp_path, "user01")
    done = run("logs", "user01")
    assert done.returncode == 0, done.stderr
    assert "the server of jupyter-user01 is up" in done.stdout
    assert "and complains" in done.stdout
    assert not set(done.stdout) & {"\x1b", "\x07"}


def test_logs_of_a_server_that_is_gone_are_what_the_hub_says_of_it(run: Run) -> None:
    done = run("logs", "user01")
    assert done.stdout.splitlines() == [
        "The server of user01 does not run; the hub says of it:",
        "hub: user01 logged in",
        "hub: User user01 spawned",
    ]
    last = run("logs", "user01", "--tail", "1").stdout.splitlines()
    assert last[1:] == ["hub: User user01 spawned"]


def test_logs_of_several_at_once_say_whose_each_line_is(run: Run, tmp_path: Path) -> None:
    start(tmp_path, "user01")
    start(tmp_path, "user02")
    done = run("logs", "workshop", "hub", "caddy", "user01", "user02", "--since", "10m")
    assert done.returncode == 0, done.stderr
    assert "user01 | the server of jupyter-user01 is up" in done.stdout
    assert "user02 | and complains" in done.stdout
    compose, *servers = (tmp_path / "asked").read_text().splitlines()
    assert compose.endswith("hub caddy")
    assert all("--since 600s" in line for line in (compose, *servers))


def test_logs_follow_come_as_the_same_lines(run: Run, tmp_path: Path) -> None:
    start(tmp_path, "user01")
    done = run("logs", "-f", "hub", "user01")
    assert done.returncode == 0, done.stderr
    assert "hub: user01 logged in" in done.stdout
    assert "user01 | the server of jupyter-user01 is up" in done.stdout
    assert all("--follow" in line for line in (tmp_path / "asked").read_text().splitlines())


def test_logs_without_docker_are_not_called_empty(run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    done = run("logs", "hub", "user01")
    assert done.returncode == 4
    assert "Docker does not answer" in done.stderr
    assert "Cannot connect to the Docker daemon" in done.stderr
    assert "systemctl status docker" in done.stderr
    assert not done.stdout
    assert run("logs", "--follow", "hub").returncode == 69


def test_ssh_runs_a_command_there(run: Run) -> None:
    assert run("ssh", "--", "echo", "there").stdout == "there\n"


def test_a_machine_that_is_off_is_called_that(run: Run, own_home: Path) -> None:
    (machine,) = (own_home / ".fake").glob("*.json")
    machine.write_text(json.dumps(json.loads(machine.read_text()) | {"state": "stopped"}))
    done = run("logs", "hub")
    assert done.returncode == 3
    assert "is off" in done.stderr
    assert "provision start workshop" in done.stderr
