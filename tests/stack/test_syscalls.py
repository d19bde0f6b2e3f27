"""What may be asked of the kernel, as Docker is told it; then as the kernel itself keeps it."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stack import kernel

STACK = Path(__file__).parents[2] / "stack"
PROFILE: dict[str, Any] = json.loads(runpy.run_path(str(STACK / "syscalls.py"))["profile"]())


def refused(name: str, *arguments: int) -> bool:
    """What seccomp would say: a rule holds when all of its tests do."""
    for rule in PROFILE["syscalls"]:
        tests = rule.get("args", [])
        if name in rule["names"] and all(
            arguments[test["index"]] & test["value"] == test["valueTwo"] for test in tests
        ):
            return bool(rule["action"] != "SCMP_ACT_ALLOW")
    return True


def test_files_do_not_change_accounts_whatever_is_in_the_half_that_nobody_reads() -> None:
    for call in (0x401C5820, 0x40086602, 0x40046602):
        assert refused("ioctl", 3, call)
        assert refused("ioctl", 3, call | 1 << 32)
    assert refused("file_setattr")


@pytest.mark.parametrize(
    "name", ["file_setattr", "open_tree_attr", "a_call_of_next_year", "clone3"]
)
def test_what_nobody_has_named_is_not_there(name: str) -> None:
    assert refused(name)
    assert PROFILE["defaultErrnoRet"] == 38, "ENOSYS: programs then go the old way"


def test_what_terminals_and_sockets_need_passes() -> None:
    for call in (0x5401, 0x5413, 0x5421, 0x541B, 0x801C581F):
        assert not refused("ioctl", 3, call), hex(call)
    for family in (1, 2, 10, 16):
        assert not refused("socket", family, 1, 0)
    for family in (38, 40):
        assert refused("socket", family, 1, 0)
        assert refused("socket", family | 1 << 32, 1, 0)


def test_processes_and_threads_begin_but_no_new_namespaces() -> None:
    thread = 0x003D0F00
    assert not refused("clone", thread)
    assert not refused("clone", 0x01200011)
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert refused("clone", thread | flag)
    assert refused("unshare", 0)


def test_no_name_is_there_twice() -> None:
    names = [name for rule in PROFILE["syscalls"] if "args" not in rule for name in rule["names"]]
    assert len(names) == len(set(names))


UNDER_IT = """
import ctypes, errno, json, subprocess, sys, threading
from tests.stack.kernel import load
load(json.load(sys.stdin))
libc = ctypes.CDLL(None, use_errno=True)
def says(*words):
    libc.syscall(*(ctypes.c_ulong(word) for word in words))
    return ctypes.get_errno()
nowhere = 2**64 - 1  # as a descriptor: whatever passes says EBADF
shut = {
    hex(low)
    for high in (0, 1 << 16, 1 << 32, 1 << 62)
    for low in range(2**16)
    if says(16, nowhere, high | low, 0) != errno.EBADF
}
families = [family for family in range(46) if says(41, family, 99, 0) == errno.ENOSYS]
newer = [number for number in range(469, 600) if says(number, nowhere, 0, 0, 0, 0) != errno.ENOSYS]
thread = threading.Thread(target=lambda: None)
thread.start()
child = subprocess.run(["true"]).returncode
print(json.dumps([sorted(shut), families, newer, child]))
"""


@pytest.mark.skipif(sys.platform != "linux" or not kernel.library(), reason="needs libseccomp")
@pytest.mark.skipif(kernel.MACHINE != "x86_64", reason="its calls are written by number")
def test_the_kernel_keeps_to_it_call_by_call() -> None:
    """Every ioctl there is; file_setattr is 469, and above it is what nobody knows yet."""
    done = subprocess.run(
        [sys.executable, "-c", UNDER_IT],
        input=json.dumps(PROFILE),
        cwd=STACK.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["0x5412", "0x5820", "0x6602"], [38, 40], [], 0]
