from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import NotReady, NotYet, Refused, UsageError
from provisioner.models import GIB, Phase, Result, Size, Spec
from provisioner.providers.fake import FakeCloud, FakeProvider, FakeRemote, FakeVisitor
from provisioner.render import bootstrap, commands
from provisioner.settings import Settings
from provisioner.store import read_events
from provisioner.workflow import people, planning
from provisioner.workflow.expiry import settle
from provisioner.workflow.launch import Launched, launch
from provisioner.workflow.listing import listing
from provisioner.workflow.teardown import TeardownOptions, tear_down
from provisioner.workflow.tools import Tools
from tests.doubles import Listener, fake_tools


@pytest.fixture
def tools(own_home: Path) -> Tools:
    return fake_tools(own_home)


def ask(**changes: Any) -> Settings:
    return Settings(**{"name": "tessera", "provider": "fake", "users": 3, **changes})


def go(tools: Tools, **changes: Any) -> Launched:
    return launch(tools, ask(**changes), base_image="")


def test_a_launch_ends_with_a_workshop_that_lets_people_in(tools: Tools) -> None:
    launched = go(tools)
    assert launched.record.phase is Phase.READY
    assert [item.person.username for item in launched.credentials] == [
        "user01",
        "user02",
        "user03",
        "instructor",
    ]
    (found,) = tools.provider.discover()  # type: ignore[attr-defined]
    users = tools.provider.read(found.id)["users"]  # type: ignore[attr-defined]
    assert users["instructor"]["admin"] is True
    assert not any(str(item.password) in json.dumps(users) for item in launched.credentials)


def test_the_steps_are_timed_for_readers_and_for_next_time(tools: Tools) -> None:
    launched = go(tools)
    steps = [event["step"] for event in read_events(tools.store.folder("tessera").events)]
    for name in ("create", "ssh", "host-key", "cloud-init", "secrets", "https", "login", "cell"):
        assert name in steps
        assert launched.timings[name] >= 0
    assert tools.store.usual("ssh", "fake") is not None


def test_launching_again_gives_the_same_workshop(tools: Tools) -> None:
    first, second = go(tools), go(tools)
    assert second.credentials == first.credentials
    assert second.record.id == first.record.id
    assert len(tools.provider.discover()) == 1  # type: ignore[attr-defined]


def test_the_host_key_of_user_data_is_replaced_and_forgotten(tools: Tools) -> None:
    go(tools)
    folder = tools.store.folder("tessera")
    assert not folder.host_key.exists()
    assert folder.known_hosts.read_text() == f"192.0.2.1 {FakeRemote.NEW_KEY}\n"


def test_other_settings_under_the_same_name_are_refused(tools: Tools) -> None:
    go(tools)
    with pytest.raises(UsageError) as error:
        go(tools, users=5)
    assert "users: it has 3, you ask for 5" in error.value.details


def test_a_missing_data_folder_creates_nothing(tools: Tools) -> None:
    with pytest.raises(Refused) as error:
        go(tools, data=[{"source": "nowhere", "path": "/tessera"}])
    assert "does not exist" in error.value.details[0]
    assert tools.store.names() == []
    assert tools.provider.discover() == []  # type: ignore[attr-defined]


def test_the_data_folder_arrives(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "a.npy").write_text("1")
    go(tools, data=[{"source": str(tmp_path / "tiles"), "path": "/tessera"}])
    (found,) = tools.provider.discover()  # type: ignore[attr-defined]
    assert tools.provider.read(found.id)["files"] == {  # type: ignore[attr-defined]
        "/opt/provision/data/0": ["a.npy"]
    }


def test_a_data_folder_is_copied_again_only_when_it_has_changed(
    tools: Tools, tmp_path: Path
) -> None:
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "a.npy").write_text("1")
    data = [{"source": str(tmp_path / "tiles"), "path": "/tessera"}]
    listener = tools.reporter
    assert isinstance(listener, Listener)
    go(tools, data=data)
    go(tools, data=data)
    assert listener.steps.count("Copying tiles for /tessera") == 1
    (tmp_path / "tiles" / "b.npy").write_text("2")
    go(tools, data=data)
    assert listener.steps.count("Copying tiles for /tessera") == 2
    (found,) = tools.provider.discover()  # type: ignore[attr-defined]
    assert tools.provider.read(found.id)["files"] == {  # type: ignore[attr-defined]
        "/opt/provision/data/0": ["a.npy", "b.npy"]
    }


@pytest.mark.parametrize(
    ("free", "subject", "words", "share"),
    [
        (
            Size(memory=int(23.5 * GIB), cores=2, disk=900 * GIB),
            "memory",
            "31 × 1.0 GiB + 2.0 GiB = 33.0 GiB; this machine has 23.5 GiB free: "
            "20 people fit beside instructor",
            "704M",
        ),
        (
            Size(memory=64 * GIB, cores=2, disk=30 * GIB),
            "disk",
            "31 × 2.0 GiB + 12.0 GiB + 8.8 GiB for file systems = 82.8 GiB; "
            "this machine has 30.0 GiB free: 6 people fit beside instructor",
            "448M",
        ),
    ],
)
def test_a_machine_that_is_too_small_is_refused_with_numbers(
    tools: Tools, monkeypatch: pytest.MonkeyPatch, free: Size, subject: str, words: str, share: str
) -> None:
    monkeypatch.setattr(tools.provider, "available", lambda: free)
    with pytest.raises(Refused) as error:
        go(tools, users=30)
    assert error.value.details == (f"{subject}: {words}",)
    hint = f"fewer --users, or --{subject} {share} for each, or --provider aws"
    assert error.value.hint == hint
    assert tools.store.names() == []


class Broken(FakeRemote):
    """A server whose answers to some commands are replaced."""

    answers: dict[str, Result]

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        return self.answers.get(command) or super().run(command, timeout=timeout, stdin=stdin)


def broken(tools: Tools, answers: dict[str, Result]) -> Tools:
    def connect(server: Any, folder: Any) -> Broken:
        whole = tools.connect(server, folder)
        remote = Broken.__new__(Broken)
        remote.__dict__.update(vars(whole), answers=answers)
        return remote

    return replace(tools, connect=connect)


def test_a_failed_cloud_init_stops_the_wait_and_names_the_module(tools: Tools) -> None:
    answer = {"status": "error", "errors": ["runcmd: exit 1"], "modules-final": {"errors": ["x"]}}
    failing = broken(
        tools,
        {
            commands.CLOUD_INIT_STATUS: Result(1, json.dumps(answer), ""),
            commands.CLOUD_INIT_LOG: Result(0, "E: Unable to locate package dokker\n", ""),
        },
    )
    with pytest.raises(NotReady) as error:
        go(failing)
    assert "cloud-init failed in modules-final" in error.value.message
    assert error.value.exit_code == 4
    said = "\n".join(error.value.details)
    assert "runcmd: exit 1" in said
    assert "Unable to locate package dokker" in said
    assert "provision ssh tessera" in error.value.hint
    assert tools.clock.monotonic() < 60
    folder = tools.store.folder("tessera")
    assert "dokker" in (folder.logs / "cloud-init-output.log").read_text()
    record = tools.store.load("tessera")
    assert record is not None
    assert record.phase is Phase.FAILED
    assert len(tools.provider.discover()) == 1  # type: ignore[attr-defined]


def test_a_failed_launch_can_be_repeated_once_the_cause_is_gone(tools: Tools) -> None:
    with pytest.raises(NotReady):
        go(broken(tools, {commands.PREPARE_HOST_KEY: Result(1, "", "read-only file system")}))
    assert go(tools).record.phase is Phase.READY


def test_a_machine_that_dies_while_we_wait_ends_the_wait(tools: Tools) -> None:
    def connect(server: Any, folder: Any) -> Any:
        tools.provider.write(server.id, {"name": "tessera", "state": "stopped"})  # type: ignore[attr-defined]
        raise NotYet("SSH does not answer: connection refused")

    with pytest.raises(NotReady, match="powered itself off"):
        go(replace(tools, connect=connect))
    assert tools.clock.monotonic() <= 2


def test_remains_without_a_record_are_not_built_upon(tools: Tools) -> None:
    go(tools)
    tools.store.folder("tessera").record.unlink()
    with pytest.raises(Refused) as error:
        go(tools)
    assert "runs already" in error.value.message
    assert "provision teardown tessera" in error.value.hint


def homes(tools: Tools, files: dict[str, dict[str, str]]) -> None:
    (found,) = tools.provider.discover()  # type: ignore[attr-defined]
    state = tools.provider.read(found.id)  # type: ignore[attr-defined]
    tools.provider.write(found.id, state | {"homes": files})  # type: ignore[attr-defined]


def end(tools: Tools, **options: bool) -> Any:
    return tear_down(tools, "tessera", TeardownOptions(**options))


def nothing_left(tools: Tools) -> bool:
    return not tools.store.names() and not tools.provider.discover()  # type: ignore[attr-defined]


def test_teardown_brings_the_homes_and_leaves_nothing(tools: Tools) -> None:
    from provisioner.workflow.archive import opened

    go(tools)
    homes(tools, {"user01": {"a.ipynb": "{}"}, "user02": {"b.txt": "ü"}})
    done = end(tools)
    assert nothing_left(tools)
    assert done.backup.people == ("user01", "user02")
    with opened(done.backup.path / "user02.tar.zst") as archive:
        member = archive.extractfile(archive.next())
        assert member.read().decode() == "ü"


def test_teardown_can_be_repeated(tools: Tools) -> None:
    go(tools)
    end(tools)
    assert end(tools).deleted == ()


@pytest.mark.parametrize("damage", ["record", "corrupt", "folder"])
def test_teardown_works_without_a_record(tools: Tools, damage: str) -> None:
    import shutil

    go(tools)
    homes(tools, {"user01": {"a.ipynb": "{}"}})
    folder = tools.store.folder("tessera")
    if damage == "record":
        folder.record.unlink()
    elif damage == "corrupt":
        folder.record.write_text("{")
    else:
        shutil.rmtree(folder.path)
    if damage == "folder":  # with the key went the way to people's files: that needs a word
        with pytest.raises(NotReady, match="has no key") as refused:
            end(tools)
        assert "--discard-homes" in refused.value.hint
        assert not nothing_left(tools)
    done = end(tools, discard_homes=damage == "folder")
    assert nothing_left(tools)
    assert (done.backup is not None) == (damage != "folder")


def test_homes_that_cannot_be_fetched_keep_everything(tools: Tools) -> None:
    go(tools)
    homes(tools, {"user01": {"a.ipynb": "{}"}})
    failing = broken(tools, {commands.list_homes(): Result(1, "", "input/output error")})
    with pytest.raises(NotReady, match="Nothing was deleted"):
        end(failing)
    assert not nothing_left(tools)
    assert end(failing, discard_homes=True).backup is None
    assert nothing_left(tools)


def test_what_is_left_is_listed(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    from provisioner.errors import LeftOver

    go(tools)
    monkeypatch.setattr(tools.provider, "delete", lambda _: None)
    with pytest.raises(LeftOver) as error:
        end(tools)
    assert error.value.exit_code == 5
    assert "rm " in error.value.details[0]
    assert tools.store.names() == ["tessera"]


def expire(tools: Tools, *, stopped: bool = True) -> None:
    record = tools.store.load("tessera")
    assert record is not None
    past = datetime.now(UTC) - timedelta(minutes=1)
    tools.store.save(record.but(expires_at=past))
    if stopped:
        state = tools.provider.read(record.id)  # type: ignore[attr-defined]
        tools.provider.write(record.id, state | {"state": "stopped"})  # type: ignore[attr-defined]


def test_the_next_command_reports_an_expired_workshop_and_keeps_the_work(tools: Tools) -> None:
    go(tools)
    homes(tools, {"user01": {"a.ipynb": "{}"}})
    expire(tools)
    record = tools.store.load("tessera")
    assert record is not None
    settled = settle(tools, record)
    assert settled is not None
    assert settled.phase is Phase.EXPIRED
    assert isinstance(tools.reporter, Listener)
    assert "ended at its deadline" in tools.reporter.words[-1]
    assert [line.phase for line in listing(tools)] == [Phase.EXPIRED]


def test_an_expired_workshop_that_nobody_entered_is_cleared_away(tools: Tools) -> None:
    with pytest.raises(NotReady):
        go(broken(tools, {commands.PREPARE_HOST_KEY: Result(1, "", "no")}))
    expire(tools)
    record = tools.store.load("tessera")
    assert record is not None
    assert settle(tools, record) is None
    assert nothing_left(tools)


def test_a_changed_host_key_is_refused(tools: Tools) -> None:
    go(tools)
    folder = tools.store.folder("tessera")
    stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    folder.known_hosts.write_text(f"192.0.2.1 {stranger}\n")
    with pytest.raises(NotReady, match="not the pinned one"):
        go(tools)


def test_shared_login_gives_all_participants_one_password(tools: Tools) -> None:
    launched = go(tools, login={"mode": "shared"})
    passwords = [str(item.password) for item in launched.credentials]
    assert len(set(passwords[:-1])) == 1
    assert passwords[-1] not in passwords[:-1]


def test_two_workshops_live_side_by_side(tools: Tools, own_home: Path) -> None:
    go(tools)
    other = fake_tools(own_home, FakeCloud(own_home / ".fake"))
    launch(other, ask(name="other"), base_image="")
    assert [line.name for line in listing(tools)] == ["other", "tessera"]
    end(tools)
    assert [line.name for line in listing(tools)] == ["other"]


def test_an_expired_workshop_is_not_ended_in_another_place(tools: Tools) -> None:
    """With the other place's tools its machine would not be seen, and its files be forgotten."""
    go(tools)
    homes(tools, {"user01": {"a.ipynb": "{}"}})
    expire(tools)
    with pytest.raises(Refused) as refused:
        go(tools, local={"bind": "127.0.0.2"})
    assert "provision teardown tessera" in refused.value.hint
    assert not nothing_left(tools)
    assert end(tools).backup.people == ("user01",)


def test_a_sheet_that_was_put_away_does_not_mean_that_nobody_came(tools: Tools) -> None:
    go(tools)
    homes(tools, {"user01": {"a.ipynb": "{}"}})
    tools.store.folder("tessera").credentials.unlink()
    assert end(tools).backup.people == ("user01",)


def test_a_lost_record_of_another_provider_is_not_forgotten(tools: Tools) -> None:
    """The folder holds the only keys: it goes when the machine is known to be gone."""
    go(tools)
    (found,) = tools.provider.discover()  # type: ignore[attr-defined]
    tools.provider.delete(found.id)
    tools.store.folder("tessera").record.write_text("{")
    with pytest.raises(UsageError) as error:
        end(tools)
    assert "--provider aws" in error.value.hint
    assert tools.store.folder("tessera").ssh_key.exists()
    end(tools, discard_homes=True)
    assert nothing_left(tools)


def test_what_is_left_is_named_by_the_workshop(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provisioner.errors import LeftOver

    go(tools)

    def denied(_: str) -> None:
        raise Refused("AWS does not allow you ec2:TerminateInstances")

    monkeypatch.setattr(tools.provider, "delete", denied)
    with pytest.raises(LeftOver) as error:
        end(tools)
    assert "ec2:TerminateInstances" in error.value.message
    assert error.value.hint == "provision teardown tessera"
    assert error.value.document["name"] == "tessera"
    assert error.value.document["leftovers"]


def test_a_new_version_of_the_program_starts_what_an_older_one_made(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle that is installed here has other images now; the machine keeps those it has."""
    go(tools)
    whole = planning.respec

    def newer(*args: Any) -> Any:
        spec = whole(*args)
        return replace(spec, bundle=replace(spec.bundle, image_key="of-the-new-version"))

    monkeypatch.setattr(planning, "respec", newer)
    heard: list[str] = []
    run = FakeRemote.run

    def listening(self: Any, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        heard.append(command)
        wrong = "of-the-new-version" in command
        return Result(1, "", "no such image") if wrong else run(self, command, stdin=stdin)

    monkeypatch.setattr(FakeRemote, "run", listening)
    go(tools)
    assert commands.have_images() in heard


class Baking(FakeProvider):
    """Makes an image first, as the local provider does."""

    made = 0

    def bake(self, spec: Spec, reporter: Any) -> Any:
        self.made += 1

    def baked(self, spec: Spec) -> bool:
        return self.made > 0

    def images(self) -> list[Any]:
        return []

    def prune(self, keep: Any) -> Any:
        return iter(())


def test_an_image_is_made_for_a_machine_that_is_not_there_yet(own_home: Path) -> None:
    cloud = FakeCloud(own_home / ".fake")
    cloud.provider = provider = Baking(own_home / ".fake")
    tools = fake_tools(own_home, cloud)
    go(tools)
    go(tools)
    assert provider.made == 1


def bootstrap_says(monkeypatch: pytest.MonkeyPatch, *states: str) -> list[str]:
    """Each look at the bootstrap finds the next of `states`, the last for ever; what was heard."""
    left, heard = list(states), []
    run = FakeRemote.run

    def answer(self: Any, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        heard.append(command)
        if command == bootstrap.STATE:
            state = left.pop(0) if len(left) > 1 else left[0]
            text = f"LoadState=loaded\nActiveState={state}\nbootstrap [1s] building images\n"
            return Result(0, text, "")
        return run(self, command, timeout=timeout, stdin=stdin)

    monkeypatch.setattr(FakeRemote, "run", answer)
    return heard


def test_a_bootstrap_that_failed_is_told_and_the_next_launch_begins_it_again(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that was away for five minutes does not cost the machine."""
    with monkeypatch.context() as patch:
        heard = bootstrap_says(patch, "inactive", "failed")
        with pytest.raises(NotReady, match=r"failed .* at: building images"):
            go(tools)
        assert bootstrap.BEGIN not in heard, "it failed in this launch: that is to be told"
    with monkeypatch.context() as patch:
        heard = bootstrap_says(patch, "failed", "failed", "activating", "active")
        assert go(tools).record.phase is Phase.READY
        assert heard.count(bootstrap.BEGIN) == 1


def test_a_bootstrap_that_was_cut_short_is_begun_again(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = bootstrap_says(monkeypatch, "inactive", "inactive", "activating", "active")
    assert go(tools).record.phase is Phase.READY
    assert heard.count(bootstrap.BEGIN) == 1


def test_whatever_goes_wrong_once_there_is_a_machine_is_kept_and_told(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate's file that went away in the meantime, say."""

    def gone(*_: Any, **__: Any) -> Any:
        raise UsageError("The certificate can't be read: no such file")

    monkeypatch.setattr("provisioner.workflow.launch.site_files", gone)
    with pytest.raises(NotReady, match="certificate can't be read") as error:
        go(tools)
    assert "provision teardown tessera" in error.value.hint
    record = tools.store.load("tessera")
    assert record is not None
    assert (record.phase, record.failure) == (Phase.FAILED, error.value.message)
    assert (tools.store.folder("tessera").logs / "console.log").exists()


def test_a_trial_that_fails_in_a_busy_room_leaves_the_workshop_ready(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = go(tools).record
    with monkeypatch.context() as patch:
        patch.setattr(FakeVisitor, "run", lambda *_, **__: "the server is busy")
        with pytest.raises(NotReady) as error:
            go(tools)
    assert error.value.exit_code == 4
    record, remote = people.reach(tools, "tessera")  # `users add` goes on to work
    remote.close()
    assert (record.phase, record.ready_at) == (Phase.READY, ready.ready_at)
    assert go(tools).record.ready_at == ready.ready_at


def test_launching_again_changes_nobodys_hash(tools: Tools) -> None:
    """The hub ends the sessions of those whose hash is another one."""
    (id_,) = (go(tools).record.id,)
    before = tools.provider.read(id_)["users"]  # type: ignore[attr-defined]
    go(tools)
    assert tools.provider.read(id_)["users"] == before  # type: ignore[attr-defined]


def test_a_deadline_is_not_moved_without_a_word(tools: Tools) -> None:
    listener = tools.reporter
    assert isinstance(listener, Listener)
    first = go(tools, expires="8h").record
    go(tools, expires="8h")
    go(tools)
    assert "extend" not in "".join(listener.words)
    assert go(tools, expires="20h").record.expires_at == first.expires_at
    assert "provision extend tessera 20h" in listener.words[-1]


def test_a_connection_lost_over_a_stamp_does_not_send_the_data_again(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles" / "a.npy").write_text("1")
    data = [{"source": str(tmp_path / "tiles"), "path": "/tessera"}]
    listener = tools.reporter
    assert isinstance(listener, Listener)
    go(tools, data=data)
    run, lost = FakeRemote.run, [True]

    def cut(self: Any, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        if command == commands.read_file(commands.data_stamp(0)) and lost:
            lost.clear()
            raise NotYet("the SSH connection was lost")
        return run(self, command, timeout=timeout, stdin=stdin)

    monkeypatch.setattr(FakeRemote, "run", cut)
    assert go(tools, data=data).record.phase is Phase.READY
    assert not lost
    assert listener.steps.count("Copying tiles for /tessera") == 1
