"""The script in a real shell, and the part of it that the hub's container runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provisioner.render import health

SHELLS = [name for name in ("dash", "bash") if shutil.which(name)]

DOCKER = """\
#!/bin/sh
case "$*" in
    ps*) echo 0123456789ab ;;
    inspect*) echo '{"name":"/jupyter-ada_l-2","state":"running","pid":'$PPID',"memory":7}' ;;
    compose*python*) printf '{"seen": %s}\\n' "$(cat)" ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder to go before all others, with a docker of its own."""
    docker = tmp_path / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    return tmp_path


def answered(shell: str, programs: Path, seen: dict[str, str]) -> dict[str, str]:
    """The sections of what it says."""
    done = subprocess.run(
        [shell, *health.LOOK.split()[1:]],
        input=health.script(seen) + b"echo what comes after it is not run\n",
        capture_output=True,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        check=True,
        timeout=60,
    )
    parts = done.stdout.decode().split(health.SECTION)[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_part_is_there_and_the_end(shell: str, programs: Path) -> None:
    said = answered(shell, programs, {})
    assert list(said) == [
        *("containers", "before", "people", "machine", "disks", "projects", "quota"),
        *("folders", "after", "end"),
    ]
    assert said["end"] == ""
    assert "MemTotal" in said["machine"]
    assert "ada_l-2" in said["containers"]


@pytest.mark.skipif(not Path("/sys/fs/cgroup").exists(), reason="no control groups here")
@pytest.mark.parametrize("shell", SHELLS)
def test_numbers_come_from_the_control_group_of_the_container(shell: str, programs: Path) -> None:
    lines = answered(shell, programs, {})["after"].splitlines()
    ours = [line.split() for line in lines if line.startswith("ada_l-2 ")]
    if not ours:
        pytest.skip("this process has no control group of its own")
    assert any(words[1].startswith("memory.") for words in ours)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_known_reaches_the_hub_whatever_is_in_it(shell: str, programs: Path) -> None:
    seen = {"ada_l-2": 'it\'s "2026" $HOME `id` \\n EOF'}
    said = answered(shell, programs, seen)["people"]
    assert json.loads(said)["seen"] == seen


@pytest.mark.parametrize("shell", SHELLS)
def test_without_docker_the_rest_is_told(shell: str, programs: Path) -> None:
    (programs / "docker").write_text("#!/bin/sh\nexit 1\n")
    said = answered(shell, programs, {})
    assert said["containers"].split() == [health.SILENT]
    assert "MemTotal" in said["machine"]
    assert "end" in said


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("hangs", ["ps", "inspect", "compose"])
def test_what_hangs_is_given_up_and_the_rest_is_told(
    shell: str, hangs: str, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FEW", 1)
    monkeypatch.setattr(health, "MANY", 1)
    (programs / "docker").write_text(
        DOCKER.replace('case "$*" in', f'case "$1" in {hangs}) exec sleep 30 ;; esac\ncase "$*" in')
    )
    said = answered(shell, programs, {})
    assert "MemTotal" in said["machine"]
    assert "end" in said
    if hangs == "compose":
        assert said["people"].strip() == ""
        assert "ada_l-2" in said["containers"]
    else:
        assert said["containers"].split() == [health.SILENT]


ASK = """
import json, sys, types
given = json.loads(sys.argv[1])
asked = []
def ask(method, path, body=None):
    asked.append(path)
    if path.startswith("/users?"):
        offset = int(path.rpartition("=")[2])
        return {"status": given["status"], "body": given["users"][offset:offset + 200]}
    return {"status": 200, "body": given["events"].get(path.split("/")[2], "")}
sys.modules["ask"] = types.SimpleNamespace(ask=ask)
"""


def told(
    users: list[dict[str, Any]],
    *,
    events: dict[str, str] | None = None,
    seen: dict[str, str] | None = None,
    status: int = 200,
) -> tuple[dict[str, Any], list[str]]:
    """What the part in the hub's container says, and which paths it asked for."""
    given = {"users": users, "events": events or {}, "status": status}
    program = f"{ASK}\n{health.PEOPLE}\nprint(json.dumps(asked))"
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(given)],
        input=json.dumps(seen or {}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said, asked = map(json.loads, done.stdout.splitlines())
    return said, asked


def user(name: str, **server: Any) -> dict[str, Any]:
    servers = {"": server} if server else {}
    return {"name": name, "last_activity": "2026-11-24T10:44:30Z", "servers": servers}


FAILED = 'data: {"progress": 100, "failed": true, "message": "Spawn failed: no image"}\n\n'


def test_everybody_is_told_of_however_many_there_are() -> None:
    said, asked = told([user(f"user{number:03}", ready=True) for number in range(450)])
    assert len({item["name"] for item in said["users"]}) == 450
    assert len(asked) == 3, "nothing is asked of those whose server runs"


def test_why_a_server_did_not_start() -> None:
    said, _ = told([user("user01"), user("user02")], events={"user01": FAILED, "user02": "\n\n"})
    assert [item["why"] for item in said["users"]] == ["Spawn failed: no image", ""]


def test_what_is_known_is_not_asked_for() -> None:
    seen = {"user01": "2026-11-24T10:44:30Z", "user02": "2026-11-24T09:00:00Z"}
    events = {"user01": FAILED, "user02": FAILED}
    said, asked = told([user("user01"), user("user02")], events=events, seen=seen)
    assert [item["why"] for item in said["users"]] == [None, "Spawn failed: no image"]
    assert not any("user01" in path for path in asked)


def test_a_hub_that_refuses_says_so() -> None:
    said, _ = told([], status=503)
    assert "503" in said["error"]
    assert said["logins"] is None, "there is no database either"
