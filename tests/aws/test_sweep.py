"""Killed right before or right after any call that changes something, nothing is ever orphaned.

For every k, `provision` is ended by SIGKILL at the k-th mutating call of a launch or a teardown.
Then the same computer, or another one that has no record, goes on; the cloud must end with exactly
one workshop, or with nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.aws.conftest import ZONE, World

LAUNCH = ("launch", "--yes")
TEARDOWN = ("teardown", "--discard-homes", "--yes")


def launch_again(world: World) -> None:
    done = world(*LAUNCH)
    assert done.code == 0, done.err
    world.one_workshop()


def teardown_here(world: World) -> None:
    done = world(*TEARDOWN)
    assert done.code == 0, done.err
    world.empty()


def teardown_elsewhere(world: World) -> None:
    """As if the laptop had been lost: only the cloud remembers."""
    shutil.rmtree(world.home)
    # Until AWS shows everything that was just asked for; see the provider's contract.
    world.cloud.advance(90)
    done = world(*TEARDOWN)
    assert done.code == 0, done.err
    world.empty()


Then = Callable[[World], None]

SWEEPS: dict[str, tuple[bool, tuple[str, ...], Then]] = {
    "launch, then launch": (False, LAUNCH, launch_again),
    "launch, then teardown": (False, LAUNCH, teardown_here),
    "launch, then teardown without a record": (False, LAUNCH, teardown_elsewhere),
    "teardown, then teardown": (True, TEARDOWN, teardown_here),
    "teardown, then teardown without a record": (True, TEARDOWN, teardown_elsewhere),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_kill_point(world: World, sweep: str) -> None:
    prepared, words, then = SWEEPS[sweep]
    survived = 0
    for number in range(1, 60):
        for when in ("before", "after"):
            _renew(world)
            if prepared:
                assert world(*LAUNCH).code == 0
            arm = world.cloud.kill_before if when == "before" else world.cloud.kill_after
            arm(number)
            ended = world(*words, started=world.cloud.victim)
            if ended.code == 0:
                total = 2 * (number - 1)
                print(f"sweep: {survived}/{total} ({sweep})")
                assert survived == total > 0
                return
            assert ended.code == -9, ended.err
            then(world)
            survived += 1
    pytest.fail("the verb never came to its end")


def _renew(world: World) -> None:
    world.cloud.reset()
    world.cloud.client("route53").create_hosted_zone(Name=ZONE, CallerReference="one")
    for folder in (world.home, world.root / "insides"):
        shutil.rmtree(folder, ignore_errors=True)
