from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, NotYet
from provisioner.models import Result, Server
from provisioner.providers.fake import FakeProvider
from provisioner.render import homes
from provisioner.render.commands import calendar
from provisioner.settings import Settings
from provisioner.store import Record
from provisioner.workflow.archive import load, opened
from provisioner.workflow.backup import Backup, backup
from provisioner.workflow.launch import launch
from provisioner.workflow.rehearsal.seats import Note, keep_note
from provisioner.workflow.teardown import TeardownOptions, tear_down
from provisioner.workflow.tools import Tools
from tests.doubles import fake_tools
from tests.homes_folder import HomesFolder, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

NOW = datetime.now(UTC).replace(microsecond=0)
UNITS = "/etc/systemd/system"

# Two participants' servers run, and each saves what it has in memory when it is stopped.
AT_WORK = """\
echo "$@" >> {asked}
case $1 in
    ps) cat {running} ;;
    stop) echo late > {homes}/user01/home/late; : > {running} ;;
esac
"""


class Machine(HomesFolder):
    """With units of systemd's in a folder of its own."""

    def __init__(self, folder: Path, *people: str) -> None:
        super().__init__(folder, *people)
        self.units = folder / "units"
        self.units.mkdir()
        self.timer = self.units / "provision-deadline.timer"
        self.program("systemctl", "exit 0\n")

    def _here(self, text: str) -> str:
        return super()._here(text).replace(UNITS, str(self.units))

    def ends_at(self, at: datetime) -> None:
        self.timer.write_text(f"[Timer]\nOnCalendar={calendar(at)}\nOnBootSec=10min\n")

    @property
    def end(self) -> datetime:
        (line,) = [item for item in self.timer.read_text().splitlines() if "OnCalendar" in item]
        return datetime.strptime(line, "OnCalendar=%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)


class EndsWithItsDisk:
    """A provider whose machine is gone for good once it was shut down."""

    def __init__(self, provider: FakeProvider) -> None:
        self.name, self._provider, self.told = provider.name, provider, [NOW]
        self.find, self.delete = provider.find, provider.delete
        self.leftovers, self.discover = provider.leftovers, provider.discover

    def set_deadline(self, workshop_id: str, expires_at: datetime) -> None:
        self.told.append(expires_at)

    def stop(self, workshop_id: str) -> None: ...

    def start(self, workshop_id: str) -> Server:
        return self._provider.rescue(workshop_id)


@pytest.fixture
def server(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "server", "user01", "user02")


@pytest.fixture
def tools(tmp_path: Path, server: Machine) -> Tools:
    tools = fake_tools(tmp_path / "operator")
    launch(tools, Settings(name="tessera", users=2, provider="fake"), base_image="")
    return replace(tools, connect=lambda at, folder: server)


@pytest.fixture
def record(tools: Tools) -> Record:
    record = tools.store.load("tessera")
    assert record is not None
    return record


def end(tools: Tools, **options: Any) -> Backup:
    done = tear_down(tools, "tessera", TeardownOptions(**options)).backup
    assert done is not None
    return done


def names_in(done: Backup, username: str) -> list[str]:
    with opened(done.path / f"{username}.tar.zst") as tar:
        return tar.getnames()


def words(tools: Tools) -> str:
    return "\n".join(tools.reporter.words)  # type: ignore[attr-defined]


def lost(username: str) -> Any:
    def disturb(asked: str) -> None:
        if asked == username:
            raise NotYet("the SSH connection was lost: broken pipe")

    return disturb


def test_servers_stop_before_the_last_copy_so_that_it_has_what_was_saved_last(
    tools: Tools, server: Machine, tmp_path: Path
) -> None:
    asked, running = tmp_path / "asked", tmp_path / "running"
    running.write_text("c1\nc2\n")
    at = {"asked": asked, "running": running, "homes": server.root / "homes"}
    server.program("docker", AT_WORK.format(**at))
    done = end(tools)
    assert "./late" in names_in(done, "user01")
    lines = asked.read_text().splitlines()
    assert lines[0].endswith("stop proxy hub")  # or whose server was stopped starts it again
    assert [line for line in lines if line.startswith("stop")] == ["stop -t 10 c1 c2"]


def test_a_dead_docker_keeps_nobodys_files_away(tools: Tools, server: Machine) -> None:
    server.program("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1\n")
    server.write("user01", work="x")
    assert "./work" in names_in(end(tools), "user01")
    assert "could not all be stopped" in words(tools)
    assert "Cannot connect to the Docker daemon" in words(tools)


def test_a_machine_started_without_docker_is_not_asked_to_stop_anything(
    tools: Tools, record: Record, server: Machine
) -> None:
    provider: Any = tools.provider
    provider.write(record.id, provider.read(record.id) | {"state": "stopped"})
    server.program("docker", "exit 1\n")
    assert end(tools).people == ("user01", "user02")
    assert "could not all be stopped" not in words(tools)


def test_a_failure_says_how_people_get_in_again_and_what_is_lost(
    tools: Tools, server: Machine
) -> None:
    server.disturb = lost("user02")
    with pytest.raises(NotReady, match=r"Nothing was deleted.*user02") as failed:
        end(tools)
    hint = failed.value.hint
    assert "provision launch tessera lets them in again" in hint
    (folder,) = tools.store.backups.iterdir()
    assert f"loses the files of user02: what everybody else has is in {folder}" in hint
    assert set(load(folder).files) == {"user01"}


def test_while_people_still_write_nobody_is_told_that_their_files_are_safe(
    tools: Tools, server: Machine
) -> None:
    server.program("docker", "exit 1\n")
    server.disturb = lost("user02")
    with pytest.raises(NotReady) as failed:
        end(tools)
    assert "with --discard-homes they are lost" in failed.value.hint
    assert "lets them in again" not in failed.value.hint


@pytest.mark.parametrize("awake", [True, False], ids=["awake", "woken"])
@pytest.mark.parametrize("left", [20, 600], ids=["soon", "late"])
@pytest.mark.parametrize("known", [True, False], ids=["record", "no-record"])
def test_a_machine_that_ends_with_its_disk_does_not_end_meanwhile(
    tools: Tools, record: Record, server: Machine, awake: bool, left: int, known: bool
) -> None:
    """Twenty minutes become two hours, and ten hours stay ten hours."""
    before = NOW + timedelta(minutes=left)
    server.ends_at(before)
    fake: Any = tools.provider
    provider = EndsWithItsDisk(fake)
    tools = replace(tools, provider=provider)  # type: ignore[arg-type]
    if known:
        tools.store.save(record.but(expires_at=before))
    else:
        tools.store.folder("tessera").record.unlink()
    if not awake:
        fake.write(record.id, fake.read(record.id) | {"state": "stopped"})
    seen = []
    server.disturb = lambda username: seen.append(server.end)
    end(tools)
    assert set(seen) == {server.end}
    if left == 600:
        assert server.end == before
    else:
        assert NOW + timedelta(hours=2) <= server.end < NOW + timedelta(hours=3)
        assert provider.told[-1] == server.end


def test_when_it_will_end_is_said_with_the_failure(
    tools: Tools, record: Record, server: Machine
) -> None:
    ends = NOW + timedelta(hours=10)
    server.ends_at(ends)
    server.disturb = lost("user02")
    ending = EndsWithItsDisk(tools.provider)  # type: ignore[arg-type]
    with pytest.raises(NotReady, match="Nothing was deleted") as failed:
        end(replace(tools, provider=ending))  # type: ignore[arg-type]
    assert f"{ends.astimezone():%a %d %b %H:%M}" in failed.value.message


def test_a_deadline_that_can_not_be_moved_stops_only_what_was_started_for_this(
    tools: Tools, record: Record, server: Machine
) -> None:
    fake: Any = tools.provider
    tools = replace(tools, provider=EndsWithItsDisk(fake))  # type: ignore[arg-type]
    tools.store.save(record.but(expires_at=NOW + timedelta(minutes=20)))
    fake.write(record.id, fake.read(record.id) | {"state": "stopped"})
    with pytest.raises(NotReady, match="would end itself"):
        end(tools)  # there is no timer's file
    fake.write(record.id, fake.read(record.id) | {"state": "running"})
    assert end(tools).people == ("user01", "user02")
    assert "did not take a later one" in words(tools)


def test_a_finished_backup_on_another_disk_is_gone_on_with(
    tools: Tools, record: Record, server: Machine, tmp_path: Path
) -> None:
    disk = tmp_path / "disk" / "saved"
    server.write("user01", work="x")
    server.write("user02", work="x")
    backup(tools, record, output=disk)
    server.fetched.clear()
    server.write("user02", late="x")
    server.disturb = lost("user02")
    with pytest.raises(NotReady, match="user02"):
        end(tools, output=disk)
    assert set(load(disk).files) == {"user01", "user02"}  # an older copy is better than none
    server.disturb = lambda username: None
    server.fetched.clear()
    done = end(tools, output=disk)
    assert done.path == disk
    assert server.fetched == ["user02"]
    assert "./late" in names_in(done, "user02")
    assert load(disk).finished_at
    assert not list(tools.store.backups.glob("*"))


def test_a_home_that_tar_could_not_read_is_tried_once_more(
    tools: Tools, server: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, tries = server.receive, []

    def failing(command: str, sink: Any, **options: Any) -> Result:
        done = receive(command, sink, **options)
        if command != homes.archive("user01"):
            return done
        tries.append(command)
        return done if len(tries) > 1 else Result(0, "", "tar: ./x: Cannot stat\ncode 2\n")

    monkeypatch.setattr(server, "receive", failing)
    assert end(tools).people == ("user01", "user02")
    assert len(tries) == 2


def test_who_only_played_in_a_rehearsal_has_nothing_to_bring(tools: Tools, tmp_path: Path) -> None:
    server = Machine(tmp_path / "other", "user01", "user02", "rehearse01")
    tools = replace(tools, connect=lambda at, folder: server)
    keep_note(tools.store.folder("tessera"), Note(guests=("rehearse01", "user02")))
    assert end(tools).people == ("user01", "user02")  # user02 is somebody, whatever it says
