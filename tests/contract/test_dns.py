"""What every keeper of names promises; a new one passes these before it is called one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import NotYet, Refused
from provisioner.models import Severity
from tests.contract.dns_fixtures import FakeSetting, Setting, account, bind, world

__all__ = ["account", "bind", "world"]  # fixtures

HOST = "workshop.example.org"
HERE, THERE, FOREIGN = "203.0.113.5", "203.0.113.6", "198.51.100.7"
ID, OTHER = "0a1b2c3d-0000-4000-8000-000000000001", "0a1b2c3d-0000-4000-8000-000000000002"


@pytest.fixture(params=["fake", "route53", "rfc2136"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setting]:
    if request.param == "fake":
        yield FakeSetting(tmp_path / "zone")
        return
    yield request.getfixturevalue("bind" if request.param == "rfc2136" else "account")


def test_a_free_name_is_found_free_and_nothing_is_changed(setting: Setting) -> None:
    assert setting.keeper().check(HOST, ID) == ()
    assert setting.held(HOST) == []
    assert setting.keeper().leftovers(HOST, ID) == []


def test_a_name_leads_where_it_was_pointed(setting: Setting) -> None:
    setting.keeper().point(HOST, HERE, ID)
    assert setting.held(HOST) == [HERE]
    setting.spread()
    setting.keeper().settled(HOST, HERE)
    assert setting.keeper().check(HOST, ID) == ()


def test_pointing_again_changes_nothing(setting: Setting) -> None:
    setting.keeper().point(HOST, HERE, ID)
    setting.keeper().point(HOST, HERE, ID)
    assert setting.held(HOST) == [HERE]


def test_the_machine_s_new_address_replaces_the_old_one(setting: Setting) -> None:
    setting.keeper().point(HOST, HERE, ID)
    setting.keeper().point(HOST, THERE, ID)
    assert setting.held(HOST) == [THERE]


def test_somebody_else_s_name_is_left_alone(setting: Setting) -> None:
    setting.write(HOST, FOREIGN)
    (finding,) = setting.keeper().check(HOST, ID)
    assert finding.severity is Severity.ERROR
    assert f"{HOST} leads to {FOREIGN} already" in finding.message
    assert "--takeover" in finding.hint
    with pytest.raises(Refused, match="not of provision's making"):
        setting.keeper().point(HOST, HERE, ID)
    setting.keeper().clear(HOST, ID)
    assert setting.held(HOST) == [FOREIGN]
    assert setting.keeper().leftovers(HOST, ID) == []


def test_another_workshop_s_name_is_left_alone(setting: Setting) -> None:
    setting.keeper().point(HOST, HERE, OTHER)
    with pytest.raises(Refused, match=f"for another workshop .{OTHER}"):
        setting.keeper().point(HOST, THERE, ID)
    setting.keeper().clear(HOST, ID)
    assert setting.held(HOST) == [HERE]
    assert setting.keeper().leftovers(HOST, ID) == []


def test_a_takeover_makes_the_name_ours(setting: Setting) -> None:
    setting.write(HOST, FOREIGN)
    (finding,) = setting.keeper(takeover=True).check(HOST, ID)
    assert finding.severity is Severity.WARNING
    setting.keeper(takeover=True).point(HOST, HERE, ID)
    assert setting.held(HOST) == [HERE]
    setting.keeper().clear(HOST, ID)
    assert setting.held(HOST) == []


def test_a_takeover_from_another_workshop_leaves_it_nothing_to_clear(setting: Setting) -> None:
    setting.keeper().point(HOST, HERE, OTHER)
    setting.keeper(takeover=True).point(HOST, THERE, ID)
    setting.keeper().clear(HOST, OTHER)
    assert setting.held(HOST) == [THERE]
    assert setting.keeper().leftovers(HOST, OTHER) == []


def test_clearing_leaves_nothing_and_can_be_repeated(setting: Setting) -> None:
    setting.keeper().clear(HOST, ID)
    setting.keeper().point(HOST, HERE, ID)
    for resource in (left := setting.keeper().leftovers(HOST, ID)):
        assert HOST in resource.id
        assert resource.remove
    assert left, "a record that exists is something that is left"
    setting.keeper().clear(HOST, ID)
    setting.keeper().clear(HOST, ID)
    assert setting.held(HOST) == []
    assert setting.keeper().leftovers(HOST, ID) == []
    assert setting.keeper().check(HOST, OTHER) == ()


def test_a_name_is_free_for_the_next_workshop(setting: Setting) -> None:
    setting.keeper().point(HOST, HERE, ID)
    setting.keeper().clear(HOST, ID)
    setting.keeper().point(HOST, THERE, OTHER)
    assert setting.held(HOST) == [THERE]


def test_not_settled_while_one_server_lags(setting: Setting) -> None:
    setting.keeper().point(HOST, HERE, ID)
    setting.spread()
    setting.lag()
    setting.keeper().point(HOST, THERE, ID)
    setting.spread()
    with pytest.raises(NotYet, match=rf"ns2\.\S+ says of {HOST}: {HERE}"):
        setting.keeper().settled(HOST, THERE)
    setting.catch_up()
    setting.keeper().settled(HOST, THERE)


@pytest.mark.parametrize("setting", ["route53", "rfc2136"], indirect=True)
def test_no_resolver_ever_hears_of_the_name(setting: Setting) -> None:
    """It would remember for minutes that there was none, and tell that to the whole room."""
    assert setting.world is not None
    keeper = setting.keeper()
    keeper.check(HOST, ID)
    with pytest.raises(NotYet):
        keeper.settled(HOST, HERE)
    keeper.point(HOST, HERE, ID)
    setting.spread()
    keeper.settled(HOST, HERE)
    keeper.leftovers(HOST, ID)
    keeper.clear(HOST, ID)
    asked = setting.world.resolver.asked
    assert asked, "the resolver was asked for zones and servers"
    assert not [name for name, _ in asked if name.endswith(HOST)]
