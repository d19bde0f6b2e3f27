from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import NotReady, Refused
from provisioner.models import GIB, Result
from provisioner.render import people
from provisioner.settings import Settings
from provisioner.store import Record
from provisioner.workflow.capacity import refuse_too_many
from provisioner.workflow.launch import launch
from tests.doubles import fake_tools


class Machine:
    """A server of this size, with nothing else to say."""

    def __init__(self, memory: int, disk: int) -> None:
        self.says = Result(0, f"{memory}\n{disk}\n", "")

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        assert command == people.MEASURE
        return self.says


@pytest.fixture
def record(own_home: Path) -> Record:
    asked = Settings(name="tessera", provider="fake", users=3)
    return launch(fake_tools(own_home), asked, base_image="").record


def fits(record: Record, machine: Machine, more: int) -> bool:
    try:
        refuse_too_many(record, machine, more)  # type: ignore[arg-type]
    except Refused:
        return False
    return True


def test_memory_decides_where_it_is_short(record: Record) -> None:
    large = Machine(24 * GIB, 500 * GIB)
    assert fits(record, large, 18)  # 3 and the instructor are there: 22 × 1 GiB, and 2 for all
    assert not fits(record, large, 19)


def test_shared_data_takes_room_from_homes(record: Record) -> None:
    machine = Machine(64 * GIB, 80 * GIB)
    assert fits(record, machine, 20)
    full = record.but(data_bytes=40 * GIB)
    assert not fits(full, machine, 20)
    with pytest.raises(Refused) as error:
        refuse_too_many(full, machine, 20)  # type: ignore[arg-type]
    assert "40.0 GiB of data" in error.value.details[0]


def test_a_machine_that_says_nothing_refuses_nobody_wrongly(record: Record) -> None:
    machine = Machine(0, 0)
    machine.says = Result(0, "2.52765e+10\n107374182400\n", "")
    with pytest.raises(NotReady, match="did not say how large"):
        refuse_too_many(record, machine, 1)  # type: ignore[arg-type]
