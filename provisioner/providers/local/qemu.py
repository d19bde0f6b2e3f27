"""QEMU's command lines, as values. Nothing here runs anything."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from provisioner.models import MIB, Size
from provisioner.providers.local.arch import Arch

NAME_PREFIX = "provision:"
"""With `-uuid`, what makes a process recognisable as one of ours."""

RESCUE_UNITS = (
    "provision-deadline.timer",
    "provision-deadline.service",
    "provision-stack.service",
    "docker.service",
    "docker.socket",
    "containerd.service",
)
"""What does not start in a machine that only hands out its files."""

RESCUE = tuple(f"systemd.mask={unit}" for unit in RESCUE_UNITS)
"""As kernel arguments, where those are ours."""

_NEVER = base64.b64encode(b"[Unit]\nConditionPathExists=/nonexistent\n").decode()

RESCUE_CREDENTIALS = tuple(
    f"io.systemd.credential.binary:systemd.unit-dropin.{unit}={_NEVER}" for unit in RESCUE_UNITS
)
"""As what systemd (256 and later) reads from the firmware, where the boot loader has the say."""


@dataclass(frozen=True, slots=True)
class Accel:
    """How instructions are executed. `native` is with hardware support."""

    name: str  # kvm | hvf | tcg
    options: str
    cpu: str

    @property
    def native(self) -> bool:
        return self.name != "tcg"


@dataclass(frozen=True, slots=True)
class Ports:
    """On the operator's machine. SSH is on loopback only."""

    ssh: int
    https: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything that one QEMU process is started with."""

    id: str
    name: str
    size: Size
    arch: Arch
    accel: Accel
    kernel: Path | None  # None: the disk has a boot loader
    initrd: Path | None
    disk: Path
    seed: Path
    serial: Path
    pidfile: Path
    bind: str
    ports: Ports
    rescue: bool = False
    firmware: Path | None = None  # starts the boot loader; None: QEMU's own


def boot(machine: Machine) -> list[str]:
    """Start in the background; the command returns once the machine runs, or fails in words."""
    return [
        machine.arch.qemu,
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-name", f"guest={NAME_PREFIX}{machine.name}", "-uuid", machine.id),
        *("-machine", machine.arch.machine),
        *("-accel", machine.accel.options, "-cpu", machine.accel.cpu),
        *("-smp", str(machine.size.cores), "-m", f"{machine.size.memory // MIB}M"),
        *(_own_kernel(machine) if machine.kernel else _boot_loader(machine)),
        *("-blockdev", _blockdev("root", "qcow2", machine.disk, writable=True)),
        *("-device", "virtio-blk-pci,drive=root,serial=root" + ("" if machine.kernel else _FIRST)),
        *("-blockdev", _blockdev("seed", "raw", machine.seed, writable=False)),
        *("-device", "virtio-blk-pci,drive=seed,serial=seed"),
        *("-netdev", _user_network(machine.bind, machine.ports)),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        *("-device", "virtio-rng-pci"),
        *("-chardev", f"file,id=serial,append=on,path={_escaped(machine.serial)}"),
        *("-serial", "chardev:serial"),
        *("-daemonize", "-pidfile", str(machine.pidfile)),
    ]


_FIRST = ",bootindex=0"


def _own_kernel(machine: Machine) -> list[str]:
    return [
        *("-kernel", str(machine.kernel), "-initrd", str(machine.initrd)),
        *("-append", " ".join(kernel_arguments(machine))),
    ]


def _boot_loader(machine: Machine) -> list[str]:
    words = ["-bios", str(machine.firmware)] if machine.firmware else []
    for credential in RESCUE_CREDENTIALS if machine.rescue else ():
        words += ["-smbios", f"type=11,value={credential}"]
    return words


def kernel_arguments(machine: Machine) -> list[str]:
    """`panic=10`: a crashed guest restarts by itself, as a cloud's would."""
    arguments = [
        *("root=/dev/vda", "rootfstype=ext4", "rw"),
        *(f"console={machine.arch.console}", "panic=10", "net.ifnames=0", "ds=nocloud"),
    ]
    if not machine.accel.native:  # an emulated processor does not speculate
        arguments.append("mitigations=off")
    return [*arguments, *(RESCUE if machine.rescue else ())]


def overlay(path: Path, golden: Path, size: int, *, form: str = "raw") -> list[str]:
    """Make a disk of `size` bytes that holds only what differs from `golden`, a disk in `form`."""
    return [
        *("qemu-img", "create", "-q", "-f", "qcow2"),
        *("-b", str(golden), "-F", form, str(path), str(size)),
    ]


def _blockdev(node: str, driver: str, path: Path, *, writable: bool) -> str:
    """JSON, so that no path needs escaping. Flushes of the guest reach the disk (the default)."""
    value: dict[str, object] = {
        "driver": driver,
        "node-name": node,
        "read-only": not writable,
        "discard": "unmap",
        "file": {"driver": "file", "filename": str(path), "discard": "unmap"},
    }
    return json.dumps(value)


def _user_network(bind: str, ports: Ports) -> str:
    return (
        "user,id=net,ipv6=off"
        f",hostfwd=tcp:127.0.0.1:{ports.ssh}-:22"
        f",hostfwd=tcp:{bind}:{ports.https}-:443"
    )


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
