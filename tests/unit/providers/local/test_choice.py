from __future__ import annotations

import pytest

from provisioner.providers.local import choice, packages
from provisioner.providers.local.choice import Kind

BAKE, CLOUD = Kind.BAKE, Kind.GENERICCLOUD


@pytest.mark.parametrize(
    ("wanted", "baked", "can_bake", "obtainable", "kind"),
    [
        ("auto", True, True, True, BAKE),
        ("auto", True, False, True, BAKE),  # somebody baked it for us
        ("auto", False, True, True, BAKE),
        ("auto", False, True, False, BAKE),
        ("auto", False, False, True, CLOUD),
        ("auto", False, False, False, BAKE),  # and is then refused with a bake's reasons
        ("bake", False, False, True, BAKE),
        ("genericcloud", True, True, False, CLOUD),
    ],
)
def test_auto_bakes_wherever_that_can_be_done(
    wanted: str, baked: bool, can_bake: bool, obtainable: bool, kind: Kind
) -> None:
    found = choice.decide(wanted, baked=baked, can_bake=can_bake, obtainable=lambda: obtainable)
    assert found is kind


@pytest.mark.parametrize(("wanted", "can_bake"), [("auto", True), ("bake", False)])
def test_the_network_is_asked_only_when_it_matters(wanted: str, can_bake: bool) -> None:
    def never() -> bool:
        raise AssertionError("asked")

    choice.decide(wanted, baked=False, can_bake=can_bake, obtainable=never)


@pytest.mark.parametrize(
    ("system", "user", "programs", "possible"),
    [
        ("linux", 0, {"apt-get"}, True),
        ("linux", 0, set(packages.BAKING), True),
        ("linux", 0, {"tar"}, False),  # Fedora, say
        ("linux", 1000, {"apt-get", *packages.BAKING}, False),
        ("darwin", 0, {"apt-get", *packages.BAKING}, False),
    ],
)
def test_baking_takes_root_on_linux_and_tools(
    system: str, user: int, programs: set[str], possible: bool
) -> None:
    def which(name: str) -> str | None:
        return name if name in programs else None

    assert choice.can_bake(system=system, user=user, which=which) is possible
