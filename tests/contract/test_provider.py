"""What every provider promises; a new cloud passes these before it is called one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provisioner.models import Server, ServerState, Severity, Spec
from provisioner.protocols import Discovers

Make = Callable[[str], Spec]


def test_nothing_exists_before_it_is_made(provider: Any, make_spec: Make) -> None:
    spec = make_spec("one")
    assert provider.find(spec.id) is None
    assert provider.leftovers(spec.id) == []
    provider.delete(spec.id)


def test_checking_makes_nothing(provider: Any, make_spec: Make) -> None:
    spec = make_spec("one")
    findings = provider.check(spec)
    assert all(item.severity in Severity and item.message for item in findings)
    assert provider.find(spec.id) is None


def test_a_machine_is_made_once(provider: Any, make_spec: Make) -> None:
    spec = make_spec("one")
    first = provider.create(spec)
    assert isinstance(first, Server)
    assert first.state is ServerState.RUNNING
    assert provider.create(spec) == first == provider.find(spec.id)
    if isinstance(provider, Discovers):
        assert [(item.id, item.name) for item in provider.discover()] == [(spec.id, "one")]


def test_deleting_leaves_nothing_and_can_be_repeated(provider: Any, make_spec: Make) -> None:
    spec = make_spec("one")
    provider.create(spec)
    assert provider.leftovers(spec.id), "a machine that runs is something that is left"
    provider.delete(spec.id)
    provider.delete(spec.id)
    assert provider.leftovers(spec.id) == []
    assert provider.find(spec.id) is None


def test_what_is_left_says_how_to_remove_it(provider: Any, make_spec: Make) -> None:
    spec = make_spec("one")
    provider.create(spec)
    for resource in provider.leftovers(spec.id):
        assert resource.kind
        assert resource.id
        assert resource.remove


def test_one_workshop_s_end_is_not_another_s(provider: Any, make_spec: Make) -> None:
    one, two = make_spec("one"), make_spec("two")
    first, second = provider.create(one), provider.create(two)
    assert (first.ssh_host, first.ssh_port, first.https_port) != (
        second.ssh_host,
        second.ssh_port,
        second.https_port,
    )
    provider.delete(one.id)
    assert provider.find(one.id) is None
    assert provider.find(two.id) == second


def test_a_second_process_sees_the_same(provider: Any, make_spec: Make) -> None:
    """Nothing may be kept in memory alone: the command line is a new process each time."""
    spec = make_spec("one")
    made = provider.create(spec)
    again = type(provider).__new__(type(provider))
    again.__dict__.update(vars(provider))
    assert again.find(spec.id) == made
    again.delete(spec.id)
    assert provider.find(spec.id) is None


@pytest.mark.parametrize("stranger", ["", "0", "../one", "no-such-id"])
def test_strangers_are_nobody(provider: Any, make_spec: Make, stranger: str) -> None:
    spec = make_spec("one")
    provider.create(spec)
    assert provider.find(stranger) is None
    provider.delete(stranger)
    assert provider.find(spec.id) is not None
