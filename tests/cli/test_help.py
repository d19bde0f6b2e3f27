from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import provisioner.cli

HELP = Path(provisioner.cli.__file__).with_name("help.txt")
VERBS = [
    *("launch", "credentials", "teardown"),
    *("init", "plan", "doctor", "bake", "rehearse", "prewarm", "mail"),
    *("status", "list", "open", "push", "logs", "ssh", "exec", "users"),
    *("extend", "stop", "start", "backup", "restore", "gc"),
]


def provision(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provisioner.cli.app", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", **environ},
        check=False,
    )


def test_the_stored_help_is_what_typer_says() -> None:
    drawn = provision("--help").stdout
    assert HELP.read_text() == "".join(f"{line.rstrip()}\n" for line in drawn.splitlines())


def test_the_console_script_answers_without_importing_anything_slow() -> None:
    code = (
        "import sys; sys.argv = ['provision', '--help']\n"
        "from provisioner.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "slow = {'typer', 'rich', 'boto3', 'paramiko', 'pydantic', 'httpx'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "launch" in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_imports_no_edge_for_it(verb: str) -> None:
    code = (
        "import sys\n"
        "from provisioner.cli.app import app\n"
        f"try: app(['{verb}', '--help'], prog_name='provision')\n"
        "except SystemExit: pass\n"
        "slow = {'boto3', 'paramiko', 'jinja2', 'httpx', 'cryptography'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"provision {verb}" in done.stdout
    assert verb in HELP.read_text()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    variable = "_PROVISION_COMPLETE"
    done = provision(**{variable: f"source_{shell}"})
    assert "provision" in done.stdout
    assert variable in done.stdout
