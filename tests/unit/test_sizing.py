from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner import sizing
from provisioner.models import GIB, MIB, Limits
from provisioner.render.assets import asset

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
    assert size.cores == 16


def homes_file(people: int, share: int) -> int:
    """Bytes that cloud-init/make-homes itself says it wants."""
    script = asset("cloud-init/make-homes").read_text()
    start = script.index("wanted() {")
    function = script[start : script.index("\n}\n", start) + 3]
    shell = f"people() {{ seq {people}; }}\nPROVISION_DISK={share}\n{function}wanted; echo $size"
    return int(subprocess.run(["sh", "-euc", shell], capture_output=True, check=True).stdout)


@pytest.mark.parametrize(("people", "share"), [(2, 64 * MIB), (31, 5 * GIB), (101, 2 * GIB)])
def test_the_disk_has_room_for_all_homes_beside_the_system(people: int, share: int) -> None:
    limits = replace(LIMITS, disk=share)
    homes = homes_file(people, share)
    assert sizing.homes_for(people, share) == homes
    disk = sizing.machine_for(people, limits, cores=1, data=3 * GIB).disk
    usable = disk * 0.95 * (1 - 256 / 16384)  # ext4: for root alone, and inodes
    assert usable >= homes + 3 * GIB + 12 * GIB
    assert sizing.data_on(disk, people, limits) == 3 * GIB


def test_the_sum_for_the_disk_is_shown_with_what_file_systems_take() -> None:
    words = sizing.explain_disk(31, replace(LIMITS, disk=5 * GIB), data=GIB)
    assert words.startswith("31 × 5.0 GiB + 12.0 GiB + 1.0 GiB of data + ")
    assert "for file systems = " in words
    disk = sizing.machine_for(31, replace(LIMITS, disk=5 * GIB), cores=1, data=GIB).disk
    assert words.endswith(sizing.format_size(disk))


@given(st.integers(0, 900 * GIB), st.integers(1, 300), st.integers(0, 50 * GIB))
def test_the_people_and_homes_that_are_suggested_fit_on_the_disk(
    free: int, people: int, data: int
) -> None:
    fit = sizing.people_on_disk(free, LIMITS, data)
    assert fit == 0 or sizing.disk_for(fit, LIMITS, data) <= free
    assert sizing.disk_for(fit + 1, LIMITS, data) > free
    share = sizing.share_on_disk(free, people, LIMITS, data)
    assert share == 0 or sizing.disk_for(people, replace(LIMITS, disk=share), data) <= free


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
