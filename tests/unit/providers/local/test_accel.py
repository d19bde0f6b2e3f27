"""KVM is believed when something ran under it. A small script stands in for QEMU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import Refused
from provisioner.models import Severity
from provisioner.providers.local import accel
from provisioner.providers.local.arch import ARCHES, Arch
from provisioner.providers.local.running import run

BEHAVIOURS = {
    "works": "exit 33",
    "hangs": "exec sleep 60",
    "aborts": "echo 'qemu: error: failed to set MSR 0x38d to 0x0' >&2; exit 134",
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "PROBE_SECONDS", 0.5)
    monkeypatch.setattr(accel, "KERNEL_SECONDS", 0.5)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "kvm"
    path.touch()
    return path


def fake_qemu(folder: Path, program: str, *, version: str = "10.0.2", kernel: str = "") -> Arch:
    script = folder / "qemu"
    script.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *--version*) echo "QEMU emulator version {version}"; exit;; esac\n'
        f'case "$*" in *-kernel*) {kernel or "exit 1"};; esac\n'
        f"{program}\n"
    )
    script.chmod(0o755)
    return replace(ARCHES["x86_64"], qemu=str(script))


def test_auto_takes_kvm_where_it_works(tmp_path: Path, device: Path) -> None:
    arch = fake_qemu(tmp_path, BEHAVIOURS["works"])
    choice = accel.choose("auto", arch, run, device=device, system="linux")
    assert choice.settled().name == "kvm"
    assert choice.finding.severity is Severity.INFO


@pytest.mark.parametrize("behaviour", ["hangs", "aborts"])
def test_auto_emulates_where_kvm_only_exists(tmp_path: Path, device: Path, behaviour: str) -> None:
    arch = fake_qemu(tmp_path, BEHAVIOURS[behaviour])
    choice = accel.choose("auto", arch, run, device=device, system="linux")
    assert choice.settled().name == "tcg"
    assert choice.finding.severity is Severity.WARNING
    assert ("hung" if behaviour == "hangs" else "MSR") in choice.finding.message


def test_a_kernel_has_the_last_word(tmp_path: Path, device: Path) -> None:
    kernel = tmp_path / "vmlinuz"
    stuck = fake_qemu(tmp_path, BEHAVIOURS["works"], kernel="sleep 60")
    assert accel.choose("auto", stuck, run, device=device, kernel=kernel).settled().name == "tcg"
    fine = fake_qemu(tmp_path, BEHAVIOURS["works"], kernel='echo "Kernel panic - not"; exit 0')
    assert accel.choose("auto", fine, run, device=device, kernel=kernel).settled().name == "kvm"


def test_without_the_device_nothing_is_tried(tmp_path: Path) -> None:
    arch = fake_qemu(tmp_path, "exit 99")
    choice = accel.choose("auto", arch, run, device=tmp_path / "none", system="linux")
    assert choice.settled().name == "tcg"
    assert "there is no" in choice.finding.message


def test_what_was_asked_for_and_does_not_work_is_refused(tmp_path: Path, device: Path) -> None:
    arch = fake_qemu(tmp_path, BEHAVIOURS["aborts"])
    choice = accel.choose("kvm", arch, run, device=device)
    assert choice.finding.severity is Severity.ERROR
    with pytest.raises(Refused, match="does not work"):
        choice.settled()


@pytest.mark.parametrize(("version", "threads"), [("7.2.1", "single"), ("9.0.0", "multi")])
def test_old_qemu_emulates_on_one_thread(tmp_path: Path, version: str, threads: str) -> None:
    arch = fake_qemu(tmp_path, "exit 1", version=version)
    assert accel.choose("tcg", arch, run).settled().options == f"tcg,thread={threads}"


def test_the_program_starts_where_a_processor_does() -> None:
    rom = accel.rom()
    assert len(rom) == 0x10000
    assert rom[0xFFF0:0xFFF5] == b"\xea\x00\x00\x00\xf0"
    assert rom[0x50:0x58] == bytes(8), "the descriptor table begins with nothing"
    assert rom[0x60:0x66] == b"\x0f\x00\x50\x00\x0f\x00"


def test_the_real_program_ends_under_emulation(tmp_path: Path) -> None:
    """Proof that the program is right: it ends where everything is emulated."""
    arch = ARCHES["x86_64"]
    try:
        emulator = accel.tcg(arch, run)
    except Refused as error:
        pytest.skip(error.message)
    firmware = tmp_path / "rom"
    firmware.write_bytes(accel.rom())
    assert run(accel.probe(arch, firmware, emulator), timeout=30).code == 33
