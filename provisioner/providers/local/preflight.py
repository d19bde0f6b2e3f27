"""What could go wrong on this computer, found before anything is made."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from provisioner.models import GIB, Finding, Findings, Severity, Spec
from provisioner.protocols import Packages
from provisioner.providers.local import accel, ports
from provisioner.providers.local.arch import host_arch
from provisioner.providers.local.bake import DISK_NEEDED
from provisioner.providers.local.folder import Owner
from provisioner.providers.local.running import Runner

OVERLAY = 4 * GIB
"""Free bytes that a machine's own changes need at least; a full disk would pause it."""

_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def findings(
    spec: Spec,
    *,
    existing: Owner | None,
    running: bool,
    baked: bool,
    images: Path,
    missing: Packages | None,
    kernel: Path | None,
    run: Runner,
) -> Findings:
    """All of them, in the order in which a person would fix them. Takes up to 13 s."""
    found = [
        *_packages(missing),
        *_name(spec),
        *_bake(baked, images),
        *_disk(spec, baked, images),
    ]
    if not running:
        found += _network(spec, existing)
    if missing is None:
        found.append(accel.choose(spec.local.accel, host_arch(), run, kernel=kernel).finding)
    return tuple(found)


def existing_parent(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _packages(missing: Packages | None) -> list[Finding]:
    if missing is None:
        return []
    names = ", ".join(missing.names)
    return [_error("packages", f"These system packages are missing: {names}", missing.command)]


def _name(spec: Spec) -> list[Finding]:
    if _HOSTNAME.fullmatch(spec.name):
        return []
    message = (
        f"{spec.name!r} cannot be a host name: lower-case letters, digits and hyphens, up to 63"
    )
    return [_error("name", message)]


def _bake(baked: bool, images: Path) -> list[Finding]:
    if baked:
        return []
    if os.geteuid() != 0:
        message = "The image of the machine has to be made first, which needs root"
        return [_error("image", message, "sudo --preserve-env=HOME provision bake")]
    message = f"The image of the machine will be made first, in {images}: some minutes, once"
    return [Finding(Severity.INFO, "image", message)]


def _disk(spec: Spec, baked: bool, images: Path) -> list[Finding]:
    found = []
    needs = {images: 0 if baked else DISK_NEEDED, spec.folder: OVERLAY}
    places: dict[int, tuple[Path, int]] = {}
    for path, needed in needs.items():
        parent = existing_parent(path)
        device = parent.stat().st_dev
        before = places.get(device, (parent, 0))[1]
        places[device] = (parent, before + needed)
    for path, needed in places.values():
        free = shutil.disk_usage(path).free
        if free < needed:
            message = f"{path} has {free / GIB:.1f} GiB free; {needed / GIB:.0f} GiB are needed"
            found.append(_error("disk", message, "make room, or provision bake --prune"))
        elif free < needed + spec.size.disk:
            message = (
                f"The machine's disk may grow to {spec.size.disk / GIB:.0f} GiB;"
                f" {path} has {free / GIB:.1f} GiB free"
            )
            found.append(Finding(Severity.WARNING, "disk", message))
    return found


def _network(spec: Spec, existing: Owner | None) -> list[Finding]:
    bind = existing.bind if existing else spec.local.bind
    if reason := ports.bind_problem(bind):
        return [_error("bind", reason, "127.0.0.1 for this computer only, 0.0.0.0 for everybody")]
    fixed = {
        "ssh_port": ("127.0.0.1", existing.ssh_port if existing else spec.local.ssh_port),
        "https_port": (bind, existing.https_port if existing else spec.local.https_port),
    }
    return [
        _error(subject, f"On {address}, {reason}", "choose another one, or 0 for any free one")
        for subject, (address, port) in fixed.items()
        if port and (reason := ports.problem(address, port))
    ]


def _error(subject: str, message: str, hint: str = "") -> Finding:
    return Finding(Severity.ERROR, subject, message, hint)
