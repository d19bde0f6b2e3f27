"""Which way of executing a machine works here: found by doing it, because /dev/kvm may lie.

Nested and emulated KVMs exist that open, run a few instructions and then hang for ever. So a
program of a hundred bytes is run under it. It enters protected mode and uses the instructions that
Linux uses to unpack itself; when a kernel is at hand, that is started as well, up to its panic over
the missing disk.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import Refused
from provisioner.models import Finding, Severity
from provisioner.providers.local.arch import Arch
from provisioner.providers.local.qemu import Accel
from provisioner.providers.local.running import TIMED_OUT, Runner

PROBE_SECONDS = 3.0
"""The program takes 0.1 s where KVM works, and for ever where it hangs."""

KERNEL_SECONDS = 10.0

KVM = Path("/dev/kvm")
_SUBJECT = "accelerator"
_PASSED = (0x10 << 1) | 1  # what isa-debug-exit makes of the program's last word

_PROGRAM = bytes.fromhex(
    "fa 2e660f01166000"  # cli; lgdt (gdtr)
    "0f20c0 0c01 0f22c0"  # cr0 |= 1: protected mode
    "66ea18000f000800"  # ljmp 8:0xf0018, from here on in 32 bits
    "31c0 0fa2 83f807 7223"  # cpuid leaf 0: is there a leaf 7? else done
    "b807000000 31c9 0fa2"  # cpuid leaf 7
    "0fbae308 7314"  # is there BMI2, with its VEX encoding? else done
    "b801000000 b904000000"  # eax = 1; ecx = 4
    "c4e271f7c0 83f810 7504"  # shlx: eax <<= ecx; is it 16? else fail
    "b010 e6f4"  # done: out 0xf4, 0x10, and QEMU ends
    "f4 ebfd 8d742600 90"  # fail: halt for ever
    "0000000000000000 ffff0000009acf00"  # gdt: nothing; flat code
    "0f00 50000f00"  # gdtr
)


@dataclass(frozen=True, slots=True)
class Choice:
    """`accel` is None when what was asked for does not work; `finding` says so in words."""

    accel: Accel | None
    finding: Finding

    @property
    def native(self) -> bool:
        return self.accel is not None and self.accel.native

    def settled(self) -> Accel:
        """Raises Refused when there is none."""
        if self.accel is None:
            raise Refused(self.finding.message, hint=self.finding.hint)
        return self.accel


def rom() -> bytes:
    """64 KiB of firmware: the program, and the jump to it where the processor starts."""
    image = bytearray(b"\xf4" * 0x10000)
    image[: len(_PROGRAM)] = _PROGRAM
    image[0xFFF0:0xFFF5] = b"\xea\x00\x00\x00\xf0"
    return bytes(image)


def probe(arch: Arch, firmware: Path, accel: Accel) -> list[str]:
    """Ends with code 33 if the program came to its end."""
    return [
        *(arch.qemu, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", arch.machine, "-accel", accel.options, "-cpu", accel.cpu, "-m", "64"),
        *("-bios", str(firmware), "-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
    ]


def kernel_probe(arch: Arch, kernel: Path, accel: Accel) -> list[str]:
    """Says "Kernel panic" on stdout and ends with code 0."""
    return [
        *(arch.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", arch.machine, "-accel", accel.options, "-cpu", accel.cpu, "-m", "512"),
        *("-kernel", str(kernel), "-append", f"console={arch.console} panic=-1"),
        *("-serial", "stdio"),
    ]


def tcg(arch: Arch, run: Runner) -> Accel:
    """QEMU before version 9 crashes guests when it emulates them on several threads."""
    version = re.search(r"version (\d+)", run([arch.qemu, "--version"]).out)
    threads = "multi" if version and int(version[1]) >= 9 else "single"
    return Accel("tcg", f"tcg,thread={threads}", "max")


def choose(
    wanted: str,
    arch: Arch,
    run: Runner,
    *,
    kernel: Path | None = None,
    system: str = sys.platform,
    device: Path = KVM,
) -> Choice:
    """The accelerator for `wanted` (auto | kvm | hvf | tcg), proven. Takes up to 13 s.

    Raises Refused when QEMU is not installed.
    """
    if wanted == "tcg":
        return Choice(tcg(arch, run), _emulated("as asked"))
    name = {"auto": "hvf" if system == "darwin" else "kvm"}.get(wanted, wanted)
    native = Accel(name, name, "host")
    problem = _problem(native, arch, run, kernel, device)
    if not problem:
        fine = f"{name.upper()} works: the machine runs at full speed"
        return Choice(native, Finding(Severity.INFO, _SUBJECT, fine))
    if wanted == "auto":
        return Choice(tcg(arch, run), _emulated(problem))
    hint = "leave out --accel, and what works is found"
    return Choice(None, Finding(Severity.ERROR, _SUBJECT, problem, hint))


def _problem(accel: Accel, arch: Arch, run: Runner, kernel: Path | None, device: Path) -> str:
    """Why `accel` cannot be used, or "" if it was seen to work."""
    if accel.name == "hvf":
        listed = run([arch.qemu, "-accel", "help"])
        return "" if "hvf" in listed.out.split() else "this QEMU has no hvf"
    if not device.exists():
        return f"there is no {device}"
    try:
        device.open("r+b", buffering=0).close()
    except PermissionError:
        return f"{device} may not be used by you (is your user in the group kvm?)"
    except OSError as error:
        return f"{device} cannot be opened: {error.strerror}"
    return _program_problem(accel, arch, run) or _kernel_problem(accel, arch, run, kernel)


def _program_problem(accel: Accel, arch: Arch, run: Runner) -> str:
    if arch.debian != "amd64":
        return ""
    with tempfile.TemporaryDirectory(prefix="provision-") as folder:
        firmware = Path(folder) / "rom"
        firmware.write_bytes(rom())
        answer = run(probe(arch, firmware, accel), timeout=PROBE_SECONDS)
    if answer.code == _PASSED:
        return ""
    if answer.code == TIMED_OUT:
        return f"KVM is here but does not work: a test program hung for {PROBE_SECONDS:g} s"
    return f"KVM is here but does not work: {_last(answer.err) or f'QEMU ended with {answer.code}'}"


def _kernel_problem(accel: Accel, arch: Arch, run: Runner, kernel: Path | None) -> str:
    if kernel is None:
        return ""
    answer = run(kernel_probe(arch, kernel, accel), timeout=KERNEL_SECONDS)
    if answer.code == 0 and "Kernel panic" in answer.out:
        return ""
    return "KVM is here but does not work: Linux does not start under it"


def _emulated(reason: str) -> Finding:
    return Finding(
        Severity.WARNING,
        _SUBJECT,
        f"The machine will be emulated ({reason}): everything in it takes about ten times as long",
        "fine for a trial; for a workshop use a computer with KVM",
    )


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
