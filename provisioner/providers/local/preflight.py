"""What could go wrong on this computer, found before anything is made."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from provisioner.models import GIB, Finding, Findings, Severity, Spec
from provisioner.protocols import Packages
from provisioner.providers.local import accel, genericcloud, ports
from provisioner.providers.local.arch import host_arch
from provisioner.providers.local.bake import DISK_NEEDED
from provisioner.providers.local.choice import Kind
from provisioner.providers.local.folder import Owner
from provisioner.providers.local.running import Runner

OVERLAY = 4 * GIB
"""Free bytes that a machine's own changes need at least; a full disk would pause it."""

CONTAINERS = 8 * GIB
"""The same, for what a machine with nothing inside installs and builds."""

SLOW_BUILD = (
    "The container images will be built inside an emulated machine: its first start takes an hour"
    " or more. A baked image is made at full speed: provision bake, as root on Debian or Ubuntu"
)

_OTHER_PLACES = "network.cloud_image may name a mirror's address of it, or a file"
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def findings(
    spec: Spec,
    *,
    existing: Owner | None,
    running: bool,
    kind: Kind,
    ready: bool,
    obstacle: str,
    images: Path,
    missing: Packages | None,
    kernel: Path | None,
    run: Runner,
) -> Findings:
    """All of them, in the order in which a person would fix them. Takes up to 13 s.

    `ready`: the image of this `kind` is there. `obstacle`: why a cloud image, if that was thought
    of, cannot be had.
    """
    image = {Kind.BAKE: _bake, Kind.GENERICCLOUD: _cloud_image}[kind]
    found = [
        *_packages(missing),
        *_name(spec),
        *image(ready, obstacle, images),
        *_disk(spec, kind, ready, images),
    ]
    if not running:
        found += _network(spec, existing)
    if missing is None:
        chosen = accel.choose(spec.local.accel, host_arch(), run, kernel=kernel)
        found.append(chosen.finding)
        if kind is Kind.GENERICCLOUD and existing is None and not chosen.native:
            found.append(Finding(Severity.WARNING, "image", SLOW_BUILD))
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


def _bake(baked: bool, obstacle: str, images: Path) -> list[Finding]:
    if baked:
        return []
    if os.geteuid() != 0:
        message = "The image of the machine has to be made first, which needs root"
        hint = "sudo --preserve-env=HOME provision bake"
        if obstacle:
            message += f"; and Debian's cloud image, which needs none, cannot be had: {obstacle}"
            hint += f"\nor: {_OTHER_PLACES}"
        return [_error("image", message, hint)]
    message = f"The image of the machine will be made first, in {images}: some minutes, once"
    return [Finding(Severity.INFO, "image", message)]


def _cloud_image(ready: bool, obstacle: str, images: Path) -> list[Finding]:
    if obstacle and not ready:
        message = f"Debian's cloud image cannot be had: {obstacle}"
        return [_error("image", message, _OTHER_PLACES)]
    how = "" if ready else f"will be downloaded to {images}, and "
    message = f"Debian's cloud image {how}gets Docker and the container images at its first start"
    return [Finding(Severity.INFO, "image", message)]


def _disk(spec: Spec, kind: Kind, ready: bool, images: Path) -> list[Finding]:
    found = []
    image, overlay = {
        Kind.BAKE: (DISK_NEEDED, OVERLAY),
        Kind.GENERICCLOUD: (genericcloud.DISK_NEEDED, OVERLAY + CONTAINERS),
    }[kind]
    needs = {images: 0 if ready else image, spec.folder: overlay}
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
