"""The real command line, in processes of its own, over the fake cloud."""

from __future__ import annotations

import csv
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

FAKE = ("--provider", "fake")


def provision(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provisioner.cli.app", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environ},
        check=False,
    )


def launched(*words: str) -> dict[str, Any]:
    done = provision("launch", *FAKE, "--json", *words)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_launch_json_is_the_contract() -> None:
    result = launched("--users", "2")
    assert set(result) == {
        "name",
        "provider",
        "url",
        "address",
        "users",
        "phase",
        "expires_at",
        "credentials",
        "timings",
    }
    assert (result["name"], result["users"], result["phase"]) == ("workshop", 2, "ready")
    assert set(result["credentials"][0]) == {"seat", "name", "username", "password", "url"}


def test_launch_for_people_ends_with_what_they_need() -> None:
    done = provision("launch", *FAKE, "--users", "2", "--expires", "8h")
    assert done.returncode == 0, done.stderr
    for words in (
        "https://localhost",
        "user01",
        "instructor",
        "credentials.csv",
        "in 7 h 59 min",
        "provision teardown workshop",
    ):
        assert words in done.stdout
    assert "✓ A participant logs in" in done.stderr


def test_credentials_in_each_form(tmp_path: Path) -> None:
    result = launched("--users", "2")
    password = result["credentials"][0]["password"]
    assert password in provision("credentials").stdout
    assert json.loads(provision("credentials", "--json").stdout) == result["credentials"]
    to = tmp_path / "sheet.csv"
    assert provision("credentials", "--format", "csv", "--output", str(to)).returncode == 0
    rows = list(csv.DictReader(to.read_text().splitlines()))
    assert rows == result["credentials"]
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    bad = provision("credentials", "--format", "docx")
    assert bad.returncode == 2
    assert "table, csv, json, html or pdf" in bad.stderr


def test_status_list_and_teardown(own_home: Path) -> None:
    launched()
    seen = json.loads(provision("status", "--json").stdout)
    assert all(check["ok"] for check in seen["checks"])
    assert "user03" in provision("status").stdout
    listed = json.loads(provision("list", *FAKE, "--json").stdout)
    assert [(line["name"], line["phase"]) for line in listed] == [("workshop", "ready")]
    done = provision("teardown", "--json", "--yes")
    assert json.loads(done.stdout)["leftovers"] == []
    assert json.loads(provision("list", *FAKE, "--json").stdout) == []
    again = provision("teardown", *FAKE)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert not [path for path in own_home.iterdir() if path.name == "workshop"]


def test_json_is_all_of_stdout_and_errors_are_json_too() -> None:
    launched()
    done = provision("launch", *FAKE, "--users", "9", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)
    assert error["exit_code"] == 2
    assert "teardown workshop" in error["hint"]


REFUSED: list[tuple[tuple[str, ...], int, str, str]] = [
    (("--users", "0"), 2, "users: Input should be greater than or equal to 1", "init --print"),
    (("--users", "-3"), 2, "users: Input should be greater than or equal to 1", ""),
    (("--users", "10000"), 3, "10001 × 1.0 GiB", "fewer --users"),
    (("--users", "many"), 2, "valid integer", ""),
    (("../up",), 2, "is not a workshop name", ""),
    (("a/b",), 2, "is not a workshop name", ""),
    (("--expires", "soon"), 2, "neither a duration", ""),
    (("--memory", "lots"), 2, "participant.memory: 'lots' is not a size", ""),
    (("--provider", "moon"), 2, "'moon' is not a provider", "--provider local"),
    (("--bind", "example.org"), 2, "local.bind", ""),
    (("--bind", "0.0.0.0"), 2, "has no name to type", "--bind"),
    (("--config", "none.toml"), 2, "no configuration file", "provision init"),
    (("--nonsense",), 2, "No such option", ""),
]


@pytest.mark.parametrize(("words", "code", "message", "hint"), REFUSED)
def test_bad_input_creates_nothing(
    words: tuple[str, ...], code: int, message: str, hint: str, own_home: Path
) -> None:
    fake = () if "--provider" in words else FAKE
    done = provision("launch", *fake, *words)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in own_home.glob("*") if path.is_dir() and path.name[0] != "."]
    assert not list((own_home / ".fake").glob("*.json"))


@pytest.mark.parametrize("verb", ["status", "credentials", "ssh", "logs"])
def test_verbs_on_a_workshop_that_does_not_exist(verb: str) -> None:
    done = provision(verb, "nowhere") if verb != "logs" else provision(verb, "nowhere", "hub")
    assert done.returncode == 2
    assert "There is no workshop 'nowhere'" in done.stderr
    assert "provision launch nowhere" in done.stderr


def test_a_file_with_an_unknown_key() -> None:
    Path("workshop.toml").write_text('nmae = "tessera"\n')
    done = provision("launch", *FAKE)
    assert done.returncode == 2
    assert "did you mean name?" in done.stderr


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    done = provision("launch", *FAKE, PROVISION_HOME=str(tmp_path / "home"))
    assert done.returncode == 2
    assert "set PROVISION_HOME" in done.stderr


def test_init_writes_what_launch_reads_and_never_overwrites() -> None:
    assert provision("init", "--name", "tessera", "--users", "4").returncode == 0
    assert launched()["name"] == "tessera"
    again = provision("init")
    assert again.returncode == 2
    assert "left as it is" in again.stderr


def test_plan_says_what_and_what_against() -> None:
    done = provision("plan", *FAKE, "--users", "30")
    assert done.returncode == 0, done.stderr
    assert "31 × 1.0 GiB + 2.0 GiB = 33.0 GiB" in done.stdout
    refused = provision("plan", *FAKE, "--users", "3000", "--json")
    assert refused.returncode == 3
    findings = json.loads(refused.stdout)["findings"]
    assert {item["subject"] for item in findings} == {"memory", "disk"}


def test_a_plan_of_a_workshop_that_exists_finds_nothing_against_itself() -> None:
    launched("--users", "2")
    done = provision("plan", *FAKE, "--users", "2")
    assert done.returncode == 0, done.stderr
    assert "exists     ready; a launch goes on from there" in done.stdout


def test_no_password_in_the_progress_or_the_events(own_home: Path) -> None:
    done = provision("launch", *FAKE, "--json")
    passwords = [item["password"] for item in json.loads(done.stdout)["credentials"]]
    folder = own_home / "workshop"
    said = done.stderr + "".join(
        path.read_text() for path in folder.iterdir() if path.suffix in {".json", ".jsonl"}
    )
    assert not any(password in said for password in passwords)


def test_a_bug_is_called_a_bug_and_verbose_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; import provisioner.workflow.listing as s\n"
        "def bang(*a): raise ZeroDivisionError('x')\n"
        "s.listing = bang\n"
        "from provisioner.cli.app import app; app(sys.argv[1:], prog_name='provision')"
    )
    words = [sys.executable, "-c", code]
    quiet = subprocess.run([*words, "list", *FAKE], capture_output=True, text=True, check=False)
    assert quiet.returncode == 1
    assert "bug of provision's" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    loud = subprocess.run(
        [*words, "--verbose", "list", *FAKE], capture_output=True, text=True, check=False
    )
    assert "Traceback" in loud.stderr


def test_ctrl_c_says_how_to_go_on(own_home: Path) -> None:
    code = (
        "import signal, sys, time; import provisioner.providers.fake as f\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's & ignores it
        "def slow(self, spec): print('creating', file=sys.stderr, flush=True); time.sleep(60)\n"
        "f.FakeProvider.create = slow\n"
        "from provisioner.cli.app import app; app(sys.argv[1:], prog_name='provision')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, "launch", *FAKE], stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    for line in child.stderr:
        if "creating" in line:
            break
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    rest = child.stderr.read()
    child.stderr.close()
    assert child.wait(30) == 130
    assert "provision launch" in rest
    assert "provision teardown" in rest
    assert provision("launch", *FAKE).returncode == 0


def test_two_launches_at_once(own_home: Path) -> None:
    code = (
        "import sys, time; import provisioner.providers.fake as f\n"
        "def slow(self, spec): print('creating', file=sys.stderr, flush=True); time.sleep(60)\n"
        "f.FakeProvider.create = slow\n"
        "from provisioner.cli.app import app; app(sys.argv[1:], prog_name='provision')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, "launch", *FAKE], stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    for line in child.stderr:
        if "creating" in line:
            break
    second = provision("launch", *FAKE)
    child.kill()
    child.wait()
    child.stderr.close()
    assert second.returncode == 3
    assert f"provision launch (process {child.pid}" in second.stderr
