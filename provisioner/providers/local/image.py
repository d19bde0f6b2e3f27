"""Golden images on disk: one folder each, named by a hash of everything it is made from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from provisioner.errors import Refused
from provisioner.models import Image, Spec
from provisioner.providers.local import qcow2
from provisioner.providers.local.arch import Arch

FORMAT = 1
"""Changes when what an image consists of changes in a way that its inputs do not show."""

SUITE = "trixie"

GUEST_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "kmod", "libpam-systemd", "initramfs-tools"),
    *("cloud-init", "cloud-guest-utils", "e2fsprogs", "xfsprogs", "gdisk", "zstd", "xz-utils"),
    *("netplan.io", "dhcpcd-base", "systemd-resolved", "systemd-timesyncd", "iproute2"),
    *("openssh-server", "sudo", "ca-certificates", "curl", "iptables", "iputils-ping", "netbase"),
    *("docker.io", "docker-cli", "docker-compose", "docker-buildx"),
    *("procps", "less", "nano"),
)
"""What a cloud image has, as far as cloud-init is content, and Docker. The kernel is the Arch's."""

BASE_PACKAGES = ("ca-certificates",)
"""Of the base of our own container images."""

_SETUP = Path(__file__).with_name("guest.sh")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that goes into an image, in the order in which it is used."""

    arch: Arch
    apt_mirror: str
    authorities: Mapping[str, bytes]  # file name → PEM
    image_key: str  # the container images'

    def rootfs_inputs(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "suite": SUITE,
            "arch": self.arch.debian,
            "packages": sorted((*GUEST_PACKAGES, self.arch.kernel)),
            "setup": _sha256(_SETUP.read_bytes()),
            "mirror": self.apt_mirror,
            "authorities": {name: _sha256(pem) for name, pem in sorted(self.authorities.items())},
        }

    def base_inputs(self) -> dict[str, object]:
        shared = ("format", "suite", "arch", "mirror")
        return {key: self.rootfs_inputs()[key] for key in shared} | {"packages": BASE_PACKAGES}

    def inputs(self) -> dict[str, object]:
        return {
            "rootfs": self.rootfs_inputs(),
            "base": self.base_inputs(),
            "containers": self.image_key,
        }

    @property
    def key(self) -> str:
        return hash_of(self.inputs())


def recipe(spec: Spec, arch: Arch, authorities: Mapping[str, bytes]) -> Recipe:
    """The environment is in it through `bundle.image_key`."""
    return Recipe(arch, spec.network.apt_mirror, authorities, spec.bundle.image_key)


def hash_of(inputs: Mapping[str, object]) -> str:
    """16 hexadecimal digits."""
    return _sha256(json.dumps(inputs, sort_keys=True).encode())[:16]


@dataclass(frozen=True, slots=True)
class Manifest:
    key: str
    created_at: str  # ISO 8601, UTC
    size: int  # bytes on disk
    inputs: dict[str, object]
    seconds: dict[str, float]  # of each stage


@dataclass(frozen=True, slots=True)
class Golden:
    """The files of one image."""

    path: Path

    @property
    def downloaded(self) -> Path:
        return self.path / "disk.qcow2"

    @property
    def boots_itself(self) -> bool:
        """A downloaded disk has a boot loader; a baked one is started with the kernel beside it."""
        return self.downloaded.is_file()

    @property
    def disk(self) -> Path:
        return self.downloaded if self.boots_itself else self.path / "disk.raw"

    @property
    def format(self) -> str:
        """Of the disk, in QEMU's words."""
        return "qcow2" if self.boots_itself else "raw"

    @property
    def capacity(self) -> int:
        """Bytes that the guest sees; its own disk cannot be smaller."""
        return qcow2.capacity(self.disk) if self.boots_itself else self.disk.stat().st_size

    @property
    def kernel(self) -> Path:
        return self.path / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.path / "initrd.img"

    @property
    def used(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_blocks * 512 for file in self.path.iterdir())

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.json"

    def exists(self) -> bool:
        return self.manifest_file.is_file()

    def manifest(self) -> Manifest:
        return Manifest(**json.loads(self.manifest_file.read_text(encoding="utf-8")))

    def write_manifest(self, manifest: Manifest) -> None:
        self.manifest_file.write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Store:
    """The folder of golden images, shared by all workshops of this user."""

    path: Path

    def golden(self, key: str) -> Golden:
        return Golden(self.path / key)

    def cache(self, kind: str, inputs: Mapping[str, object]) -> Path:
        """Where the tar archive of an intermediate stage is kept."""
        return self.path / "cache" / f"{kind}-{hash_of(inputs)}.tar"

    def work(self, key: str) -> Path:
        """Where the image is made. Whoever holds `lock(key)` owns it; all else is a ruin."""
        return self.path / f".tmp-{key}"

    def lock(self, key: str) -> Path:
        return self.path / f".lock-{key}"

    def log(self, key: str) -> Path:
        return self.path / f"bake-{key}.log"

    def images(self, used_by: Mapping[str, list[str]]) -> list[Image]:
        """All finished images, newest first. `used_by` is image key → workshops' names."""
        found = [self._image(file.parent, used_by) for file in self.path.glob("*/manifest.json")]
        return sorted(found, key=lambda image: image.created_at, reverse=True)

    def remove(self, image: Image) -> None:
        """The manifest goes first: what is left of a removal cut short is no image any more.

        Raises Refused when root made it and we are not root.
        """
        try:
            Golden(image.path).manifest_file.unlink(missing_ok=True)
            shutil.rmtree(image.path)
        except PermissionError as error:
            raise Refused(
                f"{image.path} may not be removed: {error.strerror}",
                hint="run the same command with: sudo --preserve-env=HOME",
            ) from None
        self.log(image.key).unlink(missing_ok=True)
        self.lock(image.key).unlink(missing_ok=True)

    def strays(self) -> Iterator[Path]:
        """Intermediate stages: needed by no machine, only to make the next image sooner."""
        yield from sorted((self.path / "cache").glob("*.tar"))

    def _image(self, path: Path, used_by: Mapping[str, list[str]]) -> Image:
        manifest = Golden(path).manifest()
        return Image(
            manifest.key,
            path,
            manifest.size,
            datetime.fromisoformat(manifest.created_at),
            tuple(used_by.get(manifest.key, ())),
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
