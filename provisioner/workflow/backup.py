"""Participants' homes, brought to the operator's machine: one archive a person, read back."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provisioner.errors import NotReady
from provisioner.protocols import Remote
from provisioner.render import commands
from provisioner.workflow.tools import Tools


@dataclass(frozen=True, slots=True)
class Backup:
    path: Path
    people: tuple[str, ...]


def backup_homes(tools: Tools, name: str, workshop_id: str, remote: Remote) -> Backup:
    """Fetch every home over `remote`. A home that can't be read back raises NotReady."""
    listed = remote.run(commands.list_homes())
    if not listed.ok:
        raise NotReady("The server did not say whose homes it has", details=(listed.err.strip(),))
    people = tuple(sorted(listed.out.split()))
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    target = tools.store.backups / f"{name}-{stamp}"
    if not people:
        return Backup(target, ())
    target.mkdir(mode=0o700, parents=True)
    title = f"Bringing home the files of {count_people(len(people))}"
    with tools.step(name, "backup", title, kind=tools.provider.name) as shown:
        files = {}
        for number, username in enumerate(people, 1):
            shown.update(f"{number} of {len(people)}: {username}")
            files[username] = _fetch(remote, username, target)
        manifest = {"workshop": name, "id": workshop_id, "at": stamp, "files": files}
        (target / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    tools.reporter.note(f"their files are in {target}")
    return Backup(target, people)


def count_people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"


def _fetch(remote: Remote, username: str, target: Path) -> int:
    """One home → `<username>.tar.gz`; answers with the number of its entries."""
    partial = target / f"{username}.tar.gz.part"
    with partial.open("wb") as sink:
        result = remote.receive(commands.archive_home(username), sink, timeout=300)
    if not result.ok:
        raise NotReady(
            f"The home of {username} could not be archived", details=(result.err.strip(),)
        )
    try:
        with tarfile.open(partial, "r:gz") as archive:
            entries = sum(1 for _ in archive)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise NotReady(f"The archive of {username}'s home is damaged: {error}") from None
    partial.rename(target / f"{username}.tar.gz")
    return entries
