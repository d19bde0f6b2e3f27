from __future__ import annotations

import pytest

from provisioner.providers.local import distributions

NAMES = ("qemu-utils", "qemu-system-x86")


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("apt-get", ""),
        ("dnf", "sudo dnf install qemu-img qemu-system-x86"),
        ("pacman", "sudo pacman -S qemu-img qemu-system-x86"),
        ("brew", "brew install qemu"),
        ("nothing", ""),
    ],
)
def test_the_command_is_the_distributions_own(program: str, command: str) -> None:
    found = distributions.command(NAMES, which=lambda name: name if name == program else None)
    assert found == command
