"""Materials on a real server: in people's own containers, while they work."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from provisioner.cli.output import ConsoleReporter
from provisioner.models import MaterialsSource
from provisioner.remote.hub import NAVIGATE, Participant, _execute
from provisioner.render import materials
from provisioner.sources.git import Git
from provisioner.workflow.hub import end_sessions
from provisioner.workflow.push import Got, Pushed, push
from provisioner.workflow.waiting import SystemClock
from tests.engine.machine import Engine
from tests.engine.workshop import Workshop, launched, settings, why_not

URL = "https://git.example.org/geo/course.git"
"""An address that nobody here reaches: whoever gets it got it from the machine."""

HOME = "/opt/provision/homes/{}/home"


def text(*sources: str) -> str:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {},
            "source": source,
            "execution_count": None,
            "outputs": [],
        }
        for number, source in enumerate(sources)
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


class Teacher:
    """A repository with a public address, and a folder."""

    def __init__(self, path: Path) -> None:
        self.bare, self.work, self.folder = path / "course.git", path / "work", path / "folder"
        self.folder.mkdir()
        (path / "gitconfig").write_text(
            f'[url "{self.bare}"]\n\tinsteadOf = {URL}\n'
            "[user]\n\tname = T\n\temail = t@example.org\n[init]\n\tdefaultBranch = main\n"
        )
        self.config = str(path / "gitconfig")
        self.git("init", "--quiet", "--bare", str(self.bare), at=path)
        self.git("clone", "--quiet", str(self.bare), str(self.work), at=path)

    def git(self, *words: str, at: Path) -> None:
        env = dict(os.environ) | {"GIT_CONFIG_GLOBAL": self.config}
        subprocess.run(["git", *words], cwd=at, env=env, check=True, capture_output=True)

    def commit(self, files: dict[str, str]) -> None:
        for name, content in files.items():
            (self.work / name).write_text(content)
        self.git("add", "--all", at=self.work)
        self.git("commit", "--quiet", "-m", "more", at=self.work)
        self.git("push", "--quiet", "origin", "HEAD:main", at=self.work)


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Teacher:
    made = Teacher(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", made.config)
    return made


@pytest.fixture
def room(workshop: Workshop) -> Iterator[Workshop]:
    """As if nobody had been given anything yet."""
    made = replace(workshop, tools=replace(workshop.tools, repositories=Git()))
    names = [person.username for person in workshop.record.people]

    def clear() -> None:
        end_sessions(workshop.engine, names, SystemClock())  # type: ignore[arg-type]
        homes = " ".join(HOME.format(name) for name in names)
        workshop.run(
            f"for home in {homes}; do rm -rf $home/course $home/course-git $home/lessons"
            f" $home/.provision; done; rm -rf {materials.INCOMING}"
            f" && find {materials.SHARED} -mindepth 1 -delete"
        )
        for file in ("source.json", "staged/manifest.json"):
            (workshop.folder.path / "materials" / file).unlink(missing_ok=True)

    clear()
    yield made
    clear()


def bring(room: Workshop, source: str = "", **words: str) -> dict[str, Got]:
    return people(push(room.tools, room.record.name, MaterialsSource(source, **words)))


def people(done: Pushed) -> dict[str, Got]:
    return {got.username: got for got in done.people}


def has(room: Workshop, username: str, path: str) -> str:
    return room.run(f"cat {shlex.quote(HOME.format(username) + '/' + path)}").out


def test_a_push_reaches_those_at_work_and_those_who_come_later(
    room: Workshop, teacher: Teacher
) -> None:
    teacher.commit({"intro.ipynb": text("1"), "load.py": "one = 1\n"})
    with room.serving("user01") as ada, room.serving("user02") as bob:
        got = bring(room, URL)
        assert got["user01"].added == ("intro.ipynb", "load.py")
        assert (got["user01"].state, got["user03"].state) == ("now", "next start")
        changed = ada._lab(
            "PUT",
            "/api/contents/course/intro.ipynb",
            json={"type": "notebook", "content": json.loads(text("my own"))},
        )
        assert changed.status_code == 200, changed.text
        with notebook_open(bob, "course/intro.ipynb") as kernel:
            teacher.commit({"intro.ipynb": text("2"), "new.ipynb": text("3")})
            got = bring(room)
            assert got["user01"].both == ("intro.ipynb",)
            assert got["user02"].updated == ("intro.ipynb",)
            assert got["user01"].added == got["user02"].added == ("new.ipynb",)
            assert "my own" in has(room, "user01", "course/intro.ipynb")
            assert has(room, "user01", "course/intro (new).ipynb") == text("2")
            assert has(room, "user02", "course/intro.ipynb") == text("2")
            with bob._channels(kernel) as socket:
                assert _execute(socket, "print(kept)", 60).strip() == "42"
            seen = bob._lab("GET", "/api/contents/course/intro.ipynb").json()
            assert seen["content"]["cells"][0]["source"] == "2"
            assert seen["writable"]
    with room.serving("user03") as late:
        listed = late._lab("GET", "/api/contents/course").json()["content"]
        assert sorted(item["name"] for item in listed) == ["intro.ipynb", "load.py", "new.ipynb"]
        assert has(room, "user03", "course/intro.ipynb") == text("2")
        assert late.run("open('course/load.py', 'a').write('# mine')", 60)
    with_output = people(push(room.tools, room.record.name))
    assert with_output["user03"].kept == ("load.py",)


class notebook_open:
    """A kernel that remembers, in a session of a notebook as Lab makes it."""

    def __init__(self, visitor: Participant, path: str) -> None:
        self.visitor, self.path, self.session = visitor, path, ""

    def __enter__(self) -> str:
        wanted = {"path": self.path, "type": "notebook", "name": "", "kernel": {"name": "python3"}}
        made = self.visitor._lab("POST", "/api/sessions", json=wanted).json()
        self.session = made["id"]
        kernel = str(made["kernel"]["id"])
        with self.visitor._channels(kernel) as socket:
            _execute(socket, "kept = 6 * 7", 60)
        return kernel

    def __exit__(self, *_: object) -> None:
        self.visitor._lab("DELETE", f"/api/sessions/{self.session}")


def test_a_folder_and_everybodys_server_at_once(room: Workshop, teacher: Teacher) -> None:
    (teacher.folder / "run.sh").write_text("#!/bin/sh\necho 42\n")
    (teacher.folder / "run.sh").chmod(0o755)
    (teacher.folder / "again").symlink_to("run.sh")
    names = ["user01", "user02", "user03", "user04"]

    def start(name: str) -> None:
        with room.serving(name):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, names))
    begun = time.monotonic()
    got = bring(room, str(teacher.folder), folder="lessons")
    print(f"\n{len(names)} people have it after {time.monotonic() - begun:.1f} s")
    for name in names:
        assert got[name].added == ("again", "run.sh")
        assert room.in_container(name, "~/lessons/again").out == "42\n"
        assert room.in_container(name, "touch /opt/materials/x").code != 0
        owner = f"stat -c %u:%g {HOME.format(name)}/lessons {HOME.format(name)}/lessons/run.sh"
        assert room.run(owner).out.split() == ["1000:100", "1000:100"]


def test_a_full_home_is_said_and_lab_starts_all_the_same(room: Workshop, teacher: Teacher) -> None:
    (teacher.folder / "large.bin").write_bytes(os.urandom(8 * 1024**2))
    with room.serving("user01") as ada:
        limit = room.in_container("user01", "df --output=avail -B1 ~ | tail -n 1").out.strip()
        if int(limit) > 20 * 1024**3:
            pytest.skip("homes have no limit here")
        assert room.in_container("user01", f"fallocate -l {int(limit) - 2**20} ~/filler").ok
        try:
            got = bring(room, str(teacher.folder), folder="lessons")["user01"]
            assert set(got.failed.values()) == {"the home is full"}
            assert got.state == "in part"
            end_sessions(room.engine, ["user01"], SystemClock())  # type: ignore[arg-type]
            with room.serving("user01") as again:
                assert again._lab("GET", "/api/contents").status_code == 200
        finally:
            room.run(f"rm -f {HOME.format('user01')}/filler")
        assert people(push(room.tools, room.record.name))["user01"].failed == {}
        del ada
    assert room.run(f"stat -c %s {HOME.format('user01')}/lessons/large.bin").out == "8388608\n"


def test_a_hostile_home_harms_nobody_and_its_owner_has_lab(
    room: Workshop, teacher: Teacher
) -> None:
    (teacher.folder / "a.txt").write_text("1")
    with room.serving("user01"), room.serving("user02"):
        hostile = "ln -s /opt/provision ~/lessons; mkdir ~/.provision"
        hostile += "; for name in json lock log part; do mkfifo ~/.provision/materials.$name; done"
        assert room.in_container("user01", hostile).ok
        got = bring(room, str(teacher.folder), folder="lessons")
        assert got["user01"].failed
        assert has(room, "user02", "lessons/a.txt") == "1"
        end_sessions(room.engine, ["user01"], SystemClock())  # type: ignore[arg-type]
    with room.serving("user01") as again:
        assert again._lab("GET", "/api/contents").status_code == 200


def test_a_launch_brings_them_before_anybody_comes(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    lessons = tmp_path / "lessons"
    lessons.mkdir()
    (lessons / "intro.ipynb").write_text(text("1"))
    asked = settings(name="lessons", users=1, materials={"source": str(lessons)})
    with Engine("lessons") as engine:
        made = Workshop(engine, *launched(engine, asked, ConsoleReporter()))
        with made.serving("user01") as ada:
            page = ada._client.get("/user/user01/", headers=NAVIGATE, follow_redirects=True)
            assert page.url.path == "/user/user01/lab/tree/lessons"
            assert has(made, "user01", "lessons/intro.ipynb") == text("1")
            again = "time python3 -I /opt/materials/current/sync.py start"
            print(made.in_container("user01", f"bash -c {shlex.quote(again)}").err)


def test_links_of_nbgitpuller_are_answered_by_the_machine(room: Workshop, teacher: Teacher) -> None:
    teacher.commit({"intro.ipynb": text("1")})
    with room.serving("user01") as ada:
        done = push(room.tools, room.record.name, MaterialsSource(URL))
        link = urlsplit(done.pull_link)
        assert (link.path, done.folder) == ("/hub/user-redirect/git-pull", "course")
        page = ada._client.get(f"{link.path}?{link.query}", headers=NAVIGATE, follow_redirects=True)
        assert page.url.path == "/user/user01/git-pull"
        assert page.status_code == 200
        asked = dict(parse_qsl(link.query))
        assert "finished" in pull(ada, page.text, asked)
        assert has(room, "user01", "course-git/intro.ipynb") == text("1")
        teacher.commit({"intro.ipynb": text("2")})
        bring(room)
        assert "finished" in pull(ada, page.text, asked)
        assert has(room, "user01", "course-git/intro.ipynb") == text("2")
        origin = "git -C ~/course-git config --get remote.origin.url"
        assert room.in_container("user01", origin).out.strip() == URL


def pull(visitor: Participant, page: str, asked: dict[str, str]) -> str:
    """What nbgitpuller's own page would hear."""
    token = re.search(r'"?xsrf[^"]*"?[:=]\s*"([^"]+)"', page, re.IGNORECASE)
    words = {key: asked[key] for key in ("repo", "branch", "targetpath")}
    words |= {"_xsrf": token[1]} if token else {}
    answer = visitor._lab("GET", f"/git-pull/api?{urlencode(words)}")
    assert answer.status_code == 200, answer.text
    return answer.text
