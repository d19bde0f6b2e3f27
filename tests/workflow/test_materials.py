"""From the organiser's repository or folder to everybody's home, without a machine: what is typed
on the server runs in a folder here, and `docker` there stands for people's containers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from provisioner.errors import NotReady, NotYet, ProvisionError, Refused, UsageError
from provisioner.models import MaterialsSource, Phase, Result, Severity
from provisioner.providers.fake import FakeCloud, FakeRemote
from provisioner.render import materials
from provisioner.render.bundle import ROOT
from provisioner.settings import Settings
from provisioner.sources.git import Git
from provisioner.workflow import planning
from provisioner.workflow.launch import launch
from provisioner.workflow.materials import check
from provisioner.workflow.push import Got, Pushed, push, refuse_failures
from provisioner.workflow.tools import Tools
from tests.doubles import Listener, fake_tools

DOCKER = """\
#!{python}
import json, os, runpy, sys, time
home = {home!r}
names = [name for name in os.listdir(home) if os.path.exists(f"{{home}}/{{name}}/runs")]
if sys.argv[1] == "ps":
    print("".join(f"jupyter-{{name}}\\n" for name in sorted(names)), end="")
    sys.exit()
name = next(word for word in sys.argv if word.startswith("jupyter-")).removeprefix("jupyter-")
said = open(f"{{home}}/{{name}}/runs").read()
if said:
    exec(said)
sync = runpy.run_path({materials!r} + "/current/sync.py")
said = sync["deliver"]({materials!r} + "/current", f"{{home}}/{{name}}/home", anew=True)
print(sync["answer"](said))
"""


class Server:
    """What /opt/provision is, in a folder; and homes, of which some have a running server."""

    def __init__(self, path: Path) -> None:
        self.root, self.homes = path / "opt", path / "homes"
        self.root.mkdir()
        self.homes.mkdir()
        (path / "bin").mkdir()
        docker = path / "bin/docker"
        text = DOCKER.format(
            python=sys.executable, home=str(self.homes), materials=str(self.root / "materials")
        )
        docker.write_text(text)
        docker.chmod(0o755)
        self.path = f"{path / 'bin'}:{os.environ['PATH']}"
        self.sent: list[int] = []
        self.broken: list[str] = []

    def starts(self, username: str, says: str = "") -> Path:
        """Somebody's server starts; `says` is Python that their container does instead."""
        home = self.homes / username / "home"
        if not home.exists():
            home.mkdir(parents=True)
        (self.homes / username / "runs").write_text(says)
        program = str(self.root / "materials/current/sync.py")
        if Path(program).exists() and not says:
            call = "import runpy, sys; sync = runpy.run_path(sys.argv[1])"
            call += "; sync['deliver'](*sys.argv[2:4], anew=False)"
            where = str(self.root / "materials/current")
            subprocess.run([sys.executable, "-c", call, program, where, str(home)], check=True)
        return home

    def run(self, command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        here = command.replace(ROOT, str(self.root))
        return subprocess.run(
            ["sh", "-c", here],
            input=stdin,
            capture_output=True,
            env={"PATH": self.path},
            check=False,
            timeout=60,
        )

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (self.root / "materials/current/manifest.json").read_text()
        )
        return found


class Remote(FakeRemote):
    """The fake machine's, but for what is typed about materials."""

    server: Server

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        if materials.SHARED not in command:
            return super().run(command, timeout=timeout, stdin=stdin)
        if any(word in command for word in self.server.broken):
            return Result(1, "", "the disk is full")
        done = self.server.run(command, stdin)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def receive(self, command: str, sink: BinaryIO, *, timeout: float = 60) -> Result:
        if command != materials.DELIVER:
            return super().receive(command, sink, timeout=timeout)
        if "lost" in self.server.broken:
            raise NotYet("the SSH connection was lost")
        done = self.server.run(command)
        for start in range(0, len(done.stdout), 7):
            sink.write(done.stdout[start : start + 7])
        return Result(done.returncode, "", done.stderr.decode())

    def send_tree(self, source: Path, target: str, progress: Callable[[int, int], None]) -> None:
        if target != materials.INCOMING:
            super().send_tree(source, target, progress)
            return
        there = self.server.root / "materials.incoming"
        there.mkdir(exist_ok=True)
        sent = 0
        wanted = {path.relative_to(source) for path in source.rglob("*")}
        for path in sorted(there.rglob("*"), reverse=True):
            if path.relative_to(there) not in wanted:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        for name in sorted(wanted):
            here, to = source / name, there / name
            if here.is_symlink():
                to.unlink(missing_ok=True)
                to.symlink_to(here.readlink())
            elif here.is_dir():
                to.mkdir(exist_ok=True)
            elif not to.exists() or (_state(here) != _state(to)):
                shutil.copy2(here, to.with_name("part"))
                to.with_name("part").replace(to)  # as the real one: nothing is written into
                sent += 1
        self.server.sent.append(sent)


def _state(path: Path) -> tuple[int, int]:
    return path.stat().st_size, path.stat().st_mtime_ns


@pytest.fixture
def server(tmp_path: Path) -> Server:
    (tmp_path / "server").mkdir()
    return Server(tmp_path / "server")


@pytest.fixture
def tools(own_home: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Tools:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(own_home.parent / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (own_home.parent / "gitconfig").write_text(
        "[user]\n\tname = T\n\temail = t@example.org\n[init]\n\tdefaultBranch = main\n"
        '[protocol "file"]\n\tallow = always\n'
    )
    cloud = FakeCloud(own_home / ".fake")
    plain = cloud.connect

    def connect(machine: Any, folder: Any) -> Remote:
        found = plain(machine, folder)
        remote = Remote.__new__(Remote)
        remote.__dict__.update(found.__dict__)
        remote.server = server
        return remote

    return replace(fake_tools(own_home, cloud), connect=connect, repositories=Git())


def git(*words: str, at: Path) -> str:
    done = subprocess.run(["git", *words], cwd=at, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Repository:
    """A teacher's working copy, and the bare repository that it is pushed to."""

    def __init__(self, path: Path) -> None:
        self.bare, self.work = path / "course.git", path / "teacher"
        path.mkdir(exist_ok=True)
        git("init", "--quiet", "--bare", str(self.bare), at=path)
        git("clone", "--quiet", str(self.bare), str(self.work), at=path)

    def commit(self, files: dict[str, str | None], branch: str = "main") -> str:
        git("checkout", "--quiet", "-B", branch, at=self.work)
        for name, text in files.items():
            path = self.work / name
            path.unlink(missing_ok=True)
            if text is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(text[1:]) if text.startswith("→") else path.write_text(text)
        git("add", "--all", at=self.work)
        git("commit", "--quiet", "--allow-empty", "-m", "more", at=self.work)
        git("push", "--quiet", "--force", "origin", f"HEAD:{branch}", at=self.work)
        return git("rev-parse", "HEAD", at=self.work)


@pytest.fixture
def repository(tools: Tools, tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "teaching")
    made.commit({"intro.ipynb": "{}", "data/a.csv": "1"})
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "lessons"
    path.mkdir()
    (path / "a.txt").write_text("1")
    (path / "b.txt").write_text("1")
    for name in (".git", ".ipynb_checkpoints", "__pycache__"):
        (path / name).mkdir()
        (path / name / "x").write_text("not for people")
    return path


def go(tools: Tools, **source: str) -> None:
    asked = Settings(name="tessera", provider="fake", users=3, materials=source)
    launch(tools, asked, base_image="")


def by_name(done: Pushed) -> dict[str, Got]:
    return {got.username: got for got in done.people}


def test_a_launch_brings_a_folder_and_everybody_who_starts_has_it(
    tools: Tools, server: Server, folder: Path
) -> None:
    go(tools, source=str(folder))
    home = server.starts("user01")
    assert sorted(os.listdir(home / "lessons")) == ["a.txt", "b.txt"]
    assert server.manifest()["folder"] == "lessons"
    assert not (server.root / "materials/current/repo.git").exists()


def test_lab_opens_where_they_are(tools: Tools, folder: Path, repository: Repository) -> None:
    for source, name in ((folder, "lessons"), (repository.bare, "course")):
        asked = Settings(provider="fake", materials={"source": str(source)})
        made = planning.draft(tools.store, tools.provider, asked, base_image="")
        env = dict(made.spec.bundle.files)[".env"].decode()
        assert f'PROVISION_MATERIALS=\'{{"folder": "{name}"}}\'' in env


def test_a_repository_arrives_with_its_branch_alone(
    tools: Tools, server: Server, repository: Repository, tmp_path: Path
) -> None:
    repository.commit({"secret-draft.txt": "x"}, branch="draft")
    at = repository.commit({"secret-draft.txt": None, "late.txt": "x"}, branch="main")
    git("tag", "v1", at=repository.work)
    go(tools, source=str(repository.bare), branch="main", folder="notebooks")
    home = server.starts("user01")
    assert sorted(os.listdir(home / "notebooks")) == ["data", "intro.ipynb", "late.txt"]
    served = server.root / "materials/current/repo.git"
    assert git("for-each-ref", "--format=%(refname) %(objectname)", at=served) == (
        f"refs/heads/main {at}"
    )
    assert str(repository.bare) not in (served / "config").read_text()
    clone = tmp_path / "clone"
    git("clone", "--quiet", f"file://{served}", str(clone), at=tmp_path)
    assert (clone / "late.txt").exists()


def test_a_launch_that_is_repeated_leaves_what_was_pushed(
    tools: Tools, server: Server, folder: Path
) -> None:
    go(tools, source=str(folder))
    (folder / "a.txt").write_text("2")
    push(tools, "tessera")
    (folder / "a.txt").write_text("not pushed yet")
    go(tools, source=str(folder))
    assert (server.root / "materials/current/files/a.txt").read_text() == "2"


@pytest.mark.parametrize("kind", ["folder", "repository"])
def test_a_push_reaches_who_is_there_and_who_comes_later(
    tools: Tools, server: Server, folder: Path, repository: Repository, kind: str
) -> None:
    def change(files: dict[str, str | None]) -> None:
        if kind == "repository":
            repository.commit(files)
        for name, text in files.items():
            (folder / name).write_text(text) if text else (folder / name).unlink()

    change({"a.txt": "1", "b.txt": "1"})
    go(tools, source=str(folder if kind == "folder" else repository.bare), folder="course")
    ada, bob = server.starts("user01"), server.starts("user02")
    (ada / "course/a.txt").write_text("mine")
    change({"a.txt": "2", "new.txt": "2", "b.txt": None})
    done = push(tools, "tessera")
    assert done.change.added == ("new.txt",)
    assert done.change.changed == ("a.txt",)
    assert done.change.removed == ("b.txt",)
    got = by_name(done)
    assert (got["user01"].added, got["user01"].both) == (("new.txt",), ("a.txt",))
    assert (got["user02"].added, got["user02"].updated) == (("new.txt",), ("a.txt",))
    assert got["user02"].left == ("b.txt",)
    assert got["user03"].state == got["instructor"].state == "next start"
    assert (ada / "course/a.txt").read_text() == "mine"
    assert (ada / "course/a (new).txt").read_text() == "2"
    assert (bob / "course/a.txt").read_text() == "2"
    late = server.starts("user03")
    assert (late / "course/a.txt").read_text() == "2"
    assert not (late / "course/b.txt").exists()
    again = push(tools, "tessera")
    assert again.change.count == 0
    assert by_name(again)["user01"].kept == ("a.txt",)
    assert not by_name(again)["user02"].updated


def test_only_what_changed_is_sent(tools: Tools, server: Server, folder: Path) -> None:
    go(tools, source=str(folder))
    (folder / "a.txt").write_text("2")
    os.utime(folder / "b.txt")  # touched, and the same
    push(tools, "tessera")
    push(tools, "tessera")
    assert server.sent[1:] == [2], "a.txt and the manifest; then nothing at all"
    (folder / "a.txt").write_text("3")
    os.utime(folder / "a.txt", ns=(0, 0))
    push(tools, "tessera")
    (folder / "a.txt").write_text("4")
    os.utime(folder / "a.txt", ns=(0, 0))  # as tools do that set times
    push(tools, "tessera")
    assert (server.root / "materials/current/files/a.txt").read_text() == "4"


def test_who_reads_sees_one_state_or_the_other(tools: Tools, server: Server, folder: Path) -> None:
    go(tools, source=str(folder))
    mounted = (server.root / "materials").stat().st_ino
    reader = (server.root / "materials/current").resolve()
    (folder / "a.txt").write_text("2")
    push(tools, "tessera")
    assert (reader / "files/a.txt").read_text() == "1", "it is read to its end"
    assert (server.root / "materials").stat().st_ino == mounted
    (folder / "a.txt").write_text("3")
    push(tools, "tessera")
    trees = [name for name in os.listdir(server.root / "materials") if name != "current"]
    assert len(trees) == 2, "and older ones are gone"


def test_a_dry_run_says_what_would_change_and_changes_nothing(
    tools: Tools, server: Server, folder: Path
) -> None:
    go(tools, source=str(folder))
    home = server.starts("user01")
    (folder / "a.txt").write_text("2")
    done = push(tools, "tessera", dry_run=True)
    assert done.change.changed == ("a.txt",)
    assert done.people == ()
    assert (server.root / "materials/current/files/a.txt").read_text() == "1"
    assert (home / "lessons/a.txt").read_text() == "1"
    assert push(tools, "tessera").change.changed == ("a.txt",)


def test_a_dry_run_of_another_source_is_forgotten(
    tools: Tools, server: Server, folder: Path, repository: Repository, own_home: Path
) -> None:
    go(tools, source=str(folder))
    home = server.starts("user01")
    there = own_home / "tessera/materials"
    before = (there / "source.json").read_text(), (there / "staged/manifest.json").read_bytes()
    other = MaterialsSource(str(repository.bare))
    assert "intro.ipynb" in push(tools, "tessera", other, dry_run=True).change.added
    assert before == (
        (there / "source.json").read_text(),
        (there / "staged/manifest.json").read_bytes(),
    )
    assert push(tools, "tessera").change.count == 0
    assert sorted(os.listdir(home / "lessons")) == ["a.txt", "b.txt"]


def test_a_workshop_without_materials_may_get_some(
    tools: Tools, server: Server, folder: Path
) -> None:
    go(tools)
    home = server.starts("user01")
    with pytest.raises(UsageError) as error:
        push(tools, "tessera")
    assert "--source" in error.value.hint
    push(tools, "tessera", MaterialsSource(str(folder)))
    assert (home / "lessons/a.txt").read_text() == "1"
    (folder / "a.txt").write_text("2")
    assert push(tools, "tessera").change.changed == ("a.txt",), "the source is remembered"


def test_another_source_goes_into_the_folder_that_lab_opens(
    tools: Tools, server: Server, folder: Path, tmp_path: Path
) -> None:
    go(tools, source=str(folder))
    home = server.starts("user01")
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.txt").write_text("1")
    done = push(tools, "tessera", MaterialsSource(str(other)))
    assert done.change.removed == ("a.txt", "b.txt")
    assert sorted(os.listdir(home / "lessons")) == ["a.txt", "b.txt", "c.txt"]


def test_nobody_can_spoil_it_for_the_others(
    tools: Tools, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tools, source=str(folder))
    server.starts("user01", "sys.exit('\\x1b[31mno')")
    server.starts("user02", "os.write(1, b'x' * 9_000_000); sys.exit()")
    lies = "{'added': ['\\x1b]0;x\\x07a'] * 5000, 'failed': {'\\nx': 1}}"
    server.starts("user03", f"print(json.dumps({lies})); sys.exit()")
    good = server.starts("instructor")
    server.starts("stranger", "print('{}'); sys.exit()")
    (folder / "a.txt").write_text("2")
    done = push(tools, "tessera")
    got = by_name(done)
    assert (good / "lessons/a.txt").read_text() == "2"
    assert got["user01"].state == got["user02"].state == "failed"
    assert len(got["user03"].added) == 1000
    said = repr([got, refusal(done)])
    assert "\\x1b" not in said
    assert "stranger" not in got


def test_whose_home_is_full_has_it_in_part_and_that_is_a_failure(
    tools: Tools, server: Server, folder: Path
) -> None:
    go(tools, source=str(folder))
    full = {
        "added": ["a.txt"],
        "failed": {"b.txt": "the home is full", "c.txt": "the home is full"},
    }
    wrong = {"added": True, "failed": -1, "kept": 10**9, "both": "x"}
    server.starts("user01", f"print(json.dumps({full | {'counts': {'added': 1, 'failed': 7}}}))"
                  "; sys.exit()")  # fmt: skip
    server.starts("user02", f"print(json.dumps({full | {'counts': wrong}})); sys.exit()")
    theirs = server.starts("user03") / "lessons"
    shutil.rmtree(theirs)
    theirs.symlink_to("/nowhere")
    (folder / "a.txt").write_text("2")
    done = push(tools, "tessera")
    got = by_name(done)
    assert [got[f"user0{number}"].state for number in (1, 2, 3)] == ["in part", "in part", "failed"]
    assert got["user01"].count("failed") == 7
    assert [got["user02"].count(word) for word in ("added", "failed", "kept")] == [1, 2, 0]
    error = refusal(done)
    assert "1 of 4 people could not" in error.message
    assert "2 of 4 have them only in part" in error.message
    assert "user01: b.txt: the home is full (and 6 more)" in error.details


def refusal(done: Pushed) -> ProvisionError:
    with pytest.raises(NotReady) as error:
        refuse_failures(done)
    return error.value


def test_one_who_takes_too_long_is_not_waited_for(
    tools: Tools, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tools, source=str(folder))
    server.starts("user01", "time.sleep(60)")
    quick = materials.DELIVER.replace(f"-k 5 {materials.LONGEST}", "-k 1 1")
    assert quick != materials.DELIVER
    monkeypatch.setattr(materials, "DELIVER", quick)
    (got,) = [got for got in push(tools, "tessera").people if got.username == "user01"]
    assert (got.state, "took longer" in got.why) == ("failed", True)


@pytest.mark.parametrize("broken", ["ln -sfn", "lost"])
def test_a_push_that_broke_off_is_finished_by_the_next(
    tools: Tools, server: Server, folder: Path, broken: str
) -> None:
    go(tools, source=str(folder))
    home = server.starts("user01")
    (folder / "a.txt").write_text("2")
    server.broken.append(broken)
    with pytest.raises(NotReady) as error:
        push(tools, "tessera")
    assert "provision push tessera" in error.value.hint
    server.broken.clear()
    push(tools, "tessera")
    assert (home / "lessons/a.txt").read_text() == "2"


def test_submodules_come_along_and_links_out_do_not(
    tools: Tools, server: Server, repository: Repository, tmp_path: Path
) -> None:
    other = Repository(tmp_path / "other")
    other.commit({"inner.txt": "1"})
    secret = tmp_path / "id_ed25519"
    secret.write_text("private")
    git("submodule", "--quiet", "add", str(other.bare), "module", at=repository.work)
    repository.commit(
        {
            "leak.txt": f"→{secret}",
            "leaks": f"→{tmp_path / 'other'}",
            "config": "→.git/config",
            "fine.csv": "→data/a.csv",
        }
    )
    go(tools, source=str(repository.bare))
    assert sorted(server.manifest()["files"]) == [
        ".gitmodules",
        "data/a.csv",
        "fine.csv",
        "intro.ipynb",
        "module/inner.txt",
    ]
    listener = tools.reporter
    assert isinstance(listener, Listener)
    assert any("leak.txt" in words for words in listener.words)
    other.commit({"inner.txt": "2"})
    git("submodule", "--quiet", "update", "--remote", at=repository.work)
    repository.commit({})
    assert push(tools, "tessera").change.changed == ("module/inner.txt",)


def reports(tools: Tools) -> str:
    assert isinstance(tools.reporter, Listener)
    return "\n".join(tools.reporter.words)


def test_what_links_bring_from_outside_is_named(
    tools: Tools, server: Server, folder: Path, tmp_path: Path
) -> None:
    shutil.rmtree(folder / ".git")
    private = tmp_path / "private"
    private.mkdir()
    (private / "notes.txt").write_text("private")
    (folder / "more of it").symlink_to(private)
    (folder / "gone with it").symlink_to("nowhere")
    source = {"source": str(folder)}
    findings = check(tools, Settings(provider="fake", materials=source))
    assert all(item.severity is Severity.WARNING for item in findings)
    assert f"more of it leads to {private}" in " ".join(item.message for item in findings)
    go(tools, **source)
    assert "more of it/notes.txt" in server.manifest()["files"]
    assert f"more of it leads to {private}" in reports(tools)
    assert "warning: Not among the materials: gone with it" in reports(tools).splitlines()


@pytest.mark.parametrize("inner", [".", "course/part 1"])
def test_a_working_copys_links_do_not_lead_out(
    tools: Tools, server: Server, tmp_path: Path, inner: str
) -> None:
    """Whoever commits to it could have made them."""
    work = tmp_path / "work"
    (work / inner).mkdir(parents=True)
    git("init", "--quiet", ".", at=work)
    (tmp_path / "id_ed25519").write_text("private")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/endless").symlink_to("nowhere")
    (work / inner / "a.txt").write_text("1")
    (work / inner / "b.txt").symlink_to("a.txt")
    (work / inner / "my leak").symlink_to(tmp_path / "id_ed25519")
    (work / inner / "leaks").symlink_to(tmp_path / "keys")
    go(tools, source=str(work / inner), folder="course")
    assert sorted(server.manifest()["files"]) == ["a.txt", "b.txt"]
    assert "Not among the materials: leaks, my leak" in reports(tools)


@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_what_was_committed_and_undone_stays_here(
    tools: Tools, server: Server, repository: Repository, own_home: Path, address: str
) -> None:
    """A push by force leaves it in the repository, and in the copy that was fetched before."""
    go(tools, source=address.format(repository.bare))
    first = git("rev-parse", "HEAD", at=repository.work)
    secret = repository.commit({"password.txt": "hunter2"})
    push(tools, "tessera")
    git("reset", "--quiet", "--hard", first, at=repository.work)
    last = repository.commit({"fine.txt": "1"})
    push(tools, "tessera")
    served = server.root / "materials/current/repo.git"
    listed = git("cat-file", "--batch-all-objects", "--batch-check", at=served)
    assert last in listed
    assert secret not in listed
    assert secret in git(
        *("cat-file", "--batch-all-objects", "--batch-check"), at=repository.bare
    ), "it is there, unreachable"
    shutil.rmtree(own_home / "tessera/materials/checkout")
    push(tools, "tessera")
    fetched = own_home / "tessera/materials/checkout"
    assert secret not in git("cat-file", "--batch-all-objects", "--batch-check", at=fetched)


def test_lfs_without_git_lfs_is_said(
    tools: Tools, server: Server, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    repository.commit({".gitattributes": "*.bin filter=lfs diff=lfs\n", "x.bin": pointer})
    monkeypatch.setattr("provisioner.sources.git.shutil.which", lambda name: name == "git" or None)
    go(tools, source=str(repository.bare))
    assert any("git-lfs is not installed" in words for words in tools.reporter.words)  # type: ignore[attr-defined]


def test_a_force_push_and_what_lies_around_do_no_harm(
    tools: Tools, server: Server, repository: Repository, own_home: Path
) -> None:
    go(tools, source=str(repository.bare))
    git("checkout", "--quiet", "--orphan", "fresh", at=repository.work)
    git("rm", "-rf", "--quiet", ".", at=repository.work)
    repository.commit({"only.txt": "1"})
    (own_home / "tessera/materials/checkout/left.txt").write_text("x")
    push(tools, "tessera")
    assert list(server.manifest()["files"]) == ["only.txt"]


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "no folder": ({"source": "/nowhere/at/all"}, "does not exist"),
    "no repository": ({"source": "file:///nowhere/at/all.git"}, "does not"),
    "no branch": ({"source": "REPOSITORY", "branch": "nope"}, "no branch nope"),
    "too large": ({"source": "LARGE"}, "of disk"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_work_is_refused_before_there_is_anything(
    tools: Tools, repository: Repository, tmp_path: Path, case: str
) -> None:
    source, words = REFUSED[case]
    (tmp_path / "large").mkdir()
    with (tmp_path / "large/x").open("wb") as file:
        file.truncate(3 * 1024**3)
    places = {"REPOSITORY": str(repository.bare), "LARGE": str(tmp_path / "large")}
    source = {key: places.get(value, value) for key, value in source.items()}
    with pytest.raises(Refused) as error:
        go(tools, **source)
    assert words in " ".join(error.value.details)
    assert tools.store.names() == []


def test_no_git_says_how_to_get_it(
    tools: Tools, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.sources.git.shutil.which", lambda name: None)
    with pytest.raises(Refused) as error:
        go(tools, source=str(repository.bare))
    assert "git is not installed" in error.value.details[0]
    assert "install git" in error.value.hint


def test_an_empty_folder_costs_no_machine(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match="nothing in empty"):
        go(tools, source=str(tmp_path / "empty"))
    assert tools.provider.discover() == []  # type: ignore[attr-defined]


def test_a_workshop_that_is_not_ready(tools: Tools, folder: Path) -> None:
    go(tools, source=str(folder))
    record = tools.store.load("tessera")
    assert record is not None
    tools.store.save(record.but(phase=Phase.STOPPED))
    with pytest.raises(Refused) as error:
        push(tools, "tessera")
    assert error.value.hint == "provision start tessera"


@pytest.mark.parametrize(
    ("source", "url", "folder"),
    [
        ("https://example.org/x/course.git", "https://example.org/x/course.git", "course"),
        ("https://ada@example.org/x/course/", "https://example.org/x/course", "course"),
        ("https://example.org:8443/x/course", "https://example.org:8443/x/course", "course"),
        ("git@example.org:x/course.git", "https://example.org/x/course.git", "course"),
        ("ssh://git@example.org:2222/x/course.git", "https://example.org/x/course.git", "course"),
        ("file:///srv/git/Kurs für alle.git", "", "Kurs f-r alle"),
        ("/srv/git/course.git", "", "course"),
        ("/srv/...", "", "materials"),
    ],
)
def test_addresses(source: str, url: str, folder: str) -> None:
    assert materials.public_url(source) == url
    assert materials.folder_of(MaterialsSource(source)) == folder


def test_links_are_answered_here_and_no_other_repository_is(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "system"
    config.write_text(materials.git_config("https://example.org/x/course.git"))
    monkeypatch.delenv("GIT_CONFIG_NOSYSTEM")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(config))

    def leads_to(url: str) -> str:
        return git("ls-remote", "--get-url", url, at=tmp_path)

    here = f"file://{materials.SEEN_AT}/repo.git"
    for url in ("https://example.org/x/course", "https://example.org/x/course.git"):
        assert leads_to(url) == here
    for name in ("course-2", "course2.git", "course.wiki.git", "coursegit", "other"):
        assert leads_to(f"https://example.org/x/{name}") == f"https://example.org/x/{name}"


def test_links_for_people(tools: Tools, repository: Repository, own_home: Path) -> None:
    """As public addresses are: what git itself makes of this one is the operator's business."""
    with (own_home.parent / "gitconfig").open("a") as config:
        config.write(f'[url "{repository.bare}"]\n\tinsteadOf = https://example.org/x/course.git\n')
    go(tools, source="https://ada@example.org/x/course.git".replace("ada@", ""))
    done = push(tools, "tessera")
    assert done.open_link.endswith("/hub/user-redirect/lab/tree/course")
    assert done.pull_link.split("?")[1] == (
        "repo=https%3A%2F%2Fexample.org%2Fx%2Fcourse.git&branch=main"
        "&targetpath=course-git&urlpath=lab%2Ftree%2Fcourse-git"
    )
