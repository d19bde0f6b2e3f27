from __future__ import annotations

import base64
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from provisioner.models import GIB, Size
from provisioner.providers.local import process, qemu
from provisioner.providers.local.arch import ARCHES

MACHINE = qemu.Machine(
    id="an-id",
    name="demo",
    size=Size(memory=3 * GIB, cores=2, disk=20 * GIB),
    arch=ARCHES["x86_64"],
    accel=qemu.Accel("tcg", "tcg,thread=multi", "max"),
    kernel=Path("/images/k/vmlinuz"),
    initrd=Path("/images/k/initrd.img"),
    disk=Path('/home/a,b "c"/disk.qcow2'),
    seed=Path("/home/a,b/seed.iso"),
    serial=Path("/home/a,b/serial.log"),
    pidfile=Path("/home/a,b/pid"),
    bind="192.0.2.7",
    ports=qemu.Ports(ssh=2222, https=8443),
)


def options(argv: list[str], name: str) -> list[str]:
    return [value for option, value in pairwise(argv) if option == name]


def test_ssh_is_on_loopback_and_https_where_the_operator_said() -> None:
    (network,) = options(qemu.boot(MACHINE), "-netdev")
    assert "hostfwd=tcp:127.0.0.1:2222-:22" in network
    assert "hostfwd=tcp:192.0.2.7:8443-:443" in network
    assert network.count("hostfwd") == 2


def test_paths_may_hold_anything() -> None:
    disk, seed = (json.loads(value) for value in options(qemu.boot(MACHINE), "-blockdev"))
    assert disk["file"]["filename"] == '/home/a,b "c"/disk.qcow2'
    assert (disk["read-only"], seed["read-only"]) == (False, True)
    assert options(qemu.boot(MACHINE), "-chardev") == [
        "file,id=serial,append=on,path=/home/a,,b/serial.log"
    ]


def test_flushes_of_the_guest_are_kept() -> None:
    assert "unsafe" not in " ".join(qemu.boot(MACHINE))
    assert "no-flush" not in " ".join(qemu.boot(MACHINE))


def test_the_process_is_recognised_by_its_own_command_line() -> None:
    assert process.identify(qemu.boot(MACHINE)) == ("an-id", "demo", Path("/home/a,b"))


def test_rescue_switches_deadline_and_bundle_off() -> None:
    (normal,) = options(qemu.boot(MACHINE), "-append")
    (rescue,) = options(qemu.boot(replace(MACHINE, rescue=True)), "-append")
    assert "systemd.mask" not in normal
    for unit in ("provision-deadline.timer", "provision-stack.service", "docker.service"):
        assert f"systemd.mask={unit}" in rescue.split()


def test_mitigations_go_only_where_the_processor_is_emulated() -> None:
    native = replace(MACHINE, accel=qemu.Accel("kvm", "kvm", "host"))
    assert "mitigations=off" in qemu.kernel_arguments(MACHINE)
    assert "mitigations=off" not in qemu.kernel_arguments(native)


def test_memory_in_mebibytes_and_cores() -> None:
    argv = qemu.boot(MACHINE)
    assert options(argv, "-m") == ["3072M"]
    assert options(argv, "-smp") == ["2"]


ITSELF = replace(MACHINE, kernel=None, initrd=None)


def test_a_disk_with_a_boot_loader_is_left_to_it() -> None:
    argv = qemu.boot(ITSELF)
    assert not {"-kernel", "-initrd", "-append", "-bios", "-smbios"} & set(argv)
    root, seed, *_ = options(argv, "-device")
    assert root.endswith(",bootindex=0")
    assert "bootindex" not in seed
    assert process.identify(argv) == ("an-id", "demo", Path("/home/a,b"))


def test_uefi_starts_it_where_the_machine_has_no_firmware() -> None:
    argv = qemu.boot(replace(ITSELF, arch=ARCHES["aarch64"], firmware=Path("/usr/x/EFI.fd")))
    assert options(argv, "-bios") == ["/usr/x/EFI.fd"]


def test_rescue_reaches_a_boot_loaders_machine_through_its_firmware() -> None:
    told = options(qemu.boot(replace(ITSELF, rescue=True)), "-smbios")
    units = {}
    for value in told:
        kind, _, words = value.partition(",")
        name, _, content = words.removeprefix("value=io.systemd.credential.binary:").partition("=")
        assert kind == "type=11"
        assert "," not in words, "QEMU would end the value there"
        units[name.removeprefix("systemd.unit-dropin.")] = base64.b64decode(content).decode()
    assert set(units) == set(qemu.RESCUE_UNITS)
    assert set(units.values()) == {"[Unit]\nConditionPathExists=/nonexistent\n"}
    assert "-smbios" not in qemu.boot(replace(MACHINE, rescue=True)), "kernel arguments do it there"


def test_the_overlay_names_the_format_below() -> None:
    """A guest could write a qcow2 head into a raw disk, and a QEMU that guesses would obey it."""
    baked = qemu.overlay(Path("/o"), Path("/g/disk.raw"), 5)
    assert options(baked, "-F") == ["raw"]
    assert options(qemu.overlay(Path("/o"), Path("/g"), 5, form="qcow2"), "-F") == ["qcow2"]
