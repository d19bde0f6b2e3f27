"""Materials: gathered on the operator's computer, sent to the server, switched to all at once.

<workshop>/materials/
    source.json   what they are gathered from
    checkout/     the repository, if it is one; its credentials stay in here
    staged/       what the server gets: see render/materials.py
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provisioner import sizing
from provisioner.errors import NotReady, Refused
from provisioner.models import Checkout, Finding, Findings, MaterialsSource, Severity
from provisioner.render import materials
from provisioner.settings import Settings, recorded
from provisioner.store import Record, write_private
from provisioner.survey import Entry, survey
from provisioner.workflow.checks import Climb
from provisioner.workflow.data import Supply, bring
from provisioner.workflow.tools import Tools

LEFT_OUT = frozenset({".git", ".ipynb_checkpoints", "__pycache__", ".DS_Store", ".Rhistory"})
"""What editors and tools leave beside what was made."""

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is staged. `files` is path → sha256, or link:target."""

    path: Path
    key: str
    folder: str
    url: str  # as participants would use it; "" when there is none
    branch: str
    commit: str
    files: dict[str, str]
    size: int  # bytes that each person gets


def check(tools: Tools, settings: Settings) -> Findings:
    """What speaks against these materials, before anything is made."""
    source = settings.materials_source()
    if source is None:
        return ()
    if is_repository(source):
        return tools.repositories.check(source) if tools.repositories else ()
    if not Path(source.source).is_dir():
        return (
            Finding(
                Severity.ERROR,
                "materials",
                f"the folder {source.source} does not exist",
                "make it, or change [materials] source",
            ),
        )
    look = _Look(Path(source.source), follow=not _in_a_repository(Path(source.source)))
    size = sum(entry.size for entry, _ in look.entries())
    said = (Finding(Severity.WARNING, "materials", ": ".join(words)) for words in look.warnings())
    return (*said, *_check_size(size, settings))


def _check_size(size: int, settings: Settings) -> Findings:
    disk = settings.limits().disk
    if size * 2 <= disk:
        return ()
    each = f"{sizing.format_size(size)} for each, of {sizing.format_size(disk)} of disk"
    if size > disk * 0.9:
        hint = "share what is large with [[data]], or a larger --disk"
        return (Finding(Severity.ERROR, "materials", each, hint),)
    return (Finding(Severity.WARNING, "materials", f"{each}: little is left for their own work"),)


def is_repository(source: MaterialsSource) -> bool:
    path = Path(source.source)
    bare = all((path / name).exists() for name in ("HEAD", "objects", "refs"))
    return materials.is_repository(source.source) or bare


def gather_first(tools: Tools, record: Record, settings: Settings) -> Gathered | None:
    """At a launch, before there is a machine. What was gathered once is what a launch brings."""
    source = settings.materials_source()
    if source is None:
        return None
    known = staged(tools, record)
    if known is not None:
        return known
    with tools.step(record.name, "materials", f"Gathering {_name(source)}", kind="") as step:
        return gather(tools, record, source, step.update)


def gather(
    tools: Tools,
    record: Record,
    source: MaterialsSource,
    say: Callable[[str], None],
    *,
    keep: bool = True,
) -> Gathered:
    """Have the materials as they are now in `staged`. Raises Refused.

    Unless `keep`, only what they are is answered: what is staged, and what it came from, stay as
    they were.
    """
    base = _base(tools, record)
    base.mkdir(mode=0o700, exist_ok=True)
    work, checkout = Path(source.source), None
    if is_repository(source):
        if tools.repositories is None:
            raise Refused("Materials can't come from a repository here")
        work = base / "checkout"
        checkout = tools.repositories.fetch(source, work, say)
        for warning in checkout.warnings:
            tools.reporter.warn(warning)
    elif not work.is_dir():
        raise Refused(f"The folder {work} is not there", hint="check --source")
    staging = base / "staged.new"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    say("copying")
    try:
        look = _Look(work, follow=checkout is None and not _in_a_repository(work))
        files, size = _stage(look, staging / "files")
        for words in look.warnings():
            tools.reporter.warn(": ".join(words))
        _refuse_what_nobody_can_use(files, size, source, recorded(record.settings))
        manifest = _describe(source, checkout, files, size)
        if keep:
            _complete(tools, staging, manifest, work, checkout)
            shutil.rmtree(base / "staged", ignore_errors=True)
            staging.rename(base / "staged")
            write_private(base / "source.json", json.dumps(asdict(source), indent=1))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return _gathered(base / "staged", manifest)


def _complete(
    tools: Tools, staging: Path, manifest: dict[str, Any], work: Path, checkout: Checkout | None
) -> None:
    """What lies beside the files."""
    if checkout is not None and tools.repositories is not None:
        tools.repositories.mirror(work, checkout.branch, staging / "repo.git")
    (staging / "sync.py").write_bytes(materials.sync_program())
    (staging / "gitconfig").write_text(materials.git_config(manifest["url"]), encoding="utf-8")
    (staging / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    _time_by_content(staging)


def _refuse_what_nobody_can_use(
    files: dict[str, str], size: int, source: MaterialsSource, settings: Settings
) -> None:
    if not files:
        raise Refused(f"There is nothing in {_name(source)}", hint="check [materials], or --source")
    for finding in _check_size(size, settings):
        if finding.severity is Severity.ERROR:
            raise Refused(f"The materials are {finding.message}", hint=finding.hint)


def _describe(
    source: MaterialsSource, checkout: Checkout | None, files: dict[str, str], size: int
) -> dict[str, Any]:
    """What materials.json is to the sync, and to the next push."""
    url = materials.public_url(source.source) if checkout else ""
    manifest: dict[str, Any] = {
        "version": 1,
        "folder": materials.folder_of(source),
        "url": url,
        "branch": checkout.branch if checkout else "",
        "commit": checkout.commit if checkout else "",
        "size": size,
        "files": files,
    }
    words = json.dumps(manifest, sort_keys=True).encode() + materials.sync_program()
    return manifest | {"id": hashlib.sha256(words).hexdigest()[:16]}


def staged(tools: Tools, record: Record) -> Gathered | None:
    """What was gathered last, if anything was."""
    path = _base(tools, record) / "staged"
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return _gathered(path, manifest)


def last_source(tools: Tools, record: Record) -> MaterialsSource | None:
    """Where the materials came from the last time, or come from as the workshop was asked for."""
    try:
        text = (_base(tools, record) / "source.json").read_text(encoding="utf-8")
        return MaterialsSource(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return recorded(record.settings).materials_source()


def send_materials(climb: Climb, settings: Settings, *, kind: str) -> None:
    """At a launch: the server has what was gathered, or what a push has brought since."""
    if settings.materials_source() is None or on_server(climb):
        return
    if found := gather_first(climb.tools, climb.record, settings):
        send(climb, found, kind=kind)


def on_server(climb: Climb) -> dict[str, Any]:
    """The manifest of what participants have before them; nothing when there is none."""
    text = climb.read(materials.MANIFEST)
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("files"), dict) else {}


def send(climb: Climb, found: Gathered, *, kind: str) -> None:
    """Whole, then switched to. Raises NotReady."""
    title = f"Sending the materials ({len(found.files)} files)"
    with climb.tools.step(climb.record.name, "send-materials", title, kind=kind) as step:
        supply = Supply(
            title,
            found.key,
            lambda remote, target, tell: remote.send_tree(found.path, target, tell),
        )
        bring(climb, supply, materials.INCOMING, step.update)
        done = climb.remote.run(materials.switch(found.key), timeout=300)
        if not done.ok:
            raise NotReady(
                "The server could not take the materials", details=(done.err.strip()[-500:],)
            )


def _base(tools: Tools, record: Record) -> Path:
    return tools.store.folder(record.name).path / "materials"


def _name(source: MaterialsSource) -> str:
    return materials.folder_of(MaterialsSource(source.source))


def _gathered(path: Path, manifest: dict[str, Any]) -> Gathered:
    keys = ("folder", "url", "branch", "commit", "files", "size")
    return Gathered(path, manifest["id"], **{key: manifest[key] for key in keys})


def _in_a_repository(folder: Path) -> bool:
    """Then its links may be anybody's who commits to it, as those of a clone are."""
    place = folder.resolve()
    return any((above / ".git").exists() for above in (place, *place.parents))


class _Look:
    """What is in a folder; and by name, what the organiser may not expect of it.

    `follow` takes what a link out of it leads to, as the organiser's own folder may have. What a
    repository's links lead to is this computer's, and nobody else's business.
    """

    def __init__(self, folder: Path, *, follow: bool) -> None:
        self.folder, self.follow = folder, follow
        self.left: list[str] = []
        self.outside: list[str] = []

    def entries(self) -> Iterator[tuple[Entry, Path]]:
        """Each with its place. Raises Refused."""
        found = survey(self.folder, follow=self.follow)
        if found.problems:
            raise Refused("The materials can't be read:", details=tuple(found.problems[:SHOWN]))
        left = [item.path for item in found.left_out]
        self.left = [path for path in left if not LEFT_OUT & {*path.split("/")}]
        for entry in found.entries:
            if LEFT_OUT & {*entry.path.split("/"), *entry.link.split("/")}:
                continue
            place = self.folder / entry.path
            if entry.kind != "l" and place.is_symlink():
                self.outside.append(f"{entry.path} leads to {os.path.realpath(place)}")
            yield entry, place

    def warnings(self) -> list[tuple[str, str]]:
        """What, which, once all entries were looked at."""
        said = []
        if self.outside:
            said.append((OUTSIDE, _some(self.outside, "; ")))
        if self.left:
            said.append(("Not among the materials", _some(self.left, ", ")))
        return said


OUTSIDE = "Everybody gets what these links lead to, from outside of the folder"


def _some(words: list[str], between: str) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return between.join(words[:SHOWN]) + more


def _stage(look: _Look, target: Path) -> tuple[dict[str, str], int]:
    """Copy, and say what each file is. The size is of all files together."""
    target.mkdir()
    files, size = {}, 0
    for entry, place in look.entries():
        to = target / entry.path
        if entry.kind == "d":
            to.mkdir(exist_ok=True)
            continue
        if entry.kind == "l":
            to.symlink_to(entry.link)
            files[entry.path] = f"link:{entry.link}"
            continue
        try:
            shutil.copyfile(place, to)
        except OSError as error:
            raise Refused(f"{place} can't be read: {error.strerror}") from None
        to.chmod(0o755 if entry.executable else 0o644)
        with to.open("rb") as file:
            files[entry.path] = hashlib.file_digest(file, "sha256").hexdigest()
        size += to.stat().st_size
    return files, size


def _time_by_content(folder: Path) -> None:
    """What is sent is told by size and time, so the time says what is in a file: what did not
    change is not sent again, whatever touched it, and what did change is, whatever its time."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            mode = b"x" if path.stat().st_mode & 0o100 else b"-"
            word = hashlib.sha256(digest + mode).digest()
            time = int.from_bytes(word[:7], "big") % 10**18  # nanoseconds; before 2001
            os.utime(path, ns=(time, time))
