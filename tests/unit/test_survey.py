"""What of a folder is shared: links, odd names, and what can't be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner import survey as surveying
from provisioner.survey import Entry, survey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "a").write_text("abc")
    return made


def found(folder: Path) -> dict[str, Entry]:
    return {entry.path: entry for entry in survey(folder).entries}


def test_folders_come_before_what_is_in_them_and_sizes_add_up(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert [entry.path for entry in survey(folder).entries] == ["empty", "sub", "sub/a"]
    assert survey(folder).size == 3


def test_a_link_inside_stays_a_link_that_works_elsewhere(folder: Path) -> None:
    (folder / "sub" / "relative").symlink_to("a")
    (folder / "absolute").symlink_to(folder / "sub" / "a")
    entries = found(folder)
    assert (entries["sub/relative"].kind, entries["sub/relative"].link) == ("l", "a")
    assert (entries["absolute"].kind, entries["absolute"].link) == ("l", "sub/a")


def test_a_link_that_leads_out_is_followed(folder: Path, tmp_path: Path) -> None:
    large = tmp_path / "large disk"
    large.mkdir()
    (large / "tile").write_text("12345")
    (folder / "tiles").symlink_to(large)
    (folder / "one").symlink_to(large / "tile")
    entries = found(folder)
    assert entries["tiles"].kind == "d"
    assert (entries["tiles/tile"].kind, entries["tiles/tile"].size) == ("f", 5)
    assert (entries["one"].kind, entries["one"].size) == ("f", 5)
    assert survey(folder).from_outside == [
        f"{folder / 'one'} leads to {large / 'tile'}",
        f"{folder / 'tiles'} leads to {large}",
    ]


def test_what_has_no_end_or_no_beginning_is_left_out_and_said(folder: Path, tmp_path: Path) -> None:
    (folder / "round").symlink_to(tmp_path)
    (folder / "nothing").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    seen = survey(folder)
    assert [entry.path for entry in seen.entries] == ["sub", "sub/a"]
    assert len(seen.left_out) == 3
    assert not seen.problems


def test_a_file_that_cannot_be_read_is_a_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = str(folder / "sub" / "a")
    monkeypatch.setattr(surveying.os, "access", lambda path, mode: path != locked)
    assert survey(folder).problems == [f"{locked} can't be read: permission denied"]


def test_names_may_be_any_bytes(folder: Path) -> None:
    odd = os.fsencode(folder) + b"/new\nline \xff"
    with open(odd, "wb") as file:
        file.write(b"x")
    (name,) = (path for path in found(folder) if path.startswith("new"))
    assert os.fsencode(name) == b"new\nline \xff"


def test_the_fingerprint_knows_names_sizes_times_links_and_programs(folder: Path) -> None:
    seen = {survey(folder).fingerprint}
    (folder / "sub" / "a").chmod(0o755)
    seen.add(survey(folder).fingerprint)
    os.utime(folder / "sub" / "a", ns=(1, 1_000_000_001))
    seen.add(survey(folder).fingerprint)
    (folder / "sub" / "a").rename(folder / "sub" / "b")
    seen.add(survey(folder).fingerprint)
    (folder / "link").symlink_to("sub")
    seen.add(survey(folder).fingerprint)
    assert len(seen) == 5
    assert survey(folder).fingerprint in seen
