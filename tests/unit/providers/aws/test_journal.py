"""What is known after a crash."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.errors import Refused
from provisioner.providers.aws.failures import AwsError, answered
from provisioner.providers.aws.journal import RUN, Journal


class Time:
    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def error(code: str, status: int) -> AwsError:
    said = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return answered(said, RUN)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_an_intent_without_a_result_is_found_by_the_next_process(path: Path, time: Time) -> None:
    Journal(path, time).intend(RUN, token="t", zone="a")
    (entry,) = Journal(path, time).unresolved(RUN)
    assert entry.facts == {"token": "t", "zone": "a"}
    Journal(path, time).result(entry, "done", instance="i-1")
    assert Journal(path, time).unresolved() == []
    assert Journal(path, time).entries(RUN)[0].said == {"instance": "i-1"}


def test_it_is_on_disk_before_the_call_and_only_the_owner_s(path: Path, time: Time) -> None:
    journal = Journal(path, time)
    with journal.intent(RUN, token="t"):
        assert '"token": "t"' in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_refusal_resolves_and_silence_does_not(path: Path, time: Time) -> None:
    journal = Journal(path, time)
    with pytest.raises(AwsError), journal.intent(RUN, token="refused"):
        raise error("InsufficientInstanceCapacity", 500)
    with pytest.raises(AwsError), journal.intent(RUN, token="unclear"):
        raise error("InternalError", 500)
    with pytest.raises(KeyboardInterrupt), journal.intent(RUN, token="interrupted"):
        raise KeyboardInterrupt
    assert [entry.facts["token"] for entry in journal.unresolved()] == ["unclear", "interrupted"]


def test_a_line_torn_by_a_crash_takes_no_other_with_it(path: Path, time: Time) -> None:
    Journal(path, time).intend(RUN, token="first")
    with path.open("a") as file:
        file.write('{"at": "2030-01-01T00:00:00+00:00", "event": "int')
    Journal(path, time).intend(RUN, token="second")
    found = Journal(path, time).entries()
    assert [(entry.number, entry.facts["token"]) for entry in found] == [
        (1, "first"),
        (2, "second"),
    ]


def test_for_a_minute_nothing_seen_proves_nothing(path: Path, time: Time) -> None:
    journal = Journal(path, time)
    with journal.intent(RUN, token="t") as said:
        said["instance"] = "i-1"
    assert journal.unseen() == ["i-1"]
    time.now += timedelta(seconds=61)
    assert journal.unseen() == []


def test_an_end_is_remembered_once(path: Path, time: Time) -> None:
    journal = Journal(path, time)
    with journal.intent(RUN, token="t") as said:
        said["instance"] = "i-1"
    journal.ended("i-1", "a", "no room")
    journal.ended("i-1")
    assert dict(journal.endings()["i-1"]) == {"instance": "i-1", "zone": "a", "why": "no room"}
    assert journal.unseen() == []


def test_without_a_folder_it_works_until_the_process_ends(time: Time) -> None:
    journal = Journal(None, time)
    journal.intend(RUN, token="t")
    assert len(journal.unresolved()) == 1


def test_where_nothing_can_be_written_nothing_is_asked_for(tmp_path: Path, time: Time) -> None:
    with pytest.raises(Refused) as caught:
        Journal(tmp_path / "missing" / "journal.jsonl", time).intend(RUN, token="t")
    assert "PROVISION_HOME" in caught.value.hint
