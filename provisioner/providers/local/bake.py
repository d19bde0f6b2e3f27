"""Making a golden image: Debian, the container images in it, and a disk of both.

Nothing here needs a registry, a boot loader or hardware virtualisation; it needs root. Everything
happens in one folder that is renamed at the end, in namespaces that end with this process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from provisioner.errors import Refused
from provisioner.models import GIB, Bundle
from provisioner.protocols import Reporter
from provisioner.providers.local import cgroups, recipes
from provisioner.providers.local.image import Golden, Manifest, Recipe, Store
from provisioner.providers.local.streaming import stream

DISK_NEEDED = 16 * GIB
"""Free bytes for a bake: Debian, its archive, images of a few GB with their layers, the disk."""

USUAL = {"debian": 60.0, "base": 35.0, "unpack": 10.0, "containers": 240.0, "disk": 30.0}
"""Seconds on two cores."""


def bake(store: Store, recipe: Recipe, bundle: Bundle, reporter: Reporter) -> Golden:
    """The golden image of `recipe`, made now unless it is there.

    Raises Refused: without root or disk space, or with the tool's own last words in `details`.
    """
    golden = store.golden(recipe.key)
    if golden.exists():
        return golden
    if os.geteuid() != 0:
        raise Refused(
            "Making the image of the machine needs root",
            hint='sudo --preserve-env=HOME provision bake, or local.image = "genericcloud"',
        )
    store.path.mkdir(parents=True, exist_ok=True)
    with alone(store, recipe.key, reporter):
        if not golden.exists():  # another bake may have made it while we waited
            sweep(store, held=recipe.key)
            require_space(store.path, DISK_NEEDED)
            try:
                _make(store, recipe, bundle, golden, reporter)
            finally:
                shutil.rmtree(store.work(recipe.key), ignore_errors=True)
    return golden


def require_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path).free
    if free < needed:
        raise Refused(
            f"Making an image takes {needed / GIB:.0f} GiB of disk;"
            f" {path} has {free / GIB:.1f} GiB free",
            hint="provision bake --prune, or make room",
        )


def sweep(store: Store, *, held: str = "") -> None:
    """Remove what bakes that were cut short left behind. `held` is the key whose lock we hold."""
    for ruin in store.path.glob(".tmp-*"):
        key = ruin.name.removeprefix(".tmp-")
        with store.lock(key).open("a") as lock:
            if key != held and not _locked(lock):
                continue  # it is being made right now
            shutil.rmtree(ruin)
    cgroups.remove_empty()


def _locked(file: IO[str]) -> bool:
    """Lock `file` if nobody else has; closing it, or the end of this process, unlocks it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(store: Store, key: str, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of `key`, waiting for whoever has it."""
    with store.lock(key).open("a") as lock:
        if not _locked(lock):
            with reporter.step("Waiting for another provision that makes the same image"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(store: Store, recipe: Recipe, bundle: Bundle, golden: Golden, reporter: Reporter) -> None:
    work = store.work(recipe.key)
    rootfs, made = work / "rootfs", Golden(work / "image")
    for folder in (rootfs, made.path, work / "tmp", work / "authorities"):
        folder.mkdir(parents=True, mode=0o755)
    for name, pem in recipe.authorities.items():
        (work / "authorities" / name).write_bytes(pem)
    seconds: dict[str, float] = {}
    with store.log(recipe.key).open("wb") as log:

        def stage(name: str, title: str, *commands: list[str]) -> None:
            started = time.monotonic()
            with reporter.step(title, usual=USUAL[name]) as step:
                for command in commands:
                    stream(recipes.contained(command), log, step.update, temporary=work / "tmp")
            seconds[name] = round(time.monotonic() - started, 1)

        system = store.cache("debian", recipe.rootfs_inputs())
        if not system.exists():
            command = recipes.debian(recipe, work / "system.tar", work / "authorities")
            stage("debian", "Installing Debian for the machine", command)
            _keep(work / "system.tar", system)
        base = store.cache("base", recipe.base_inputs())
        if not base.exists():
            command = recipes.base(recipe, work / "base.tar")
            stage("base", "Installing Debian for the containers", command)
            _keep(work / "base.tar", base)
        stage("unpack", "Unpacking the machine's system", recipes.unpack(system, rootfs))
        place(bundle, recipe, rootfs / "opt/provision/bundle")
        group = cgroups.name()
        try:
            command = recipes.containers(rootfs, base, work, group)
            stage("containers", "Building the container images", command)
        finally:
            cgroups.remove_empty()
        for source, target in (("vmlinuz", made.kernel), ("initrd.img", made.initrd)):
            shutil.copyfile((rootfs / source).resolve(), target)
        size = recipes.disk_size(content=_content(rootfs))
        stage("disk", "Writing the disk", recipes.disk(rootfs, made.disk, size))
    publish(made, golden, Manifest(recipe.key, now(), made.used, recipe.inputs(), seconds))


def place(bundle: Bundle, recipe: Recipe, target: Path) -> None:
    """The files of the bundle, and the private authorities where its builds look for them."""
    authorities = {f"ca/{name}": pem for name, pem in recipe.authorities.items()}
    for path, content in (dict(bundle.files) | authorities).items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _keep(made: Path, cached: Path) -> None:
    cached.parent.mkdir(exist_ok=True)
    made.replace(cached)


def _content(rootfs: Path) -> tuple[int, int]:
    """Bytes on disk and number of files below `rootfs`."""
    bytes_, files = 0, 0
    for folder, _, names in os.walk(rootfs):
        for name in (*names, "."):
            bytes_ += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118
            files += 1
    return bytes_, files


def publish(made: Golden, golden: Golden, manifest: Manifest) -> None:
    """From now on, and not before, `golden` exists: all of it is on disk when its name is."""
    made.write_manifest(manifest)
    for file in made.path.iterdir():
        with file.open("rb") as content:
            os.fsync(content.fileno())
    if golden.path.exists():  # what is left of a removal cut short
        shutil.rmtree(golden.path)
    made.path.replace(golden.path)


def now() -> str:
    return datetime.now(UTC).isoformat()
