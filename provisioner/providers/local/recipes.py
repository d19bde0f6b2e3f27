"""The commands that make a golden image, as values. All of them run as root."""

from __future__ import annotations

import shlex
from pathlib import Path

from provisioner.models import GIB, MIB
from provisioner.providers.local.image import BASE_PACKAGES, GUEST_PACKAGES, SUITE, Recipe

_HERE = Path(__file__).parent
_EXCLUDED = ("man", "locale", "doc", "info")


def contained(command: list[str]) -> list[str]:
    """In namespaces of its own, which end, with every process and mount, when the caller ends."""
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *command,
    ]


def debian(recipe: Recipe, target: Path, authorities: Path) -> list[str]:
    """The machine's root file system, as a tar archive."""
    setup = f'sh {shlex.quote(str(_HERE / "guest.sh"))} "$1" {shlex.quote(str(authorities))}'
    packages = (*GUEST_PACKAGES, recipe.arch.kernel)
    return [
        *_mmdebstrap(packages, recipe),
        f"--customize-hook={setup}",
        *(SUITE, str(target), *_sources(recipe.apt_mirror)),
    ]


def base(recipe: Recipe, target: Path) -> list[str]:
    """The root file system that container images start from, as a tar archive."""
    return [
        *_mmdebstrap(BASE_PACKAGES, recipe),
        *(SUITE, str(target), *_sources(recipe.apt_mirror)),
    ]


def unpack(archive: Path, target: Path) -> list[str]:
    return [
        *("tar", "--extract", "--file", str(archive), "--directory", str(target)),
        *("--numeric-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*"),
    ]


def containers(rootfs: Path, base: Path, work: Path, cgroup: str) -> list[str]:
    return ["sh", str(_HERE / "containers.sh"), str(rootfs), str(base), str(work), cgroup]


def disk(rootfs: Path, target: Path, size: int) -> list[str]:
    """A file system without partitions; the guest grows it to the size of its disk."""
    return ["mke2fs", "-q", "-t", "ext4", "-L", "root", "-m", "1", "-d", str(rootfs),
            str(target), f"{size // MIB}M"]  # fmt: skip


def disk_size(*, content: tuple[int, int]) -> int:
    """Bytes for `content` (bytes, files): inodes and tables, a journal, and room to boot."""
    size, files = content
    needed = int(size * 1.05) + files * 256 + GIB
    by_inodes = int(files * 1.3) * 16384  # mke2fs makes one inode for 16 KiB
    return -(-max(needed, by_inodes) // GIB) * GIB


def _mmdebstrap(packages: tuple[str, ...], recipe: Recipe) -> list[str]:
    return [
        *(
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            f"--architectures={recipe.arch.debian}",
        ),
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _EXCLUDED),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    ]


def _sources(mirror: str) -> list[str]:
    """Without a mirror, mmdebstrap takes Debian's own with updates and security."""
    if not mirror:
        return []
    return [f"deb {mirror} {SUITE} main", f"deb {mirror} {SUITE}-updates main"]
