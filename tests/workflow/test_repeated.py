from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import UsageError
from provisioner.roster import Entry
from provisioner.settings import Settings
from provisioner.store import Record
from provisioner.workflow.launch import launch
from provisioner.workflow.people import add, remove
from provisioner.workflow.tools import Tools
from tests.doubles import fake_tools

ADA, GRACE = Entry("Ada Lovelace", "ada@example.org"), Entry("Grace Hopper")
JO = Entry("Jo", "jo@example.org")


@pytest.fixture
def tools(own_home: Path) -> Tools:
    return fake_tools(own_home)


def go(tools: Tools, **changes: Any) -> Record:
    asked = Settings(**{"name": "tessera", "provider": "fake", **changes})
    return launch(tools, asked, base_image="").record


def refused(tools: Tools, **changes: Any) -> UsageError:
    with pytest.raises(UsageError) as error:
        go(tools, **changes)
    return error.value


def test_the_same_roster_again_after_somebody_was_removed(tools: Tools) -> None:
    go(tools, roster=(ADA, GRACE), users=2)
    remove(tools, "tessera", ["ada-lovelace"], discard_home=True)
    people = [person.username for person in go(tools, roster=(ADA, GRACE), users=2).people]
    assert people == ["grace-hopper", "instructor"]  # a repair brings nobody back
    error = refused(tools, roster=(ADA, GRACE, JO), users=3)
    assert error.details == ("Jo jo@example.org",)


def test_a_walk_in_who_stands_in_the_roster_later_is_nobody_new(tools: Tools) -> None:
    go(tools, roster=(ADA,), users=1)
    add(tools, "tessera", (Entry("Jo"),))
    assert len(go(tools, roster=(ADA, JO), users=2).people) == 3


CARDS = {"wifi": "Room", "wifi_password": "quiet-otter-9"}


def test_what_stands_on_cards_may_change(tools: Tools) -> None:
    first = go(tools)
    again = go(tools, sheet=CARDS, prewarm=False, expires="5h")
    assert again.people == first.people
    assert again.expires_at == first.expires_at


def test_a_refusal_names_keys_and_tells_nobodys_secret(tools: Tools) -> None:
    environment = {"dockerfile": {"Dockerfile": "FROM debian:trixie\nENV KEY=hunter2\n"}}
    go(tools, environment=environment)
    changed = {"dockerfile": {"Dockerfile": "FROM debian:trixie\nENV KEY=hunter3\n"}}
    error = refused(
        tools,
        users=5,
        environment={**changed, "variables": {"API_TOKEN": "tok-123"}},
        participant={"memory": "2G"},
        sheet=CARDS,
        materials={"source": "https://example.org/course.git"},
    )
    said = "\n".join([error.message, error.hint, *error.details])
    for secret in ("hunter2", "hunter3", "tok-123", "quiet-otter-9", "FROM"):
        assert secret not in said
    assert "users: it has 3, you ask for 5" in error.details
    assert "participant.memory: it has 1073741824, you ask for 2147483648" in error.details
    assert "environment.dockerfile: not what it was" in error.details
    assert "environment.variables.API_TOKEN: not what it was" in error.details
    assert not [line for line in error.details if line.startswith("sheet")]
    assert "users add" in error.hint
