"""People who come and go, on a real server, while others work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.errors import NotReady, ProvisionError
from provisioner.models import Credential
from provisioner.remote.channels import Channels
from provisioner.remote.hub import Participant, Site, _execute
from provisioner.roster import Entry
from provisioner.store import Record
from provisioner.workflow.people import add, remove, reset
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.engine.workshop import Workshop

ADA = Entry("Ada Lovelace", "ada@example.org")


def now(workshop: Workshop) -> Workshop:
    """With the record as it stands; the fixture's is of the launch."""
    record = workshop.tools.store.load(workshop.record.name)
    assert isinstance(record, Record)
    return Workshop(workshop.engine, workshop.tools, record)


def admits(workshop: Workshop, username: str, password: str) -> bool:
    with Participant(Site(workshop.url, workshop.ca), username, password) as visitor:
        try:
            visitor.login()
        except NotReady:
            return False
        return True


def knows(visitor: Participant) -> bool:
    """Whether this session is still one of the hub's."""
    try:
        visitor._server()
    except ProvisionError:
        return False
    return True


def ran(visitor: Participant, code: str) -> str:
    """As a launch runs its cell: a connection that does not come about is tried again."""
    return wait_for(lambda: visitor.run(code, timeout=60), budget=150, clock=SystemClock()).strip()


@pytest.fixture(scope="module")
def at_work(workshop: Workshop) -> Iterator[Channels]:
    """user01's open notebook: one connection to one kernel, whatever happens to others."""
    with workshop.serving("user01") as visitor:
        kernel = visitor._lab("POST", "/api/kernels", json={"name": "python3"}).json()["id"]
        with visitor._channels(kernel) as socket:
            _execute(socket, "kept = 6 * 7", 60)
            yield socket
        visitor._lab("DELETE", f"/api/kernels/{kernel}")


def kept(notebook: Channels) -> str:
    """What user01's kernel remembers, over the connection that was open all the time."""
    return _execute(notebook, "print(kept)", 60).strip()


@pytest.fixture
def ada(workshop: Workshop, at_work: Channels) -> Iterator[Credential]:
    tools, name = workshop.tools, workshop.record.name
    (made,) = add(tools, name, (ADA,)).credentials
    yield made
    there = now(workshop).record.people
    if any(person.username == made.person.username for person in there):
        remove(tools, name, [made.person.username], discard_home=True)


def test_who_is_added_runs_a_cell_and_the_others_work_on(
    workshop: Workshop, at_work: Channels, ada: Credential
) -> None:
    assert ada.person.username == "ada-lovelace"
    with now(workshop).serving("ada-lovelace") as visitor:
        assert ran(visitor, "print(6 * 7)") == "42"
        assert ran(visitor, "open('mine.txt', 'w').write('x')")
    assert kept(at_work) == "42"


def test_after_a_reset_old_passwords_and_sessions_are_worth_nothing(
    workshop: Workshop, at_work: Channels, ada: Credential
) -> None:
    with now(workshop).serving("ada-lovelace") as old:
        ran(old, "open('mine.txt', 'w').write('x')")
        (fresh,) = reset(workshop.tools, workshop.record.name, ["ada-lovelace"]).credentials
        assert not knows(old)
        assert old._lab("GET", "/api/contents").status_code in {302, 401, 403, 404, 424}
    assert not admits(workshop, "ada-lovelace", str(ada.password))
    with now(workshop).serving("ada-lovelace") as visitor:
        assert ran(visitor, "print(open('mine.txt').read())") == "x"
    assert fresh.password != ada.password
    assert kept(at_work) == "42"


def test_who_is_removed_is_out_and_their_files_are_home(
    workshop: Workshop, at_work: Channels, ada: Credential
) -> None:
    with now(workshop).serving("ada-lovelace") as old:
        ran(old, "open('mine.txt', 'w').write('x')")
        done = remove(workshop.tools, workshop.record.name, ["ada-lovelace"], discard_home=False)
        assert not knows(old)
        assert not admits(workshop, "ada-lovelace", str(ada.password))
    assert done.backup is not None
    assert done.backup.people == ("ada-lovelace",)
    assert not workshop.run("ls /opt/provision/homes/ada-lovelace").ok
    assert "jupyter-ada-lovelace" not in workshop.run("docker ps -a --format '{{.Names}}'").out
    assert kept(at_work) == "42"


def test_a_removal_that_was_cut_short_is_finished_by_a_repeat(
    workshop: Workshop, at_work: Channels, ada: Credential
) -> None:
    tools, name = workshop.tools, workshop.record.name
    record = now(workshop).record
    with now(workshop).serving("ada-lovelace") as old:
        left = tuple(item for item in record.people if item.username != "ada-lovelace")
        tools.store.save(record.but(people=left))  # as if it had been killed right here
        add(tools, name, ())  # any of these commands brings the server to the record
        assert not knows(old)
    assert workshop.run("ls /opt/provision/homes/ada-lovelace").ok
    remove(tools, name, ["ada-lovelace"], discard_home=True)
    assert not workshop.run("ls /opt/provision/homes/ada-lovelace").ok
