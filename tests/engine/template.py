"""What machines are made from: the guest's files, and container images built by its own Docker.

The inputs are those of the local provider's bake, and so are the archives that it keeps.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from provisioner.cli.wiring import image_folder
from provisioner.errors import Refused
from provisioner.models import Bundle, Network
from provisioner.protocols import Reporter
from provisioner.providers.local import bake, recipes, trust
from provisioner.providers.local.arch import host_arch
from provisioner.providers.local.image import Recipe, Store, hash_of
from provisioner.providers.local.streaming import stream
from tests.engine import cache

GUEST = Path(__file__).parent / "guest"
KEPT = 4
"""Sets of images that are kept for the next start."""

OWN = frozenset({"overlay2", "engine-id", "network", "containerd", "buildkit", "tmp", "containers"})
"""In a data-root: what is shared by links, and what every Docker makes for itself."""


@dataclass(frozen=True, slots=True)
class Built:
    """The images of one bundle: name → id. `archive` has those that were not there before."""

    ids: dict[str, str]
    archive: Path | None = None


class Template:
    def __init__(self, network: Network) -> None:
        authorities = trust.private_authorities(network)
        self.recipe = Recipe(host_arch(), network.apt_mirror, authorities, "")
        self.store = Store(image_folder())
        rootfs, base = self.recipe.rootfs_inputs(), self.recipe.base_inputs()
        self.system = self.store.cache("debian", rootfs)
        self.base = self.store.cache("base", base)
        self.rootfs = cache.root() / f"rootfs-{hash_of(rootfs)}"
        self.docker = cache.root() / f"docker-{hash_of({'rootfs': rootfs, 'base': base})}"
        self.log = cache.root() / "build.log"

    @property
    def data(self) -> Path:
        return self.docker / "data"

    def ensure(self, reporter: Reporter) -> None:
        """The archives, made as a bake makes them, and the unpacked root file system."""
        with cache.held(self.rootfs.name), tempfile.TemporaryDirectory(dir=cache.root()) as name:
            work = Path(name)
            (work / "authorities").mkdir()
            for file, pem in self.recipe.authorities.items():
                (work / "authorities" / file).write_bytes(pem)
            tar = work / "made.tar"
            if not self.system.exists():
                command = recipes.debian(self.recipe, tar, work / "authorities")
                self._stream("Installing Debian for the machine", command, work, reporter)
                self._keep(tar, self.system)
            if not self.base.exists():
                command = recipes.base(self.recipe, tar)
                self._stream("Installing Debian for the containers", command, work, reporter)
                self._keep(tar, self.base)
            if not self.rootfs.exists():
                unpacked = work / "rootfs"
                unpacked.mkdir(mode=0o755)
                subprocess.run(recipes.unpack(self.system, unpacked), check=True)
                for name_ in ("systemctl", "journalctl"):
                    (unpacked / "usr/bin" / name_).unlink()
                (unpacked / "usr/sbin/xfs_quota").unlink()
                unpacked.replace(self.rootfs)

    def build(
        self, bundle: Bundle, reporter: Reporter, *, have: Iterable[str] = (), keep: Path
    ) -> Built:
        """Build what is not built yet. `have` are ids of images that a machine has already: what is
        missing among them comes as an archive below the folder `keep`.

        Raises Refused with the end of what the build said.
        """
        self.ensure(reporter)
        with cache.held(self.docker.name):
            known = self.docker / "built" / bundle.image_key
            if known.exists() and not self._missing(known, have):
                known.touch()
                return Built(json.loads(known.read_text()))
            self.data.mkdir(parents=True, exist_ok=True)
            known.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache.root(), prefix="build-") as name:
                work = Path(name)
                bake.place(bundle, self.recipe, work / "bundle")
                dropped = self._old(bundle.image_key)
                (work / "have").write_text("".join(f"{id_}\n" for id_ in have))
                (work / "drop").write_text("".join(f"{old.name}\n" for old in dropped))
                for old in dropped:
                    old.unlink()
                group = cache.group(work.name)
                command = ["sh", GUEST / "build.sh", self.rootfs, self.data, self.base, work, group]
                try:
                    self._stream(
                        "Building the container images", list(map(str, command)), work, reporter
                    )
                finally:
                    cache.remove_groups(work.name)
                lines = (work / "tmp/images").read_text().splitlines()
                ids = dict(line.split() for line in lines)
                known.write_text(json.dumps(ids))
                archive = work / "tmp/images.tar"
                if not archive.exists():
                    return Built(ids)
                archive.replace(keep / archive.name)
                return Built(ids, keep / archive.name)

    def copy(self, target: Path) -> None:
        """A data-root with the same images, for a Docker of its own. Seconds, and hardly any disk:
        layers never change, so they are shared by hard links."""
        with cache.held(self.docker.name):
            target.mkdir(mode=0o710)
            layers = self.data / "overlay2"
            subprocess.run(["cp", "-a", "--link", layers, target / "overlay2"], check=True)
            others = [path for path in self.data.iterdir() if path.name not in OWN]
            subprocess.run(["cp", "-a", *others, target], check=True)

    def _missing(self, known: Path, have: Iterable[str]) -> bool:
        return bool(set(json.loads(known.read_text()).values()) - set(have)) if have else False

    def _old(self, current: str) -> list[Path]:
        built = [path for path in (self.docker / "built").iterdir() if path.name != current]
        return sorted(built, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]

    def _keep(self, made: Path, cached: Path) -> None:
        cached.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, cached)

    def _stream(self, title: str, command: list[str], work: Path, reporter: Reporter) -> None:
        (work / "tmp").mkdir(exist_ok=True)
        with self.log.open("wb") as log, reporter.step(title) as step:
            update: Callable[[str], None] = step.update
            try:
                stream(recipes.contained(command), log, update, temporary=work / "tmp")
            except Refused as error:
                said = "\n".join(self.log.read_text(errors="replace").splitlines()[-80:])
                raise Refused(f"{error.message}\n{said}", hint=error.hint) from None
