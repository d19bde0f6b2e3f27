"""Debian's own cloud image as a golden one: downloaded and verified, where none can be baked.

It brings Debian and cloud-init and nothing of ours: the machine installs Docker and builds the
container images itself, at its first start. Needs no root, and no Debian on this computer.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from provisioner.errors import Refused
from provisioner.models import GIB, Network
from provisioner.protocols import Reporter
from provisioner.providers.local import bake, download, trust
from provisioner.providers.local.arch import Arch
from provisioner.providers.local.image import SUITE, Golden, Manifest, Store, hash_of

SITE = f"https://cloud.debian.org/images/cloud/{SUITE}/latest"
NAME = "debian-13-genericcloud-{arch}.qcow2"
SUMS = "SHA512SUMS"
FORMAT = 1
"""Changes when what is made of a download changes."""

DISK_NEEDED = GIB
"""Free bytes for a download of about 400 MB; how large it is, the server says later."""

ASKING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Original:
    """Where the image comes from: an address, or a file of this computer."""

    place: str
    arch: Arch

    @property
    def file(self) -> Path | None:
        return None if "://" in self.place else Path(self.place)

    @property
    def name(self) -> str:
        return posixpath.basename(self.place)

    @property
    def sums(self) -> str:
        """The address of its checksums, beside it."""
        return posixpath.join(posixpath.dirname(self.place), SUMS)

    def inputs(self, sha512: str) -> dict[str, object]:
        return {
            "format": FORMAT,
            "arch": self.arch.debian,
            "cloud_image": self.place,
            "sha512": sha512,
        }


def original(network: Network, arch: Arch) -> Original:
    return Original(network.cloud_image or f"{SITE}/{NAME.format(arch=arch.debian)}", arch)


def find(store: Store, wanted: Original) -> Golden | None:
    """The newest image from there that is here."""
    for item in store.images({}):
        inputs = Golden(item.path).manifest().inputs
        if (inputs.get("cloud_image"), inputs.get("arch")) == (wanted.place, wanted.arch.debian):
            return Golden(item.path)
    return None


def why_not(network: Network, wanted: Original) -> str:
    """Why it cannot be had right now, or "". Takes up to 10 s."""
    try:
        if wanted.file:
            return "" if wanted.file.is_file() else f"there is no file {wanted.file}"
        with download.client(trust.context(network)) as http:
            _published(download.text(http, wanted.sums, timeout=ASKING_SECONDS), wanted)
    except Refused as error:
        return error.message
    return ""


def fetch(store: Store, network: Network, wanted: Original, reporter: Reporter) -> Golden:
    """The newest image from there, downloaded now unless it is here.

    Raises Refused: out of reach with none here, wrong checksum, not qcow2, too little disk, or a
    folder that root made.
    """
    try:
        return _fetch(store, network, wanted, reporter)
    except PermissionError as error:
        raise Refused(
            f"{error.filename or store.path}: {error.strerror}",
            hint=f"an earlier bake as root made it: sudo chown -R $(id -un) {store.path}",
        ) from None


def _fetch(store: Store, network: Network, wanted: Original, reporter: Reporter) -> Golden:
    store.path.mkdir(parents=True, exist_ok=True)
    with download.client(trust.context(network)) as http:
        try:
            sha512 = _sum_of(http, wanted)
        except Refused as error:
            if there := find(store, wanted):
                reporter.note(f"{error.message}; taking the image that was downloaded before")
                return there
            raise Refused(
                f"Debian's cloud image cannot be had: {error.message}",
                hint="network.cloud_image may name a mirror's address of it, or a file",
            ) from None
        inputs = wanted.inputs(sha512)
        golden = store.golden(hash_of(inputs))
        if golden.exists():
            return golden
        with bake.alone(store, golden.path.name, reporter):
            if not golden.exists():  # another provision may have it by now
                _make(http, store, wanted, inputs, golden, reporter)
    return golden


def _sum_of(http: httpx.Client, wanted: Original) -> str:
    """A file of this computer is what it is, unless checksums lie beside it."""
    if wanted.file is None:
        return _published(download.text(http, wanted.sums), wanted)
    if not wanted.file.is_file():
        raise Refused(f"there is no file {wanted.file}")
    sums = Path(wanted.sums)
    if sums.is_file() and wanted.name in (text := sums.read_text(encoding="utf-8")):
        return _published(text, wanted)
    return download.sha512(wanted.file)


def _published(sums: str, wanted: Original) -> str:
    """What sha512sum(1) wrote about it."""
    line = re.compile(rf"^([0-9a-f]{{128}}) [ *]{re.escape(wanted.name)}$", re.MULTILINE)
    if found := line.search(sums):
        return found[1]
    raise Refused(f"{wanted.sums} does not name {wanted.name}")


def _make(
    http: httpx.Client,
    store: Store,
    wanted: Original,
    inputs: dict[str, object],
    golden: Golden,
    reporter: Reporter,
) -> None:
    key, started = golden.path.name, time.monotonic()
    bake.sweep(store, held=key)
    bake.require_space(store.path, DISK_NEEDED)
    made = Golden(store.work(key) / "image")
    made.path.mkdir(parents=True)
    try:
        title = "Copying the cloud image" if wanted.file else "Downloading Debian's cloud image"
        with reporter.step(title, usual=60.0) as step:

            def tell(here: int, total: int) -> None:
                of = f" of {total / 1e6:,.0f}" if total else ""
                step.update(f"{here / 1e6:,.0f}{of} MB")

            if wanted.file:
                download.copy(wanted.file, made.downloaded, tell)
            else:
                download.download(http, wanted.place, made.downloaded, tell)
        with reporter.step("Verifying its checksum", usual=2.0):
            _verify(made, wanted, str(inputs["sha512"]))
        seconds = {"download": round(time.monotonic() - started, 1)}
        bake.publish(made, golden, Manifest(key, bake.now(), made.used, inputs, seconds))
    finally:
        shutil.rmtree(store.work(key), ignore_errors=True)


def _verify(made: Golden, wanted: Original, expected: str) -> None:
    found = download.sha512(made.downloaded)
    if found != expected:
        raise Refused(
            f"{wanted.name} is not what {wanted.sums} says; it was deleted",
            hint="try again; if it stays so, a proxy on the way changes it",
            details=(f"expected SHA-512 {expected}", f"found SHA-512    {found}"),
        )
    made.downloaded.chmod(0o444)
    _ = made.capacity  # raises Refused for what is no qcow2, or not all of it
