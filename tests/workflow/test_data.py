"""Shared data in the order of events: what is measured before, and what a lost connection costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, NotYet, Refused
from provisioner.models import GIB, DataSource, Download, Link, Secret, Severity
from provisioner.providers.fake import FakeRemote
from provisioner.settings import Settings
from provisioner.workflow import measured, planning
from provisioner.workflow.launch import launch
from provisioner.workflow.tools import Tools
from tests.doubles import FakeClock, Listener, fake_tools

SUM = "0" * 64
OBJECTS = {"source": "s3://tiles/2025", "path": "/tessera", "variable": "TESSERA_DATA_DIR"}
FILE = {"source": "https://example.org/tiles.tar", "path": "/tiles", "sha256": SUM}


class Somewhere:
    """Downloads that are said to be there."""

    def __init__(self, **files: int | None) -> None:
        self.files = files
        self.refuses = ""

    def listing(self, source: DataSource) -> tuple[Download, ...]:
        if self.refuses:
            raise Refused(self.refuses, hint="aws sso login")
        return tuple(Download(name, size, version=str(size)) for name, size in self.files.items())

    def links(self, source: DataSource, wanted: Sequence[Download]) -> tuple[Link, ...]:
        return tuple(Link(Secret("https://example.org")) for _ in wanted)


@pytest.fixture
def tools(own_home: Path) -> Tools:
    return replace(fake_tools(own_home), downloads=Somewhere(a=3 * GIB, b=GIB))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tiles"
    made.mkdir()
    (made / "a.npy").write_bytes(b"12345")
    return made


def settings(*data: dict[str, str]) -> Settings:
    return Settings(name="tessera", users=2, provider="fake", data=data)  # type: ignore[arg-type]


def go(tools: Tools, *data: dict[str, str]) -> None:
    launch(tools, settings(*data), base_image="")


def on_the_server(tools: Tools) -> Any:
    (found,) = tools.provider.discover()  # type: ignore[attr-defined]
    return tools.provider.read(found.id)["files"]  # type: ignore[attr-defined]


def steps(tools: Tools) -> list[str]:
    assert isinstance(tools.reporter, Listener)
    return [step for step in tools.reporter.steps if step.startswith(("Copying", "Fetching"))]


def test_the_server_fetches_what_is_elsewhere_and_only_once(tools: Tools) -> None:
    go(tools, OBJECTS)
    assert on_the_server(tools) == {"/opt/provision/data/0": ["a", "b"]}
    go(tools, OBJECTS)
    assert steps(tools) == ["Fetching 2 files for /tessera"]
    go(replace(tools, downloads=Somewhere(a=3 * GIB, b=7)), OBJECTS)
    assert steps(tools) == ["Fetching 2 files for /tessera"] * 2


def test_participants_are_told_where_it_is_by_a_variable() -> None:
    made = settings(OBJECTS).environment_for("")
    assert ("TESSERA_DATA_DIR", "/tessera") in made.variables


def test_one_variable_cannot_say_two_things() -> None:
    with pytest.raises(ValueError, match="TESSERA_DATA_DIR is set twice"):
        settings(OBJECTS, {**OBJECTS, "path": "/other"})


def test_the_machine_is_as_large_as_the_data_demands(tools: Tools, folder: Path) -> None:
    def disk(*data: dict[str, str]) -> int:
        asked = settings(*data)
        size = measured.data_bytes(tools, asked)
        made = planning.draft(tools.store, tools.provider, asked, base_image="", data=size)
        return made.spec.size.disk

    without = disk()
    assert disk(OBJECTS) >= without + 4 * GIB
    both = disk(OBJECTS, {"source": str(folder), "path": "/tiles"})
    assert both >= disk(OBJECTS) + 5


def test_the_servers_copies_of_the_materials_have_room_too(tools: Tools, folder: Path) -> None:
    asked = {"name": "tessera", "users": 2, "provider": "fake"}
    from_folder = Settings(**asked, materials={"source": str(folder)})  # type: ignore[arg-type]
    assert measured.data_bytes(tools, from_folder) == 3 * 5
    git = "https://git.example.org/course.git"
    from_git = Settings(**asked, materials={"source": git})  # type: ignore[arg-type]
    assert measured.data_bytes(tools, from_git) == from_git.limits().disk


def test_a_disk_that_the_data_is_too_large_for_is_refused_with_numbers(tools: Tools) -> None:
    tools = replace(tools, downloads=Somewhere(a=600 * GIB))
    with pytest.raises(Refused) as error:
        go(tools, OBJECTS)
    assert "600.0 GiB of data" in error.value.details[0]
    assert tools.provider.discover() == []  # type: ignore[attr-defined]


def test_going_on_asks_for_the_same_machine_though_the_data_has_grown(tools: Tools) -> None:
    go(tools, OBJECTS)
    record = tools.store.load("tessera")
    assert record is not None
    assert record.data_bytes == 4 * GIB
    grown = replace(tools, downloads=Somewhere(a=5 * GIB))
    made = planning.outline(grown.store, grown.provider, settings(OBJECTS), base_image="")
    assert made.record.data_bytes == 4 * GIB


def test_what_cannot_be_read_is_refused_before_anything_is_made(
    tools: Tools, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.survey.os.access", lambda path, mode: False)
    with pytest.raises(Refused) as error:
        go(tools, {"source": str(folder), "path": "/tiles"})
    assert f"{folder / 'a.npy'} can't be read" in error.value.details[0]
    assert tools.provider.discover() == []  # type: ignore[attr-defined]


def test_what_is_left_out_and_what_nobody_knows_are_warnings(tools: Tools, folder: Path) -> None:
    (folder / "broken").symlink_to("nowhere")
    tools = replace(tools, downloads=Somewhere(**{"tiles.tar": None}))
    sources = settings({"source": str(folder), "path": "/a"}, FILE).data_sources()
    (left,) = measured.measure(tools, sources[0]).findings
    (unknown,) = measured.measure(tools, sources[1]).findings
    assert left.severity is unknown.severity is Severity.WARNING
    assert "is a link to nothing" in left.message
    assert "https://example.org/tiles.tar" in unknown.message


def test_credentials_that_may_not_are_refused_with_what_helps(tools: Tools) -> None:
    downloads = Somewhere()
    downloads.refuses = "s3://tiles can't be read: these credentials may not list it"
    with pytest.raises(Refused, match="was not launched") as error:
        go(replace(tools, downloads=downloads), OBJECTS)
    assert error.value.hint == "aws sso login"


class Line:
    """A connection that is lost after each of `steps`, which are bytes that are there by then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
        self.steps, self.attempts = list(steps), 0
        whole = FakeRemote.send_tree

        def send_tree(remote: FakeRemote, source: Path, target: str, progress: Any) -> None:
            self.attempts += 1
            if self.steps:
                progress(self.steps.pop(0), 100)
                raise NotYet("the SSH connection was lost")
            whole(remote, source, target, progress)

        monkeypatch.setattr(FakeRemote, "send_tree", send_tree)


def test_a_lost_connection_is_opened_anew_and_the_upload_goes_on(
    tools: Tools, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(monkeypatch, 10, 10, 30)
    go(tools, {"source": str(folder), "path": "/tiles"})
    assert on_the_server(tools) == {"/opt/provision/data/0": ["a.npy"]}
    assert line.attempts == 4


def test_however_often_it_is_lost_it_goes_on_while_something_arrives(
    tools: Tools, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = tools.clock
    assert isinstance(clock, FakeClock)
    Line(monkeypatch, *range(1, 300))
    before = clock.now
    go(tools, {"source": str(folder), "path": "/tiles"})
    assert clock.now - before > 1000
    assert on_the_server(tools) == {"/opt/provision/data/0": ["a.npy"]}


def test_when_nothing_arrives_any_more_it_ends_and_says_how_to_go_on(
    tools: Tools, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Line(monkeypatch, *[10] * 1000)
    with pytest.raises(NotReady) as error:
        go(tools, {"source": str(folder), "path": "/tiles"})
    assert "the SSH connection was lost" in error.value.message
    assert "provision launch tessera" in error.value.hint
    assert len(tools.provider.discover()) == 1  # type: ignore[attr-defined]


def test_a_folder_that_went_away_after_the_plan_is_said(
    tools: Tools, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"source": str(folder), "path": "/tiles"}
    with monkeypatch.context() as patch:
        Line(patch, *[10] * 1000)
        with pytest.raises(NotReady):
            go(tools, data)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(NotReady, match="is not there") as error:
        go(tools, data)
    assert "put it back" in error.value.hint


@pytest.mark.parametrize("mounted", [True, False])
def test_a_disk_that_was_unplugged_stops_nothing_that_the_server_has(
    tools: Tools, folder: Path, tmp_path: Path, mounted: bool
) -> None:
    data = {"source": str(folder), "path": "/tiles"}
    go(tools, data)
    folder.rename(tmp_path / "elsewhere")
    if mounted:
        folder.mkdir()
    go(tools, data)
    assert on_the_server(tools) == {"/opt/provision/data/0": ["a.npy"]}
    assert isinstance(tools.reporter, Listener)
    assert any("/tiles stays as the server has it" in line for line in tools.reporter.words)


def test_credentials_that_ended_stop_nothing_that_the_server_has(tools: Tools) -> None:
    go(tools, OBJECTS)
    ended = Somewhere()
    ended.refuses = "the credentials have ended"
    go(replace(tools, downloads=ended), OBJECTS)
    assert on_the_server(tools) == {"/opt/provision/data/0": ["a", "b"]}


def test_what_a_link_brings_from_outside_is_named(
    tools: Tools, folder: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (private / "id_rsa").write_text("x")
    (folder / "more").symlink_to(private)
    (source,) = settings({"source": str(folder), "path": "/a"}).data_sources()
    (finding,) = measured.measure(tools, source).findings
    assert finding.severity is Severity.WARNING
    assert f"{folder / 'more'} leads to {private}" in finding.message
