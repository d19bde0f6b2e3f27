"""A profile for Docker, loaded into this process as runc would: for a child that ends after it."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from typing import Any

MACHINE = platform.machine()
ALLOW, ERRNO, MASKED_EQ = 0x7FFF0000, 0x00050000, 7


class Compared(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("left", ctypes.c_uint64),
    )


def library() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("seccomp")
    return ctypes.CDLL(name) if name else None


def load(profile: dict[str, Any]) -> None:
    """From now on and for good. A name that this libseccomp doesn't know is passed over."""
    seccomp = library()
    assert seccomp is not None
    seccomp.seccomp_init.restype = ctypes.c_void_p

    def action(rule: dict[str, Any], key: str, number: str) -> int:
        return ERRNO | int(rule[number]) if rule[key] == "SCMP_ACT_ERRNO" else ALLOW

    handle = ctypes.c_void_p(
        seccomp.seccomp_init(action(profile, "defaultAction", "defaultErrnoRet"))
    )
    for rule in profile["syscalls"]:
        does = ctypes.c_uint32(action(rule, "action", "errnoRet"))
        asked = [
            Compared(test["index"], MASKED_EQ, test["value"], test["valueTwo"])
            for test in rule.get("args", [])
        ]
        tests = (Compared * len(asked))(*asked)
        for name in rule["names"]:
            call = seccomp.seccomp_syscall_resolve_name(name.encode())
            if call >= 0:
                added = seccomp.seccomp_rule_add_array(handle, does, call, len(asked), tests)
                assert added == 0, name
    assert seccomp.seccomp_load(handle) == 0
