"""The server fetches files itself: a real shell with a real curl, and a web server on loopback."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, NotYet
from provisioner.models import Download, Link, Result, Secret
from provisioner.remote import fetching, tree
from provisioner.render import data
from tests.server_folder import ServerFolder
from tests.shelf import Shelf, shelf

LARGE = os.urandom(3_000_000)
SUM = hashlib.sha256(LARGE).hexdigest()
THE_FILE = Download("tiles.tar", None, sha256=SUM)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def web() -> Iterator[Shelf]:
    with shelf() as made:
        made.files["/tiles.tar"] = LARGE
        yield made


@pytest.fixture
def server(tmp_path: Path) -> ServerFolder:
    return ServerFolder(tmp_path / "server")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "0"


def objects(web: Shelf, **files: bytes) -> list[Download]:
    made = []
    for name, content in files.items():
        path = name.replace("__", "/")
        web.files[f"/{path}"] = content
        version = hashlib.md5(content).hexdigest()
        made.append(Download(path, len(content), 1_700_000_000 * 10**9, version))
    return made


class Fetch:
    """Fetches, and keeps what was told and which links were asked for."""

    def __init__(self, web: Shelf, server: ServerFolder, target: Path) -> None:
        self.web, self.server, self.target = web, server, target
        self.told: list[tuple[int, int]] = []
        self.linked: list[list[str]] = []

    def __call__(self, *wanted: Download) -> None:
        self.server.fetch_tree(
            wanted, str(self.target), self.links, lambda *told: self.told.append(told)
        )

    def links(self, wanted: Sequence[Download]) -> list[Link]:
        self.linked.append([item.path for item in wanted])
        return [Link(Secret(f"{self.web.url}/{item.path}")) for item in wanted]


@pytest.fixture
def fetch(web: Shelf, server: ServerFolder, target: Path) -> Fetch:
    return Fetch(web, server, target)


def test_a_file_arrives_whole_and_is_the_one_that_was_meant(fetch: Fetch, target: Path) -> None:
    fetch(THE_FILE)
    assert (target / "tiles.tar").read_bytes() == LARGE
    assert (target / "tiles.tar").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in target.parent.iterdir()] == ["0"]
    assert fetch.told[-1][0] == len(LARGE)


def test_another_file_than_the_one_that_was_meant_is_refused_with_both_sums(
    fetch: Fetch, target: Path
) -> None:
    wrong = Download("tiles.tar", None, sha256="0" * 64)
    with pytest.raises(NotReady, match=r"tiles\.tar is not the file") as error:
        fetch(wrong)
    assert error.value.details == (f"wanted  {'0' * 64}", f"came    {SUM}")
    assert not isinstance(error.value, NotYet)
    assert list(target.iterdir()) == []
    left = [path.name for path in (target.parent / "0.part").iterdir()]
    assert left == [".lock"], "the wrong file is not kept"


def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(
    fetch: Fetch, web: Shelf, target: Path
) -> None:
    web.breaks_at = 1_000_000
    with pytest.raises(NotYet, match="the transfer broke off"):
        fetch(THE_FILE)
    assert not (target / "tiles.tar").exists()
    fetch(THE_FILE)
    assert web.asked[-1][2] == "bytes=1000000-"
    assert (target / "tiles.tar").read_bytes() == LARGE


def test_a_keeper_that_gives_whole_files_only_is_asked_from_the_beginning(
    fetch: Fetch, web: Shelf, target: Path
) -> None:
    web.breaks_at, web.ranges = 1_000_000, False
    for _ in range(2):
        with pytest.raises(NotYet):
            fetch(THE_FILE)
    fetch(THE_FILE)
    assert (target / "tiles.tar").read_bytes() == LARGE


def test_a_file_that_had_arrived_when_all_was_killed_is_not_fetched_again(
    fetch: Fetch, web: Shelf, server: ServerFolder, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = server.run

    def dies(command: str, **more: Any) -> Result:
        if command == data.place(str(target)):
            raise KeyboardInterrupt
        return plain(command, **more)

    with monkeypatch.context() as patch:
        patch.setattr(server, "run", dies)
        with pytest.raises(KeyboardInterrupt):
            fetch(THE_FILE)
    web.breaks_at = 1  # a body would not arrive
    fetch(THE_FILE)
    assert (target / "tiles.tar").read_bytes() == LARGE


def test_objects_become_a_folder_and_the_second_time_nothing_is_fetched(
    fetch: Fetch, web: Shelf, target: Path
) -> None:
    wanted = objects(web, a=b"1", sub__b=b"22", sub__deep__c=b"", d=LARGE)
    fetch(*wanted)
    found = {
        str(path.relative_to(target)): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file()
    }
    assert found == {"a": b"1", "sub/b": b"22", "sub/deep/c": b"", "d": LARGE}
    assert fetch.told[-1] == (len(LARGE) + 3, len(LARGE) + 3)
    before = len(web.asked)
    fetch(*wanted)
    assert len(web.asked) == before


def test_only_what_changed_is_fetched_and_what_is_gone_goes(
    fetch: Fetch, web: Shelf, target: Path
) -> None:
    fetch(*objects(web, a=b"1", b=b"2", sub__c=b"3"))
    wanted = objects(web, a=b"1", b=b"22")
    fetch(*wanted)
    assert fetch.linked[-1] == ["b"]
    assert sorted(path.name for path in target.rglob("*")) == ["a", "b"]
    assert (target / "b").read_bytes() == b"22"


def test_many_are_fetched_in_batches_each_with_links_of_its_own(
    fetch: Fetch, web: Shelf, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BATCH", 2)
    fetch(*objects(web, a=b"1", b=b"2", c=b"3"))
    assert fetch.linked == [["a", "b"], ["c"]]
    assert sorted(path.name for path in target.iterdir()) == ["a", "b", "c"]


def test_a_link_that_has_ended_is_made_anew_and_what_came_stays(
    fetch: Fetch, web: Shelf, target: Path
) -> None:
    wanted = objects(web, a=b"1", b=b"2")
    web.statuses["/b"] = 403
    with pytest.raises(NotYet, match="could not fetch b: HTTP 403"):
        fetch(*wanted)
    del web.statuses["/b"]
    fetch(*wanted)
    assert fetch.linked == [["a", "b"], ["b"]]
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "words"), [(404, "it is not there"), (412, "it has changed since it was listed")]
)
def test_what_no_repetition_changes_ends_at_once(
    fetch: Fetch, web: Shelf, status: int, words: str
) -> None:
    web.statuses["/a"] = status
    with pytest.raises(NotReady, match=words) as error:
        fetch(*objects(web, a=b"1"))
    assert not isinstance(error.value, NotYet)


def test_nobody_there_is_not_yet_and_names_no_address(
    server: ServerFolder, target: Path, web: Shelf
) -> None:
    def links(wanted: Sequence[Download]) -> list[Link]:
        return [Link(Secret("http://127.0.0.1:1/a?X-Amz-Signature=secret")) for _ in wanted]

    with pytest.raises(NotYet) as error:
        server.fetch_tree(objects(web, a=b"1"), str(target), links, lambda there, total: None)
    assert "secret" not in str(error.value.details) + error.value.message


def test_links_stand_in_no_command(
    fetch: Fetch, web: Shelf, server: ServerFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = []
    plain = server._shell

    def shell(command: str, timeout: float, stdin: bytes) -> Any:
        typed.append(command)
        return plain(command, timeout, stdin)

    monkeypatch.setattr(server, "_shell", shell)
    fetch(*objects(web, a=b"1", b=b"2"))
    assert typed
    assert not [command for command in typed if web.url in command]


def test_a_file_that_nobody_told_the_size_of_is_measured_by_the_server_first(
    fetch: Fetch, server: ServerFolder, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = server.run
    free = f"echo {tree.RESERVE + len(LARGE) - 1}"

    def run(command: str, **more: Any) -> Result:
        return plain(free if command == data.free_bytes(str(target)) else command, **more)

    monkeypatch.setattr(server, "run", run)
    with pytest.raises(NotReady, match="more on the server") as error:
        fetch(THE_FILE)
    assert not isinstance(error.value, NotYet)
    assert "share less" in error.value.hint
    free = f"echo {tree.RESERVE + len(LARGE)}"
    fetch(THE_FILE)
    assert (target / "tiles.tar").read_bytes() == LARGE


def test_a_keeper_that_tells_no_size_is_no_reason_to_stop(
    fetch: Fetch, web: Shelf, target: Path
) -> None:
    web.sizes = False
    fetch(THE_FILE)
    assert (target / "tiles.tar").read_bytes() == LARGE


def test_a_full_disk_ends_it_at_once_and_what_came_makes_room(
    fetch: Fetch, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = "prlimit --fsize=500000 sh -c 'trap \"\" XFSZ; exec curl --disable --config -'"
    monkeypatch.setattr(data, "fetch", lambda target: data.watched(small, target))
    with pytest.raises(NotReady, match="The server's disk is full") as error:
        fetch(THE_FILE)
    assert not isinstance(error.value, NotYet)
    assert [path.name for path in (target.parent / "0.part").iterdir()] == [".lock"]


def test_a_server_without_curl_says_what_to_install(
    fetch: Fetch, web: Shelf, server: ServerFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "fetch", lambda target: data.watched("no-curl --config -", target))
    with pytest.raises(NotReady) as error:
        fetch(*objects(web, a=b"1"))
    assert "apt-get install curl" in error.value.hint


def test_a_download_ends_when_nobody_listens_any_more(tmp_path: Path) -> None:
    target = tmp_path / "0"
    (tmp_path / "0.part").mkdir()
    (tmp_path / "0.part" / "a").write_bytes(b"12345")
    started = subprocess.Popen(
        ["sh", "-c", data.watched("sleep 1000", str(target))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"size 5\n"
    started.stdout.close()
    assert started.wait(timeout=20) != 0
    again = subprocess.run(
        ["sh", "-c", data.watched("echo it is free", str(target))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )
    assert b"it is free" in again.stdout


def test_silence_is_cut_so_that_a_later_attempt_can_go_on() -> None:
    config = data.curl_config([("p", 'https://h/"q"', "")], "/t", silence=60).decode()
    assert 'proto = "=https"' in config
    assert 'url = "https://h/\\"q\\""' in config
    assert "speed-time = 60" in config
