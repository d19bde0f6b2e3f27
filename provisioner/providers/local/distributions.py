"""What Debian's packages are called where there is no apt-get: for a person to type, never run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence

_FEDORA = {
    "qemu-utils": "qemu-img",
    "qemu-system-arm": "qemu-system-aarch64",
    "qemu-efi-aarch64": "edk2-aarch64",
}
_SUSE = {
    "qemu-utils": "qemu-img",
    "qemu-system-x86": "qemu-x86",
    "qemu-system-arm": "qemu-arm",
    "qemu-efi-aarch64": "qemu-uefi-aarch64",
}
_HOMEBREW = dict.fromkeys(
    ("qemu-utils", "qemu-system-x86", "qemu-system-arm", "qemu-efi-aarch64"), "qemu"
)

MANAGERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "dnf": ("sudo dnf install", _FEDORA),
    "pacman": ("sudo pacman -S", _FEDORA),  # the same names
    "zypper": ("sudo zypper install", _SUSE),
    "brew": ("brew install", _HOMEBREW),
}
"""Program → what installs with it, and Debian's name → the name there, where they differ."""


def command(names: Sequence[str], *, which: Callable[[str], str | None] = shutil.which) -> str:
    """The command that installs `names` on this computer; "" where apt-get does, or nothing known.

    Untried names are only ever shown: whoever types them sees at once whether they are right.
    """
    if which("apt-get"):
        return ""
    for manager, (install, known) in MANAGERS.items():
        if which(manager):
            return " ".join([install, *dict.fromkeys(known.get(name, name) for name in names)])
    return ""
