"""stack/notebook/prepare meets a base image that is not fit, and says so before it changes it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provisioner.buildlog import failure
from provisioner.render.assets import asset

OLD = '#!/bin/sh\ncase "$1" in --version) echo Python 3.8.20;; *) exit 1;; esac\n'


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ({"python3": OLD}, "is not Debian or Ubuntu"),
        ({"apt-get": "#!/bin/sh\n"}, "has no python3"),
        ({"apt-get": "#!/bin/sh\n", "python3": OLD}, "has Python 3.8.20"),
    ],
)
def test_a_base_that_can_not_work_is_refused_in_words(
    tmp_path: Path, tools: dict[str, str], reason: str
) -> None:
    for name, script in tools.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(asset("stack/notebook/prepare"))],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    told = failure([f"#1 0.1 {done.stderr.strip()}", "#1 ERROR: process x"])
    assert told is not None
    assert reason in told.reason
