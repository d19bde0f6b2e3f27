"""Shared folders go to the server once, and again only when they have changed here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from provisioner.errors import NotReady
from provisioner.models import DataFolder
from provisioner.render import commands
from provisioner.workflow.checks import Climb


def send_data(climb: Climb, folders: tuple[DataFolder, ...], *, kind: str) -> None:
    """Bring every folder to where the bundle expects it. Raises NotReady, NotYet."""
    for number, folder in enumerate(folders):
        if not folder.source.is_dir():
            raise NotReady(
                f"The folder {folder.source} for {folder.path} is not there",
                hint="put it back, then launch again",
            )
        target, stamp = commands.data_folder(number), commands.data_stamp(number)
        wanted = fingerprint(folder.source)
        if climb.remote.run(commands.read_file(stamp)).out.strip() == wanted:
            continue
        title = f"Copying {folder.source.name} for {folder.path}"
        with climb.tools.step(climb.record.name, f"data-{number}", title, kind=kind) as shown:
            climb.remote.send_tree(
                folder.source,
                target,
                lambda sent, total: shown.update(f"{sent / 1e6:.0f} of {total / 1e6:.0f} MB"),
            )
            kept = climb.remote.run(commands.write_file(stamp), stdin=wanted.encode())
            if not kept.ok:
                raise NotReady(f"{stamp} could not be written", details=(kept.err.strip(),))


def fingerprint(folder: Path) -> str:
    """Of names, sizes and times of modification: reading gigabytes each time would take longer."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            line = f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()
