"""One workshop's machine on disk: `vm/` in its folder, with a file that says whose it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from provisioner.errors import Refused
from provisioner.models import Size
from provisioner.providers.local.qemu import Ports


@dataclass(frozen=True, slots=True)
class Owner:
    """What a machine was made with; equal at every start of it."""

    id: str
    name: str
    image: str  # key of the golden image
    bind: str
    ssh_port: int
    https_port: int
    memory: int
    cores: int
    disk: int
    accel: str  # as asked for
    emulated: bool = False  # as it was at the last start

    @property
    def ports(self) -> Ports:
        return Ports(self.ssh_port, self.https_port)

    @property
    def size(self) -> Size:
        return Size(self.memory, self.cores, self.disk)


@dataclass(frozen=True, slots=True)
class VmFolder:
    path: Path

    @property
    def owner_file(self) -> Path:
        return self.path / "owner.json"

    @property
    def disk(self) -> Path:
        return self.path / "disk.qcow2"

    @property
    def seed(self) -> Path:
        return self.path / "seed.iso"

    @property
    def serial(self) -> Path:
        return self.path / "serial.log"

    @property
    def pidfile(self) -> Path:
        return self.path / "pid"

    def owner(self) -> Owner | None:
        """None when there is none. Raises Refused when it cannot be read."""
        try:
            return Owner(**json.loads(self.owner_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise Refused(
                f"{self.owner_file} cannot be read: {error}",
                hint=f"if no machine of it is needed any more: rm -r {self.path}",
            ) from None

    def write_owner(self, owner: Owner) -> None:
        """Atomic, and on disk before anything is made that it accounts for."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        staging = self.owner_file.with_suffix(".new")
        with staging.open("w", encoding="utf-8") as target:
            json.dump(asdict(owner), target, indent=1)
            target.flush()
            os.fsync(target.fileno())
        staging.replace(self.owner_file)

    def remove(self) -> None:
        """The owner goes last, so that a removal cut short is found again."""
        if not self.path.exists():
            return
        for entry in self.path.iterdir():
            if entry != self.owner_file:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
        self.owner_file.unlink(missing_ok=True)
        self.path.rmdir()


def owned(home: Path) -> Iterator[tuple[VmFolder, Owner]]:
    """Every machine on disk below `home`; unreadable ones are passed over."""
    for file in sorted(home.glob("*/vm/owner.json")):
        folder = VmFolder(file.parent)
        try:
            owner = folder.owner()
        except Refused:
            continue
        if owner:
            yield folder, owner
