from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import Busy, NotReady, NotYet, ProvisionError, Refused, UsageError
from provisioner.models import Phase, Result
from provisioner.protocols import Remote
from provisioner.providers.fake import FakeRemote
from provisioner.render import commands, hub
from provisioner.roster import Entry
from provisioner.settings import Settings
from provisioner.store import Record, read_credentials
from provisioner.workflow.backup import backup
from provisioner.workflow.launch import launch
from provisioner.workflow.people import add, remove, reset
from provisioner.workflow.teardown import TeardownOptions, tear_down
from provisioner.workflow.tools import Tools
from tests.doubles import fake_tools

ADA = Entry("Ada Lovelace", "ada@example.org")
GRACE = Entry("Grace Hopper")


@pytest.fixture
def tools(own_home: Path) -> Tools:
    made = fake_tools(own_home)
    go(made)
    return made


def go(tools: Tools, **changes: Any) -> Record:
    asked = Settings(**{"name": "tessera", "provider": "fake", "users": 3, **changes})
    return launch(tools, asked, base_image="").record


def record_of(tools: Tools) -> Record:
    record = tools.store.load("tessera")
    assert record is not None
    return record


def machine(tools: Tools) -> dict[str, Any]:
    state: dict[str, Any] = tools.provider.read(record_of(tools).id)  # type: ignore[attr-defined]
    return state


def put(tools: Tools, **changes: Any) -> None:
    tools.provider.write(  # type: ignore[attr-defined]
        record_of(tools).id, machine(tools) | changes
    )


def logged_out(tools: Tools) -> list[str]:
    """User names whose sessions the hub was told to end, in order."""
    return [item["path"].rpartition("/")[2] for item in machine(tools).get("asked", [])]


def can_log_in(tools: Tools, username: str, password: str) -> bool:
    record = record_of(tools)
    sheet = read_credentials(tools.store.folder("tessera").credentials, record.people)
    item = replace(sheet[0], person=replace(sheet[0].person, username=username), password=password)
    try:
        tools.web.visitor(record.url, None, item).login()
    except NotReady:
        return False
    return True


def passwords(tools: Tools) -> dict[str, str]:
    sheet = read_credentials(tools.store.folder("tessera").credentials, record_of(tools).people)
    return {item.person.username: str(item.password) for item in sheet}


def test_who_is_added_can_log_in_and_nothing_changes_for_the_others(tools: Tools) -> None:
    before, users = passwords(tools), machine(tools)["users"]
    done = add(tools, "tessera", (ADA, GRACE))
    assert [(item.person.seat, item.person.username) for item in done.credentials] == [
        ("4", "ada-lovelace"),
        ("5", "grace-hopper"),
    ]
    for item in done.credentials:
        assert can_log_in(tools, item.person.username, item.password)
        assert item.person.username in machine(tools)["homes"]
    assert passwords(tools).items() >= before.items()
    after = machine(tools)["users"]
    assert {name: after[name] for name in users} == users  # the very same hashes
    assert logged_out(tools) == []
    assert [person.username for person in record_of(tools).people][-1] == "instructor"
    assert record_of(tools).people[3].email == "ada@example.org"


def test_adding_again_finds_who_is_there(tools: Tools) -> None:
    first = add(tools, "tessera", (ADA, GRACE))
    again = add(tools, "tessera", (ADA, GRACE))
    assert again.credentials == ()
    assert again.already == first.credentials  # with their passwords: nobody may have seen them
    assert again.record.people == first.record.people


def test_more_than_fit_are_refused_with_numbers_and_nobody_is_added(tools: Tools) -> None:
    before = record_of(tools)
    crowd = tuple(Entry(f"Person {letter}") for letter in "abc")
    with pytest.raises(Refused) as error:
        add(tools, "tessera", crowd)
    assert "3 more would be 7 people, and 6 fit" in error.value.message
    assert error.value.details == (
        "memory: 7 × 1.0 GiB + 2.0 GiB = 9.0 GiB, but the machine has 8.0 GiB",
    )
    assert "users remove" in error.value.hint
    assert record_of(tools) == before
    add(tools, "tessera", crowd[:2])
    remove(tools, "tessera", ["user01"], discard_home=False)
    add(tools, "tessera", crowd)  # a seat came free


def test_a_full_room_with_a_spare_seat_is_told_of_it(own_home: Path) -> None:
    tools = fake_tools(own_home)
    go(tools, spare=2, users=4)
    with pytest.raises(Refused) as error:
        add(tools, "tessera", (ADA,))
    assert "hand out the card of spare01" in error.value.hint


def test_newcomers_get_the_shared_password(own_home: Path) -> None:
    tools = fake_tools(own_home)
    go(tools, login={"mode": "shared"})
    reset(tools, "tessera", ["user02"])
    (ada,) = add(tools, "tessera", (ADA,)).credentials
    known = passwords(tools)
    assert ada.password == known["user01"] == known["user03"]
    assert known["user02"] != known["user01"] != known["instructor"]


def test_who_is_removed_is_out_at_once_and_their_files_are_home(tools: Tools) -> None:
    put(tools, homes={"user01": {"a.ipynb": "{}"}, "user02": {"b.ipynb": "{}"}})
    password = passwords(tools)["user02"]
    done = remove(tools, "tessera", ["user02"], discard_home=False)
    assert not can_log_in(tools, "user02", password)
    assert logged_out(tools) == ["user02"]
    assert done.backup is not None
    assert done.backup.people == ("user02",)
    assert (done.backup.path / "user02.tar.zst").exists()
    assert "user02" not in machine(tools)["homes"]
    assert "user01" in machine(tools)["homes"]
    folder = tools.store.folder("tessera")
    assert "user02" not in [person.username for person in record_of(tools).people]
    assert "user02" not in folder.credentials.read_text()
    with pytest.raises(UsageError, match="nobody called user02"):
        remove(tools, "tessera", ["user02"], discard_home=False)


def test_a_home_that_is_not_wanted_makes_no_backup(tools: Tools) -> None:
    put(tools, homes={"user02": {"b.ipynb": "{}"}})
    done = remove(tools, "tessera", ["user02"], discard_home=True)
    assert done.backup is None
    assert not tools.store.backups.exists()
    assert "user02" not in machine(tools)["homes"]


def test_a_home_that_can_not_be_copied_stays(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tools, homes={"user02": {"b.ipynb": "{}"}})
    with monkeypatch.context() as broken:
        broken.setattr(FakeRemote, "receive", lambda *_, **__: Result(1, "", "disk error"))
        with pytest.raises(NotReady, match="user02"):
            remove(tools, "tessera", ["user02"], discard_home=False)
    assert "user02" in machine(tools)["homes"]
    assert remove(tools, "tessera", ["user02"], discard_home=False).backup is not None
    assert "user02" not in machine(tools)["homes"]


def test_a_reset_password_opens_and_the_old_one_does_not(tools: Tools) -> None:
    old = passwords(tools)
    (fresh,) = reset(tools, "tessera", ["user02"]).credentials
    assert not can_log_in(tools, "user02", old["user02"])
    assert can_log_in(tools, "user02", fresh.password)
    assert logged_out(tools) == ["user02"]
    assert can_log_in(tools, "user01", old["user01"])
    assert passwords(tools) == old | {"user02": str(fresh.password)}


def _remove(tools: Tools, *usernames: str) -> Any:
    return remove(tools, "tessera", usernames, discard_home=True)


def _reset(tools: Tools, *usernames: str) -> Any:
    return reset(tools, "tessera", usernames)


REFUSED: dict[str, tuple[Callable[..., Any], list[str], str]] = {
    "an admin": (_remove, ["instructor"], "is an admin"),
    "everybody": (_remove, ["user01", "user02", "user03"], "everybody"),
    "a stranger": (_remove, ["user1"], "nobody called user1"),
    "a stranger among others": (_remove, ["user01", "nobody"], "nobody called nobody"),
    "a stranger's password": (_reset, ["nobody"], "nobody called nobody"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(tools: Tools, case: str) -> None:
    verb, usernames, words = REFUSED[case]
    before = (record_of(tools), passwords(tools), machine(tools))
    with pytest.raises(ProvisionError, match=words):
        verb(tools, *usernames)
    assert (record_of(tools), passwords(tools), machine(tools)) == before


def test_a_machine_that_is_off_or_silent_is_refused_before_anything_changes(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tools, state="stopped")
    before = (record_of(tools), passwords(tools), machine(tools))
    with pytest.raises(Refused, match=r"does not run.*Nothing was changed"):
        add(tools, "tessera", (ADA,))
    put(tools, state="running")

    def silent(*_: Any) -> Remote:
        raise NotYet("SSH does not answer")

    with pytest.raises(Refused, match="can't be reached; nothing was changed: SSH does not"):
        reset(replace(tools, connect=silent), "tessera", ["user01"])
    put(tools, state="stopped")
    assert (record_of(tools), passwords(tools), machine(tools)) == before


@pytest.mark.parametrize(
    ("phase", "hint"),
    [(Phase.FAILED, "provision launch tessera"), (Phase.STOPPED, "provision start tessera")],
)
def test_a_workshop_that_is_not_ready(tools: Tools, phase: Phase, hint: str) -> None:
    tools.store.save(record_of(tools).but(phase=phase))
    with pytest.raises(Refused) as error:
        add(tools, "tessera", (ADA,))
    assert error.value.hint == hint


def test_a_hub_that_is_away_is_waited_for(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, tries = FakeRemote.run, []

    def away_at_first(self: FakeRemote, command: str, **options: Any) -> Result:
        if command == hub.ASK and len(tries) < 3:
            tries.append(command)
            return Result(0, json.dumps({"status": 0, "body": "refused"}) + "\n", "")
        return plain(self, command, **options)

    monkeypatch.setattr(FakeRemote, "run", away_at_first)
    reset(tools, "tessera", ["user01"])
    assert len(tries) == 3
    assert logged_out(tools) == ["user01"]


def test_homes_that_can_not_be_made_are_told_with_the_way_on(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = FakeRemote.run

    def full(self: FakeRemote, command: str, **options: Any) -> Result:
        if command == commands.MAKE_HOMES:
            return Result(1, "", "homes: no space left")
        return plain(self, command, **options)

    with monkeypatch.context() as broken:
        broken.setattr(FakeRemote, "run", full)
        with pytest.raises(NotReady) as error:
            add(tools, "tessera", (ADA,))
    assert error.value.details == ("homes: no space left",)
    assert "same command again" in error.value.hint
    assert add(tools, "tessera", (ADA,)).already[0].person.username == "ada-lovelace"
    assert "ada-lovelace" in machine(tools)["homes"]


def test_a_launch_after_it_keeps_everybody(tools: Tools) -> None:
    add(tools, "tessera", (ADA,))
    remove(tools, "tessera", ["user03"], discard_home=False)
    known = passwords(tools)
    go(tools)
    assert passwords(tools) == known
    assert set(machine(tools)["users"]) == {"user01", "user02", "ada-lovelace", "instructor"}


def test_a_roster_that_has_grown_is_told_how_to_add(own_home: Path) -> None:
    tools = fake_tools(own_home)
    go(tools, roster=(ADA,), users=1)
    with pytest.raises(UsageError) as error:
        go(tools, roster=(ADA, GRACE), users=2)
    assert error.value.details == ("Grace Hopper",)
    assert "provision users add --workshop tessera --roster" in error.value.hint
    add(tools, "tessera", (ADA, GRACE))
    assert len(go(tools, roster=(ADA, GRACE), users=2).people) == 3


def test_a_teardown_brings_home_who_was_added(tools: Tools) -> None:
    add(tools, "tessera", (ADA,))
    done = tear_down(tools, "tessera", TeardownOptions())
    assert done.backup is not None
    assert "ada-lovelace" in done.backup.people


def test_a_walk_in_who_stands_in_the_list_later_keeps_the_seat_and_gets_an_address(
    tools: Tools,
) -> None:
    (ada,) = add(tools, "tessera", (Entry("Ada Lovelace"),)).credentials
    done = add(tools, "tessera", (ADA,))
    assert done.credentials == ()
    (known,) = done.already
    assert (known.person.seat, known.password) == (ada.person.seat, ada.password)
    assert known.person.email == "ada@example.org"
    assert [item.email for item in record_of(tools).people if item.name] == ["ada@example.org"]


def test_nobody_gets_the_seat_on_the_card_of_somebody_who_left(tools: Tools) -> None:
    add(tools, "tessera", (ADA,))
    remove(tools, "tessera", ["ada-lovelace"], discard_home=True)
    (grace,) = add(tools, "tessera", (GRACE,)).credentials
    assert grace.person.seat == "5"


def test_a_disk_that_is_too_small_for_all_shares_is_told_of(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, words = FakeRemote.run, "make-homes: WARNING: the disk is too small for everybody"

    def small(self: FakeRemote, command: str, **options: Any) -> Result:
        done = plain(self, command, **options)
        return replace(done, out=f"{words}\n") if command == commands.MAKE_HOMES else done

    monkeypatch.setattr(FakeRemote, "run", small)
    add(tools, "tessera", (ADA,))
    assert "warning: make-homes: the disk is too small for everybody" in tools.reporter.words  # type: ignore[attr-defined]


def test_a_backup_keeps_nobody_from_a_seat_but_homes_stay_where_they_are(tools: Tools) -> None:
    plain, seen = tools.connect, []
    put(tools, homes={"user01": {"a.ipynb": "{}"}})

    def meanwhile(*given: Any) -> Remote:
        seen.extend(add(tools, "tessera", (ADA,)).credentials)
        with pytest.raises(Busy, match=r"provision backup .process"):
            remove(tools, "tessera", ["user02"], discard_home=True)
        with pytest.raises(Busy, match=r"provision backup .process"):
            tear_down(tools, "tessera", TeardownOptions(discard_homes=True))
        return plain(*given)

    done = backup(replace(tools, connect=meanwhile), record_of(tools))
    assert "user01" in done.people
    assert can_log_in(tools, "ada-lovelace", seen[0].password)
    assert "user02" in passwords(tools)
