from __future__ import annotations

import os
import subprocess

import pytest

from provisioner.errors import NotReady
from provisioner.models import GIB, Result
from provisioner.render.people import MEASURE, measured


def test_a_machine_says_how_large_it_is_whichever_awk_it_has() -> None:
    done = subprocess.run(["sh", "-c", MEASURE], capture_output=True, text=True, check=False)
    size = measured(Result(done.returncode, done.stdout, done.stderr))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    root = os.statvfs("/")
    assert size.memory == pytest.approx(memory, rel=0.01)
    assert size.disk == root.f_blocks * root.f_frsize


@pytest.mark.parametrize(
    "answer",
    [
        Result(0, "2.52765e+10\n100\n", ""),
        Result(0, "100\n", ""),
        Result(0, "", ""),
        Result(0, "1\n2\n3\n", ""),
        Result(1, "1\n2\n", "df: no such file"),
        Result(0, "nan\ninf\n", ""),
    ],
)
def test_what_is_no_answer_is_not_taken_for_a_small_machine(answer: Result) -> None:
    with pytest.raises(NotReady, match="did not say how large it is"):
        measured(answer)


def test_bytes_of_memory_then_of_the_disk() -> None:
    size = measured(Result(0, f"{8 * GIB}\n  {100 * GIB}\n", ""))
    assert (size.memory, size.disk) == (8 * GIB, 100 * GIB)
