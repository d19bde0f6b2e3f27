"""What stack/materials.py does to a home, and what no home can make it do. No container."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SYNC = Path(__file__).parents[2] / "stack" / "materials.py"


@pytest.fixture(scope="module")
def sync() -> ModuleType:
    spec = importlib.util.spec_from_file_location("materials_sync", SYNC)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["materials_sync"] = module
    spec.loader.exec_module(module)
    return module


class Room:
    """Materials as the server has them, and one person's home."""

    def __init__(self, sync: ModuleType, path: Path) -> None:
        self.sync, self.materials, self.home = sync, path / "materials", path / "home"
        self.folder = self.home / "course"
        self.home.mkdir()
        (self.materials / "files").mkdir(parents=True)

    def upstream(self, files: dict[str, str | None]) -> None:
        """Add or change files; None takes one away. "→x" is a link to x, "!x" can be run."""
        for name, text in files.items():
            path = self.materials / "files" / name
            path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                continue
            if text.startswith("→"):
                path.symlink_to(text[1:])
            else:
                path.write_text(text)
                path.chmod(0o755 if text.startswith("!") else 0o644)
        there = [item for item in (self.materials / "files").rglob("*") if not item.is_dir()]
        there += [item for item in (self.materials / "files").rglob("*") if item.is_symlink()]
        sums = {
            str(item.relative_to(self.materials / "files")): f"link:{item.readlink()}"
            if item.is_symlink()
            else hashlib.sha256(item.read_bytes()).hexdigest()
            for item in there
        }
        key = hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()
        manifest = {"version": 1, "id": key, "folder": "course", "files": sums}
        (self.materials / "manifest.json").write_text(json.dumps(manifest))

    def push(self, *, anew: bool = True) -> dict[str, Any]:
        said: dict[str, Any] = self.sync.deliver(str(self.materials), str(self.home), anew=anew)
        return said

    def has(self) -> dict[str, str]:
        return {
            str(item.relative_to(self.folder)): item.read_text()
            for item in sorted(self.folder.rglob("*"))
            if item.is_file()
        }


@pytest.fixture
def room(sync: ModuleType, tmp_path: Path) -> Room:
    return Room(sync, tmp_path)


def words(said: dict[str, Any]) -> dict[str, Any]:
    """Only what happened."""
    return {key: value for key, value in said.items() if value and key != "folder"}


def notebook(*sources: str, output: str = "", indent: int = 1, **metadata: Any) -> str:
    outputs = [{"output_type": "stream", "name": "stdout", "text": [output]}] if output else []
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {},
            "source": source.splitlines(keepends=True),
            "execution_count": 1 if output else None,
            "outputs": outputs,
        }
        for number, source in enumerate(sources)
    ]
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=indent)


def test_everything_arrives_with_modes_and_links(room: Room) -> None:
    room.upstream(
        {"intro.ipynb": notebook("1"), "data/a.csv": "1,2", "run.sh": "!x", "b.csv": "→data/a.csv"}
    )
    said = room.push()
    assert words(said) == {"added": ["b.csv", "data/a.csv", "intro.ipynb", "run.sh"]}
    assert room.has() == {
        "b.csv": "1,2",
        "data/a.csv": "1,2",
        "intro.ipynb": notebook("1"),
        "run.sh": "!x",
    }
    assert (room.folder / "b.csv").readlink() == Path("data/a.csv")
    assert (room.folder / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (room.folder / "data/a.csv").stat().st_mode & 0o777 == 0o644
    assert not any((room.home / ".provision/materials.part").iterdir())


#         before, theirs, after: None is "not there"; → what happens, what they have then
CASES: dict[str, tuple[str | None, str | None, str | None, dict[str, Any], dict[str, str]]] = {
    "nothing new": ("1", "1", "1", {}, {"a.txt": "1"}),
    "new": (None, None, "2", {"added": ["a.txt"]}, {"a.txt": "2"}),
    "new, and they have the same": (None, "2", "2", {}, {"a.txt": "2"}),
    "new, and they have another": (
        None,
        "mine",
        "2",
        {"both": ["a.txt"]},
        {"a.txt": "mine", "a (new).txt": "2"},
    ),
    "upstream changed": ("1", "1", "2", {"updated": ["a.txt"]}, {"a.txt": "2"}),
    "they changed": ("1", "mine", "1", {"kept": ["a.txt"]}, {"a.txt": "mine"}),
    "both changed": (
        "1",
        "mine",
        "2",
        {"both": ["a.txt"]},
        {"a.txt": "mine", "a (new).txt": "2"},
    ),
    "both changed alike": ("1", "2", "2", {}, {"a.txt": "2"}),
    "they deleted": ("1", None, "1", {}, {}),
    "they deleted, and it changed": ("1", None, "2", {"added": ["a.txt"]}, {"a.txt": "2"}),
    "removed upstream": ("1", "1", None, {"left": ["a.txt"]}, {"a.txt": "1"}),
    "removed upstream and by them": ("1", None, None, {}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_becomes_of_a_file(room: Room, case: str) -> None:
    before, theirs, after, happens, then = CASES[case]
    room.upstream({"a.txt": before})
    room.push()
    room.folder.mkdir(exist_ok=True)
    (room.folder / "a.txt").unlink(missing_ok=True)
    if theirs is not None:
        (room.folder / "a.txt").write_text(theirs)
    room.upstream({"a.txt": after})
    assert words(room.push()) == happens
    assert room.has() == then
    again = words(room.push())
    assert again in ({}, {"kept": ["a.txt"]}), "a second time changes nothing"
    assert room.has() == then


@pytest.mark.parametrize(
    ("theirs", "after", "happens"),
    [
        (notebook("1", output="ran"), notebook("1"), {"kept": ["n.ipynb"]}),
        (notebook("1", output="ran"), notebook("2"), {"both": ["n.ipynb"]}),
        (notebook("mine"), notebook("2"), {"both": ["n.ipynb"]}),
        # Lab saved it in its own way: nobody's work
        (
            notebook("1", indent=2, kernelspec={"name": "x"}),
            notebook("2"),
            {"updated": ["n.ipynb"]},
        ),
        # they typed the correction that was shown to all, and ran it
        (notebook("2", output="ran"), notebook("2"), {}),
        ("no notebook at all", notebook("2"), {"both": ["n.ipynb"]}),
        ('{"cells": [[1]]}', notebook("2"), {"both": ["n.ipynb"]}),
    ],
)
def test_notebooks(room: Room, theirs: str, after: str, happens: dict[str, Any]) -> None:
    room.upstream({"n.ipynb": notebook("1")})
    room.push()
    (room.folder / "n.ipynb").write_text(theirs)
    room.upstream({"n.ipynb": after})
    assert words(room.push()) == happens
    kept = after if "updated" in happens else theirs
    assert (room.folder / "n.ipynb").read_text() == kept
    if "both" in happens:
        assert (room.folder / "n (new).ipynb").read_text() == after


def test_a_new_one_beside_gives_way_only_while_nobody_worked_in_it(room: Room) -> None:
    room.upstream({"a.txt": "1"})
    room.push()
    (room.folder / "a.txt").write_text("mine")
    for text in ("2", "3"):
        room.upstream({"a.txt": text})
        assert words(room.push()) == {"both": ["a.txt"]}
    assert room.has() == {"a.txt": "mine", "a (new).txt": "3"}
    (room.folder / "a (new).txt").write_text("mine, too")
    room.upstream({"a.txt": "4"})
    room.push()
    assert room.has() == {"a.txt": "mine", "a (new).txt": "mine, too", "a (new 2).txt": "4"}


def test_a_name_that_the_materials_use_is_not_free(room: Room) -> None:
    room.upstream({"a.txt": "1"})
    room.push()
    (room.folder / "a.txt").write_text("mine")
    room.upstream({"a.txt": "2", "a (new).txt": "of theirs"})
    room.push()
    assert room.has() == {"a.txt": "mine", "a (new).txt": "of theirs", "a (new 2).txt": "2"}


def test_names_of_all_kinds(room: Room) -> None:
    names = ["ä ö/ü.txt", "no suffix", ".hidden", "-dash", "new\nline", 'q"uote', "x" * 240]
    room.upstream(dict.fromkeys(names, "1"))
    room.push()
    for name in names:
        (room.folder / name).write_text("mine")
    room.upstream(dict.fromkeys(names, "2"))
    said = room.push()
    assert said["both"] == sorted(names)
    assert (room.folder / ".hidden (new)").read_text() == "2"


def test_a_start_looks_at_nothing_when_nothing_is_new(room: Room) -> None:
    room.upstream({"a.txt": "1"})
    assert words(room.push(anew=False)) == {"added": ["a.txt"]}
    (room.folder / "a.txt").unlink()
    shutil.rmtree(room.materials / "files")  # it would be noticed
    assert words(room.push(anew=False)) == {}


def test_what_was_killed_half_way_is_finished(room: Room, sync: ModuleType) -> None:
    room.upstream({f"{number}.txt": str(number) for number in range(5)})
    kill = (
        "import os, runpy, sys\nsync = runpy.run_path(sys.argv[1])\n"
        "put, left = sync['Sync'].put, [2]\n"
        "def dies(*args, **options):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0: os._exit(9)\n"
        "    return put(*args, **options)\n"
        "sync['Sync'].put = dies\n"
        "sync['deliver'](sys.argv[2], sys.argv[3], anew=True)\n"
    )
    words_ = [sys.executable, "-c", kill, str(SYNC), str(room.materials), str(room.home)]
    assert subprocess.run(words_, check=False).returncode == 9
    assert len(room.has()) == 2
    (room.home / ".provision/materials.part/left").write_text("half a file")
    assert words(room.push()) == {"added": ["2.txt", "3.txt", "4.txt"]}
    assert not any((room.home / ".provision/materials.part").iterdir())
    assert words(room.push()) == {}


def test_a_full_home_is_said_and_made_good_later(
    room: Room, sync: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.upstream({"a.txt": "1", "b.txt": "1"})
    room.push()
    (room.folder / "a.txt").write_text("mine")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    room.upstream({"a.txt": "2", "b.txt": "2", "c.txt": "2"})
    with monkeypatch.context() as broken:
        broken.setattr(sync, "_copy", full)
        said = room.push()
    assert said["full"] is True
    assert set(said["failed"]) == {"a.txt", "b.txt", "c.txt"}
    assert room.has() == {"a.txt": "mine", "b.txt": "1"}
    assert "the home is full" in (room.home / ".provision/materials.log").read_text()
    assert words(room.push(anew=False)) == {
        "added": ["c.txt"],
        "updated": ["b.txt"],
        "both": ["a.txt"],
    }


@pytest.mark.parametrize("state", ["", "[]", "{", '{"folders": {"course": [1]}}', "[" * 100_000])
def test_a_state_that_was_broken_costs_nobody_anything(room: Room, state: str) -> None:
    room.upstream({"a.txt": "1", "b.txt": "1"})
    room.push()
    (room.folder / "a.txt").write_text("mine")
    (room.home / ".provision/materials.json").write_text(state)
    room.upstream({"b.txt": "2"})
    assert words(room.push()) == {"both": ["a.txt", "b.txt"]}
    assert room.has()["a.txt"] == "mine"
    assert words(room.push()) == {"kept": ["a.txt", "b.txt"]}


def outside(room: Room) -> Path:
    """Something of somebody else's, which no delivery may touch."""
    path = room.home.parent / "outside"
    (path / "data").mkdir(parents=True)
    (path / "a.txt").write_text("not yours")
    (path / "data/a.csv").write_text("not yours")
    return path


def hostile_homes() -> dict[str, Any]:
    def folder_leads_out(room: Room, away: Path) -> None:
        (room.home / "course").symlink_to(away)

    def folder_is_a_file(room: Room, away: Path) -> None:
        (room.home / "course").write_text("x")

    def file_leads_out(room: Room, away: Path) -> None:
        room.folder.mkdir()
        (room.folder / "a.txt").symlink_to(away / "a.txt")

    def inner_folder_leads_out(room: Room, away: Path) -> None:
        room.folder.mkdir()
        (room.folder / "data").symlink_to(away / "data")

    def own_folder_leads_out(room: Room, away: Path) -> None:
        (room.home / ".provision").symlink_to(away)

    def own_files_lead_out(room: Room, away: Path) -> None:
        (room.home / ".provision").mkdir()
        for name in ("materials.json", "materials.lock", "materials.log", "materials.part"):
            (room.home / ".provision" / name).symlink_to(away / "a.txt")

    def pipes_everywhere(room: Room, away: Path) -> None:
        room.folder.mkdir()
        (room.home / ".provision").mkdir()
        os.mkfifo(room.folder / "a.txt")
        os.mkfifo(room.home / ".provision/materials.json")
        os.mkfifo(room.home / ".provision/materials.log")

    def folders_for_files(room: Room, away: Path) -> None:
        (room.folder / "a.txt/x").mkdir(parents=True)
        (room.home / ".provision/materials.json").mkdir(parents=True)

    made = (
        *(folder_leads_out, folder_is_a_file, file_leads_out, inner_folder_leads_out),
        *(own_folder_leads_out, own_files_lead_out, pipes_everywhere, folders_for_files),
    )
    return {make.__name__: make for make in made}


@pytest.mark.parametrize("hostile", hostile_homes())
def test_nothing_outside_of_the_home_is_touched(room: Room, hostile: str) -> None:
    away = outside(room)
    before = {str(item): item.stat().st_mtime_ns for item in away.rglob("*")}
    hostile_homes()[hostile](room, away)
    room.upstream({"a.txt": "1", "data/a.csv": "1", "z.txt": "1"})
    for _ in range(2):
        said = room.push()
        assert {str(item): item.stat().st_mtime_ns for item in away.rglob("*")} == before
        assert (away / "a.txt").read_text() == "not yours"
    if hostile in {"file_leads_out", "inner_folder_leads_out", "pipes_everywhere"}:
        assert (room.folder / "z.txt").read_text() == "1", "the rest arrives all the same"
    else:
        assert said["failed"] or hostile == "folders_for_files"


def test_two_at_once_wait_for_each_other(
    room: Room, sync: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "PATIENCE", 0.2)
    room.upstream({"a.txt": "1"})
    room.push()
    room.upstream({"a.txt": "2"})
    with (room.home / ".provision/materials.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "still at work" in str(room.push()["failed"])
        assert room.has() == {"a.txt": "1"}
    assert words(room.push()) == {"updated": ["a.txt"]}


def test_what_is_saved_at_this_moment_is_theirs(
    room: Room, sync: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.upstream({"a.txt": "1"})
    room.push()
    room.upstream({"a.txt": "2"})
    put = sync.Sync.put

    def late(self: Any, *args: Any, **options: Any) -> None:
        (room.folder / "a.txt").write_text("saved just now")
        put(self, *args, **options)

    monkeypatch.setattr(sync.Sync, "put", late)
    assert "being written" in room.push()["failed"]["a.txt"]
    monkeypatch.setattr(sync.Sync, "put", put)
    assert words(room.push()) == {"both": ["a.txt"]}
    assert room.has() == {"a.txt": "saved just now", "a (new).txt": "2"}


def test_what_is_saved_while_the_new_one_is_copied_is_theirs(
    room: Room, sync: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.upstream({"a.txt": "1"})
    room.push()
    room.upstream({"a.txt": "2"})
    copy = sync._copy

    def slow(*args: Any, **options: Any) -> None:
        copy(*args, **options)
        (room.folder / "a.txt").write_text("saved meanwhile")

    with monkeypatch.context() as slowly:
        slowly.setattr(sync, "_copy", slow)
        assert "being written" in room.push()["failed"]["a.txt"]
    assert room.has() == {"a.txt": "saved meanwhile"}
    assert not any((room.home / ".provision/materials.part").iterdir())
    assert words(room.push()) == {"both": ["a.txt"]}


def test_what_is_saved_once_the_one_beside_was_read_is_theirs(
    room: Room, sync: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.upstream({"a.txt": "1"})
    room.push()
    (room.folder / "a.txt").write_text("mine")
    room.upstream({"a.txt": "2"})
    room.push()
    room.upstream({"a.txt": "3"})
    reads = sync.Place.sum

    def then_saved(self: Any, name: str) -> str:
        said: str = reads(self, name)
        if name == "a (new).txt":
            (room.folder / name).write_text("mine, too")
        return said

    with monkeypatch.context() as late:
        late.setattr(sync.Place, "sum", then_saved)
        assert "being written" in room.push()["failed"]["a.txt"]
    assert room.has() == {"a.txt": "mine", "a (new).txt": "mine, too"}
    room.push()
    assert room.has()["a (new 2).txt"] == "3"


@pytest.mark.parametrize("length", [10, 200])
def test_what_is_said_stays_whole_however_much_it_is(
    room: Room, sync: ModuleType, length: int
) -> None:
    paths = [f"{'ä' * length}/{number}" for number in range(3000)]
    said = {"folder": "course", "added": paths, "failed": dict.fromkeys(paths, "full"), "kept": []}
    line = sync.answer(said)
    found = json.loads(line)
    assert len(line) < 1_000_000
    assert found["counts"] == {"added": 3000, "failed": 3000, "kept": 0}
    assert 100 <= len(found["added"]) == len(found["failed"]) <= 1000
