"""A QEMU that sleeps: a real process with the right command line, and no machine in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from provisioner.models import Spec
from provisioner.providers.local import image
from provisioner.providers.local.arch import host_arch
from provisioner.providers.local.image import Manifest, Store

QEMU = f"""#!/bin/bash
case "$*" in *--version*) echo "QEMU emulator version 10.0"; exit;; esac
case "$*" in *isa-debug-exit*) exit 1;; esac
[ -e "$FAIL" ] && {{ echo "qemu: could not lock the disk" >&2; exit 1; }}
setsid bash -c 'exec -a {host_arch().qemu} {sys.executable} "$@"' \\
    sh -c 'import time; time.sleep(60)' "$@" </dev/null >/dev/null 2>&1 &
sleep 0.3
"""
QEMU_IMG = '#!/bin/sh\nfor last; do before=$path; path=$last; done\ntouch "$before"\n'


def pretend_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Spec) -> Store:
    """Put it on PATH, with a golden image for `spec`; the file $FAIL makes it fail."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in {host_arch().qemu: QEMU, "qemu-img": QEMU_IMG}.items():
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("FAIL", str(tmp_path / "fail"))
    store = Store(tmp_path / "images")
    key = image.recipe(spec, host_arch(), {}).key
    golden = store.golden(key)
    golden.path.mkdir(parents=True)
    golden.disk.write_bytes(b"disk")
    golden.write_manifest(Manifest(key, "2026-01-01T00:00:00+00:00", 4, {}, {}))
    return store
