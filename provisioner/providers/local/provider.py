"""LocalProvider: the Provider seam, and all optional ones, for one QEMU machine a workshop."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from provisioner.errors import Refused
from provisioner.models import (
    Findings,
    Found,
    Image,
    LocalOptions,
    Network,
    Resource,
    Server,
    ServerState,
    Size,
    Spec,
)
from provisioner.protocols import Packages, Reporter
from provisioner.providers.local import (
    accel,
    bake,
    packages,
    ports,
    preflight,
    process,
    qemu,
    trust,
)
from provisioner.providers.local.arch import firmware_of, host_arch
from provisioner.providers.local.choice import Kind
from provisioner.providers.local.folder import Owner, VmFolder, owned
from provisioner.providers.local.image import Golden, Store
from provisioner.providers.local.running import Runner, run
from provisioner.providers.local.seed import seed_files, vendor_data, write_seed
from provisioner.providers.local.selection import Selection


class LocalProvider:
    """Machines of this user on this computer.

    `home` holds one folder a workshop, with the machine in its `vm/`; `images` the golden images.
    """

    name = "local"

    def __init__(self, *, home: Path, images: Path, run: Runner = run) -> None:
        self._home, self._store, self._run = home, Store(images), run
        self._selection = Selection(self._store, run)

    # Provider

    def check(self, spec: Spec) -> Findings:
        machine = VmFolder(spec.folder / "vm")
        existing = machine.owner() if machine.owner_file.exists() else None
        kind = self._selection.kind(spec)
        golden = self._selection.golden(spec, kind)
        return preflight.findings(
            spec,
            existing=existing,
            running=process.find(spec.id) is not None,
            kind=kind,
            ready=golden is not None,
            obstacle=self._selection.obstacle(spec),
            images=self._store.path,
            missing=packages.missing(host_arch(), baking=kind is Kind.BAKE),
            kernel=_kernel(golden),
            run=self._run,
        )

    def create(self, spec: Spec) -> Server:
        """Start the machine unless it runs, on the disk that it has or a new one.

        Raises Refused: no golden image, a taken port, no working accelerator, QEMU's own words.
        """
        folder = VmFolder(spec.folder / "vm")
        owner = folder.owner()
        if owner and owner.id != spec.id:
            raise Refused(
                f"In {folder.path} lies the machine of another workshop {owner.name!r}",
                hint=f"provision teardown {owner.name}",
            )
        golden = self._store.golden(owner.image) if owner else self._image(spec)
        if golden is None or not golden.exists():
            raise Refused("The image of the machine is not made yet", hint="provision bake")
        if owner is None:
            owner = self._new_owner(spec, golden)
            folder.write_owner(owner)
        if not folder.seed.exists():
            write_seed(folder.seed, self._seed(spec, golden))
        if not folder.disk.exists():
            staging = folder.disk.with_suffix(".new")
            self._must(qemu.overlay(staging, golden.disk, owner.disk, form=golden.format))
            staging.replace(folder.disk)
        return self._start(folder, owner)

    def find(self, workshop_id: str) -> Server | None:
        for folder, owner in owned(self._home):
            if owner.id == workshop_id and (folder.disk.exists() or process.find(workshop_id)):
                return self._server(folder, owner)
        return None

    def delete(self, workshop_id: str) -> None:
        process.end(workshop_id)
        for folder, owner in owned(self._home):
            if owner.id == workshop_id:
                folder.remove()

    def leftovers(self, workshop_id: str) -> list[Resource]:
        running = process.find(workshop_id)
        found = [Resource("process", str(running.pid), f"kill {running.pid}")] if running else []
        return found + [
            Resource("files", str(folder.path), f"rm -r {folder.path}")
            for folder, owner in owned(self._home)
            if owner.id == workshop_id
        ]

    # HasCapacity

    def available(self) -> Size:
        """What is free now; disk is that of the fuller of the two places that fill."""
        free = min(
            shutil.disk_usage(preflight.existing_parent(path)).free
            for path in (self._home, self._store.path)
        )
        return Size(psutil.virtual_memory().available, psutil.cpu_count() or 1, free)

    # Discovers, ConsoleLog, Restarts

    def discover(self) -> list[Found]:
        """From the files, and from the process table where the files are gone.

        Machines of another home of the same user are none of our business.
        """
        running = {
            machine.id: machine
            for machine in process.machines()
            if machine.folder.is_relative_to(self._home)
        }
        found = {
            owner.id: Found(
                owner.id,
                owner.name,
                ServerState.RUNNING if owner.id in running else ServerState.STOPPED,
                str(folder.path),
            )
            for folder, owner in owned(self._home)
        }
        for machine in running.values():
            stray = Found(machine.id, machine.name, ServerState.RUNNING, f"process {machine.pid}")
            found.setdefault(machine.id, stray)
        return sorted(found.values(), key=lambda item: (item.name, item.id))

    def console(self, workshop_id: str) -> str:
        for folder, owner in owned(self._home):
            if owner.id == workshop_id and folder.serial.exists():
                return folder.serial.read_text(encoding="utf-8", errors="replace")
        return ""

    def rescue(self, workshop_id: str) -> Server:
        """Raises Refused when there is no disk to start from."""
        for folder, owner in owned(self._home):
            if owner.id == workshop_id and folder.disk.exists():
                return self._start(folder, owner, rescue=True)
        raise Refused("There is no disk of this workshop on this computer")

    # Bakes

    def bake(self, spec: Spec, reporter: Reporter) -> Image:
        key = self._selection.make(spec, reporter).manifest().key
        return next(item for item in self.images() if item.key == key)

    def baked(self, spec: Spec) -> bool:
        return self._image(spec) is not None

    def images(self) -> list[Image]:
        used: dict[str, list[str]] = {}
        for _, owner in owned(self._home):
            used.setdefault(owner.image, []).append(owner.name)
        return self._store.images(used)

    def prune(self, keep: Callable[[Image], bool]) -> Iterator[Image]:
        """Also removes what cut-short bakes left. Intermediate stages stay while an image does."""
        for item in self.images():
            if not item.in_use_by and not keep(item):
                self._store.remove(item)
                yield item
        bake.sweep(self._store)
        if not self.images():
            for stray in self._store.strays():
                stray.unlink()

    # NeedsPackages

    def missing_packages(self, local: LocalOptions, network: Network) -> Packages | None:
        """Those of making an image only where one would be made here."""
        kind = self._selection.decide(local, network)
        return packages.missing(host_arch(), baking=kind is Kind.BAKE)

    # The rest is how.

    def _image(self, spec: Spec) -> Golden | None:
        return self._selection.golden(spec, self._selection.kind(spec))

    def _seed(self, spec: Spec, golden: Golden) -> dict[str, bytes]:
        vendor = b""
        if golden.boots_itself:  # in a baked image all that is inside
            vendor = vendor_data(spec.network, trust.private_authorities(spec.network))
        return seed_files(
            workshop_id=spec.id, name=spec.name, user_data=spec.user_data, vendor_data=vendor
        )

    def _new_owner(self, spec: Spec, golden: Golden) -> Owner:
        taken = {
            port
            for _, other in owned(self._home)
            for port in (other.ssh_port, other.https_port)
            if other.id != spec.id
        }
        local = spec.local
        ssh = ports.choose("127.0.0.1", local.ssh_port, ports.FIRST_SSH, taken)
        https = ports.choose(local.bind, local.https_port, ports.FIRST_HTTPS, taken | {ssh})
        return Owner(
            id=spec.id,
            name=spec.name,
            image=golden.path.name,
            bind=local.bind,
            ssh_port=ssh,
            https_port=https,
            memory=spec.size.memory,
            cores=spec.size.cores,
            disk=max(spec.size.disk, golden.capacity),
            accel=local.accel,
        )

    def _start(self, folder: VmFolder, owner: Owner, *, rescue: bool = False) -> Server:
        if process.find(owner.id):
            return self._server(folder, owner)
        for bind, port in (("127.0.0.1", owner.ssh_port), (owner.bind, owner.https_port)):
            if reason := ports.problem(bind, port):
                raise Refused(f"On {bind}, {reason}; this workshop's machine needs it")
        golden = self._store.golden(owner.image)
        kernel = _kernel(golden)
        chosen = accel.choose(owner.accel, host_arch(), self._run, kernel=kernel).settled()
        owner = replace(owner, emulated=not chosen.native)
        folder.write_owner(owner)
        machine = qemu.Machine(
            id=owner.id,
            name=owner.name,
            size=owner.size,
            arch=host_arch(),
            accel=chosen,
            kernel=kernel,
            initrd=golden.initrd if kernel else None,
            firmware=None if kernel else firmware_of(host_arch()),
            disk=folder.disk,
            seed=folder.seed,
            serial=folder.serial,
            pidfile=folder.pidfile,
            bind=owner.bind,
            ports=owner.ports,
            rescue=rescue,
        )
        self._must(qemu.boot(machine))
        return self._server(folder, owner)

    def _must(self, command: list[str]) -> None:
        done = self._run(command)
        if not done.ok:
            lines = tuple(done.err.strip().splitlines())
            said = lines[-1] if lines else f"code {done.code}"
            raise Refused(f"{command[0]} failed: {said}", details=lines)

    def _server(self, folder: VmFolder, owner: Owner) -> Server:
        running = process.find(owner.id) is not None
        return Server(
            id=owner.id,
            state=ServerState.RUNNING if running else ServerState.STOPPED,
            address=owner.bind,
            ssh_host="127.0.0.1",
            ssh_port=owner.ssh_port,
            https_port=owner.https_port,
            slow=owner.emulated,
            about=(
                ("accelerator", "emulated (TCG)" if owner.emulated else "native"),
                ("image", owner.image),
                ("console", str(folder.serial)),
            ),
        )


def _kernel(golden: Golden | None) -> Path | None:
    """The one to start, and to prove the accelerator with; a downloaded disk brings its own."""
    return golden.kernel if golden and not golden.boots_itself else None
