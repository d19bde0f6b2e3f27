"""Killed between any two writes, `users add`, `remove` and `reset` are finished by a repeat."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, UsageError
from provisioner.models import Credential, Person, Secret
from provisioner.roster import Entry
from provisioner.settings import Settings
from provisioner.store import read_credentials
from provisioner.workflow.archive import opened
from provisioner.workflow.launch import launch
from provisioner.workflow.people import add, remove, reset
from tests.doubles import fake_tools
from tests.workflow.test_kill import killed_at

ADA, GRACE = Entry("Ada Lovelace", "ada@example.org"), Entry("Grace Hopper")
WORK = {"work.ipynb": "{}"}


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workshop in which user01 and user02 have worked; each kill gets a copy of it."""
    home = tmp_path_factory.mktemp("launched") / "home"
    tools = fake_tools(home)
    asked = Settings(name="tessera", provider="fake", users=2)
    record = launch(tools, asked, base_image="").record
    state = tools.provider.read(record.id)  # type: ignore[attr-defined]
    homes = {"user01": WORK, "user02": WORK, "instructor": {}}
    tools.provider.write(record.id, state | {"homes": homes})  # type: ignore[attr-defined]
    return home


class Seen:
    """What there is afterwards, on both sides."""

    def __init__(self, home: Path) -> None:
        self.tools = fake_tools(home)
        record = self.tools.store.load("tessera")
        assert record is not None
        self.people = [person.username for person in record.people]
        folder = self.tools.store.folder("tessera")
        self.sheet = {
            item.person.username: item
            for item in read_credentials(folder.credentials, record.people)
        }
        self.csv = folder.credentials.read_text()
        self.url = record.url
        self.machine = self.tools.provider.read(record.id)  # type: ignore[attr-defined]
        self.logged_out = [item["path"] for item in self.machine.get("asked", [])]

    def admits(self, username: str, password: str) -> bool:
        credential = Credential(Person("", username), Secret(password))
        try:
            self.tools.web.visitor(self.url, None, credential).login()
        except NotReady:
            return False
        return True

    def agrees(self) -> None:
        """The record, the sheet and the server say the same."""
        assert set(self.people) == set(self.sheet) == set(self.machine["users"])
        for username, item in self.sheet.items():
            assert self.admits(username, str(item.password))
            assert username in self.machine["homes"]


def run_add(home: Path) -> Any:
    return add(fake_tools(home), "tessera", (ADA,))


def run_add_another(home: Path) -> Any:
    return add(fake_tools(home), "tessera", (GRACE,))


def run_remove(home: Path) -> Any:
    return remove(fake_tools(home), "tessera", ["user02"], discard_home=False)


def run_reset(home: Path) -> Any:
    return reset(fake_tools(home), "tessera", ["user02"])


def added(before: Seen, after: Seen) -> None:
    after.agrees()
    assert after.people == ["user01", "user02", "ada-lovelace", "instructor"]
    assert after.machine["homes"]["user02"] == WORK


def removed(before: Seen, after: Seen) -> None:
    after.agrees()
    assert after.people == ["user01", "instructor"]
    assert not after.admits("user02", str(before.sheet["user02"].password))
    assert "user02" not in after.csv
    assert "user02" not in after.machine["homes"]
    assert "/users/user02" in after.logged_out
    whole = []
    for path in after.tools.store.backups.glob("*/user02.tar.zst"):
        with opened(path) as archive:
            whole.append(archive.getnames())
    assert ["work.ipynb"] in whole


def out_or_untouched(before: Seen, after: Seen) -> None:
    """Another command does not finish a removal, but nobody comes in who is not in the record."""
    after.agrees()
    assert "grace-hopper" in after.people
    if "user02" not in after.people:
        assert not after.admits("user02", str(before.sheet["user02"].password))
        assert "/users/user02" in after.logged_out
    backups = [*after.tools.store.backups.glob("*/user02.tar.zst")]
    assert after.machine["homes"].get("user02") == WORK or backups


def was_reset(before: Seen, after: Seen) -> None:
    after.agrees()
    assert not after.admits("user02", str(before.sheet["user02"].password))
    assert after.sheet["user01"].password == before.sheet["user01"].password
    assert "/users/user02" in after.logged_out
    assert after.machine["homes"]["user02"] == WORK


Run = Callable[[Path], Any]
SWEEPS: dict[str, tuple[Run, Run, Callable[[Seen, Seen], None]]] = {
    "add, then add": (run_add, run_add, added),
    "remove, then remove": (run_remove, run_remove, removed),
    "remove, then add another": (run_remove, run_add_another, out_or_untouched),
    "reset, then reset": (run_reset, run_reset, was_reset),
}


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_kill_point(sweep: str, launched: Path, tmp_path: Path) -> None:
    first, then, expected = SWEEPS[sweep]
    point = 0
    while True:
        point += 1
        home = tmp_path / f"kill-{point}"
        shutil.copytree(launched, home)
        before = Seen(home)
        if not killed_at(point, first, home):
            break
        try:
            then(home)
        except UsageError as error:  # it was killed after its last write
            assert "nobody called user02" in error.message  # noqa: PT017
            assert then is run_remove
        expected(before, Seen(home))
    print(f"sweep: {point - 1}/{point - 1} ({sweep})")
    assert point > 6
