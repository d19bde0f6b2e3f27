"""People's files: home over real SSH while they work, and back within their real limits."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, Refused
from provisioner.render import homes
from provisioner.render.commands import HOMES
from provisioner.workflow.archive import opened
from provisioner.workflow.backup import backup, backup_homes
from provisioner.workflow.restore import restore
from tests import homes_folder
from tests.engine.workshop import Workshop

DIFFICULT = f"""
import hashlib, os, sys
from pathlib import Path
{inspect.getsource(homes_folder.make_difficult)}
{inspect.getsource(homes_folder.fingerprint)}
home = Path(sys.argv[2])
if sys.argv[1] == "make":
    make_difficult(home)
for path, facts in sorted(fingerprint(home).items()):
    print(path, facts)
"""


@pytest.fixture
def user(workshop: Workshop) -> Iterator[str]:
    """user02, whose home is as it was before, afterwards."""
    run(workshop, f"mv {HOMES}/user02/home {HOMES}/user02/before")
    run(workshop, f"install -d -m 0700 -o 1000 -g 100 {HOMES}/user02/home")
    yield "user02"
    run(workshop, f"rm -rf {HOMES}/user02/home && mv {HOMES}/user02/before {HOMES}/user02/home")


def run(workshop: Workshop, command: str) -> str:
    done = workshop.run(command, timeout=300)
    assert done.ok, done.err
    return done.out


def tree(workshop: Workshop, username: str, what: str = "look") -> str:
    """All of a home, to the byte."""
    words = ["python3", "-c", DIFFICULT, what, f"{HOMES}/{username}/home"]
    return run(workshop, shlex.join(words))


def empty(workshop: Workshop, username: str) -> None:
    run(workshop, f"find {HOMES}/{username}/home -mindepth 1 -delete")


def test_home_and_back_to_the_byte(workshop: Workshop, user: str) -> None:
    before = tree(workshop, user, "make")
    assert len(before.splitlines()) > 60
    saved = backup(workshop.tools, workshop.record, only=(user,))
    empty(workshop, user)
    assert tree(workshop, user) == ""
    (done,) = restore(workshop.tools, workshop.record, saved.path)
    assert tree(workshop, user) == before
    assert (done.same, done.aside) == (0, 0)
    (again,) = restore(workshop.tools, workshop.record, saved.path)
    assert (again.restored, again.aside, again.same) == (0, 0, done.restored)
    assert tree(workshop, user) == before
    assert not workshop.run(f"ls {homes.RESTORING}").ok


def test_somebody_at_work_keeps_working(workshop: Workshop) -> None:
    """Their server writes while it is read, and what comes back is theirs to open and change."""
    with workshop.serving("user01") as visitor:
        visitor.run("open('saved.txt', 'w').write('before')", timeout=60)
        saved = backup(workshop.tools, workshop.record, only=("user01",))
        visitor.run("import os; os.remove('saved.txt')", timeout=60)
        restore(workshop.tools, workshop.record, saved.path)
        visitor.run("open('saved.txt', 'a').write(' and after')", timeout=60)
        said = visitor.run("print(open('saved.txt').read())", timeout=60)
        assert said.strip() == "before and after"
        visitor.run("import os; os.remove('saved.txt')", timeout=60)


def test_it_needs_neither_a_record_nor_docker(workshop: Workshop, user: str) -> None:
    """As teardown does it on a machine that was started for nothing else."""
    run(workshop, f"echo work > {HOMES}/{user}/home/work")
    tools, id_ = workshop.tools, workshop.record.id
    remote = tools.connect(workshop.tools.provider.find(id_), workshop.folder)
    try:
        saved = backup_homes(tools, "another-name", id_, remote)
    finally:
        remote.close()
    assert set(saved.people) == {person.username for person in workshop.record.people}
    with opened(saved.path / f"{user}.tar.zst") as tar:
        assert "./work" in tar.getnames()


def test_the_limit_of_a_home_holds_for_what_comes_back(
    workshop: Workshop, user: str, tmp_path: Path
) -> None:
    run(workshop, f"head -c 50M /dev/urandom > {HOMES}/{user}/home/work")
    saved = backup(workshop.tools, workshop.record, only=(user,), output=tmp_path / "saved")
    free = int(run(workshop, f"df --output=avail -B1 {HOMES}/{user}/home | tail -n 1"))
    before = tree(workshop, user)
    run(workshop, f"fallocate -l {free - 30 * 1024**2} {HOMES}/{user}/home/fill")
    with pytest.raises(Refused, match="too small"):
        restore(workshop.tools, workshop.record, saved.path)
    # Nor does the server itself take what does not fit; the home is as it was then, too.
    manifest = json.loads((saved.path / "manifest.json").read_text())
    manifest["files"][user]["disk_bytes"] = 0
    (saved.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NotReady, match=user) as refused:
        restore(workshop.tools, workshop.record, saved.path)
    assert "no room" in refused.value.details[0]
    run(workshop, f"rm {HOMES}/{user}/home/fill")
    assert tree(workshop, user) == before


def test_who_reads_homes_is_harmless(workshop: Workshop, user: str) -> None:
    """A participant's links lead nowhere, even for a reader with more powers than they have."""
    for command in (
        "cat /etc/shadow",
        f"ls {HOMES}",
        "cat /proc/1/root/etc/shadow",
        "touch /home/x",
    ):
        words = homes.seeing_home(user, homes.READING, "sh", "-c", command)
        assert not workshop.run(words).ok, command


def test_teardown_of_a_workshop_leaves_what_can_be_put_into_the_next(
    workshop: Workshop, user: str, tmp_path: Path
) -> None:
    """Everybody's homes are gone from the server, as on a new machine."""
    run(workshop, f"echo work > {HOMES}/{user}/home/work")
    saved = backup(workshop.tools, workshop.record, output=tmp_path / "saved")
    empty(workshop, user)
    done: Any = restore(
        workshop.tools, workshop.record, saved.path, only=(user,), mapping={user: "user03"}
    )
    assert done[0].username == "user03"
    assert run(workshop, f"cat {HOMES}/user03/home/work") == "work\n"
    run(workshop, f"rm {HOMES}/user03/home/work")
