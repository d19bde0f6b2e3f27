from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner import sizing
from provisioner.models import GIB, MIB, Limits

LIMITS = Limits(memory=GIB, cpu=1.0, disk=2 * GIB)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512M", 512 * MIB), ("2G", 2 * GIB), ("1.5 GiB", 3 * GIB // 2), ("1024", 1024), (7, 7)],
)
def test_sizes_as_people_write_them(text: str | int, size: int) -> None:
    assert sizing.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-1G", "1 Gb it", "G", "1,5G"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        sizing.parse_size(text)


def test_everybody_can_use_their_share_at_once() -> None:
    size = sizing.machine_for(30, LIMITS, cores=16)
    assert size.memory == 32 * GIB
    assert size.disk == 72 * GIB
    assert size.cores == 16


def test_the_arithmetic_is_shown() -> None:
    assert sizing.explain_memory(30, LIMITS) == "30 × 1.0 GiB + 2.0 GiB = 32.0 GiB"


@given(st.integers(64 * MIB, 512 * GIB))
def test_a_size_on_the_command_line_reads_back_no_larger(size: int) -> None:
    again = sizing.parse_size(sizing.flag_size(size))
    assert again <= size < again + 64 * MIB


@given(st.integers(0, 200 * GIB), st.integers(1, 300))
def test_the_share_that_is_suggested_fits(free: int, people: int) -> None:
    share = sizing.share_that_fits(free, people, system=sizing.SYSTEM_MEMORY)
    assert share == 0 or people * share + sizing.SYSTEM_MEMORY <= free
