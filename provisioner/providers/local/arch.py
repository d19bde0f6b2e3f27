"""What differs between processor families, as data."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import Refused


@dataclass(frozen=True, slots=True)
class Arch:
    debian: str  # Debian's name for it
    qemu: str
    machine: str
    console: str
    kernel: str  # Debian's kernel package
    packages: tuple[str, ...]  # Debian's packages that bring `qemu`
    firmware: tuple[str, ...] = ()  # where UEFI lies; none: QEMU's own firmware is enough
    firmware_packages: tuple[str, ...] = ()


ARCHES = {
    "x86_64": Arch(
        "amd64",
        "qemu-system-x86_64",
        "q35",
        "ttyS0",
        "linux-image-cloud-amd64",
        ("qemu-system-x86",),
    ),
    "aarch64": Arch(
        "arm64",
        "qemu-system-aarch64",
        "virt",
        "ttyAMA0",
        "linux-image-cloud-arm64",
        ("qemu-system-arm",),
        (
            "/usr/share/AAVMF/AAVMF_CODE.fd",  # Debian, Ubuntu
            "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
            "/usr/share/edk2/aarch64/QEMU_EFI.fd",  # Fedora, Arch
            "/usr/share/qemu/edk2-aarch64-code.fd",  # QEMU's own, as others package it
            "/opt/homebrew/share/qemu/edk2-aarch64-code.fd",
            "/usr/local/share/qemu/edk2-aarch64-code.fd",
        ),
        ("qemu-efi-aarch64",),
    ),
}


def firmware_of(arch: Arch) -> Path | None:
    """The UEFI that a disk with a boot loader of its own is started by, if one is installed."""
    return next((Path(path) for path in arch.firmware if Path(path).is_file()), None)


def host_arch() -> Arch:
    """The guest has the host's architecture; all else would be emulated for no reason.

    Raises Refused on any other family.
    """
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    if machine not in ARCHES:
        raise Refused(f"No virtual machines are made for {machine}")
    return ARCHES[machine]
