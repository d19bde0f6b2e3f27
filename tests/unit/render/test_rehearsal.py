from __future__ import annotations

import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

from provisioner.models import Secret
from provisioner.render import rehearsal
from provisioner.visits import Cause, Cell, Effort, Held, Script, Span, heard_from


def test_the_program_is_all_that_the_server_needs_of_ours(tmp_path: Path) -> None:
    """It really starts from the zip alone, and says that nobody answers at that address."""
    program = tmp_path / "crowd.zip"
    program.write_bytes(rehearsal.program())
    assert sum(item.file_size for item in zipfile.ZipFile(program).infolist()) < 200_000
    start = "import runpy, provisioner; assert '.zip' in provisioner.__file__; " + (
        "runpy.run_module('provisioner.remote.crowd', run_name='__main__')"
    )
    guests = (("ada", Secret("pass-word")),)
    script = Script("https://localhost:1", "", guests, (Cell(1, "1"),), hold=0)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(program)!r}); {start}"],
        input=f"{script.as_json()}\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    heard = [heard_from(line) for line in done.stdout.splitlines()]
    assert [type(item) for item in heard] == [Span, Held, Effort]
    assert isinstance(heard[0], Span)
    assert heard[0].failure is not None
    assert heard[0].failure.cause is Cause.HTTPS
    assert "pass-word" not in done.stdout + done.stderr


def test_the_crowds_container_may_do_nothing_but_talk() -> None:
    words = shlex.split(rehearsal.run_crowd("abc"))
    assert "provision-hub:abc" in words
    for needed in ("--read-only", "--rm", "--memory", "--pids-limit"):
        assert needed in words
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert words[words.index("--user") + 1] != "0"
    assert not [word for word in words if "docker.sock" in word or "secrets" in word]


def test_the_sampler_ends_when_nobody_listens() -> None:
    """As when the connection breaks: nothing stays behind on the machine."""
    quick = rehearsal.SAMPLE.replace("sleep 2", "sleep 0.1")
    running = subprocess.Popen(["sh", "-c", quick], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    assert b"cpu" in running.stdout.readline()
    running.stdout.close()
    assert running.wait(timeout=20) is not None
    assert running.stderr is not None
    running.stderr.close()


def test_the_image_tag_is_read_from_the_bundle(tmp_path: Path) -> None:
    env = tmp_path / "bundle" / ".env"
    env.parent.mkdir()
    env.write_text("PROVISION_NAME='x'\nPROVISION_TAG='abc123'\n")
    command = rehearsal.IMAGE_TAG.replace("/opt/provision", str(tmp_path))
    assert subprocess.check_output(["sh", "-c", command], text=True) == "abc123\n"


TOP = """\
#!/bin/sh
case "$1 $2" in
"ps --filter") printf 'jupyter-idle\\njupyter-ada\\njupyter-shell\\njupyter-mute\\n' ;;
"top jupyter-mute") exit 1 ;;
top*)
    echo 'PID STAT COMMAND'
    echo '1 Ss tini'
    echo '2 Sl python3'
    echo '3 Z python3'
    [ "$2" = jupyter-idle ] || echo '4 Ss bash' ;;
esac
"""


def test_whoever_runs_something_or_cannot_be_looked_at_is_at_work(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text(TOP)
    docker.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    said = subprocess.check_output(["sh", "-c", rehearsal.AT_WORK], text=True, env=environ)
    assert said.split() == ["ada", "shell", "mute"]
    docker.write_text("#!/bin/sh\nexit 1\n")
    assert subprocess.run(["sh", "-c", rehearsal.AT_WORK], env=environ, check=False).returncode
