"""The shipped price table, and what is chosen from it."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.models import GIB
from provisioner.providers.aws.catalogue import PRICES, Catalogue, InstanceType, load

ON_BY_DEFAULT = (
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
    *("eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1"),
    *("ap-south-1", "ap-southeast-1", "ap-southeast-2"),
    *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
)


def first(region: str, memory: int, cores: int = 1) -> InstanceType:
    return load().ranked(region, memory=memory, cores=cores)[0]


def test_the_table_says_how_old_it_is() -> None:
    assert date(2025, 4, 4) <= date.fromisoformat(load().as_of) <= date.today()


@pytest.mark.parametrize(
    ("name", "region", "dollars"),
    [
        ("m7i.large", "us-east-1", 0.1008),
        ("m7i.24xlarge", "eu-west-2", 5.5944),
        ("m6i.2xlarge", "us-west-2", 0.384),
        ("c7a.large", "us-east-2", 0.10264),
    ],
)
def test_prices_are_those_that_aws_publishes(name: str, region: str, dollars: float) -> None:
    catalogue = load()
    kind = catalogue.find(name)
    assert kind is not None
    assert catalogue.hourly(kind, region) == dollars


@pytest.mark.parametrize("region", ON_BY_DEFAULT)
def test_every_default_region_has_machines_and_disks_with_their_own_price(region: str) -> None:
    catalogue = load()
    assert catalogue.priced(region)
    assert region in catalogue.gp3
    assert 0.05 < catalogue.ebs_gp3_per_gib_month(region) < 0.2
    assert {first(region, gib * GIB).memory for gib in (4, 60, 500)}
    assert 0.04 < first(region, GIB).prices[region] < 0.3


def test_a_price_grows_with_the_size_within_a_family() -> None:
    """A wrong row (a dedicated host, paid software, a reservation) would stand out."""
    for kind in load().types:
        base = load().find(f"{kind.family}.large")
        assert base is not None
        for region, price in kind.prices.items():
            # AWS rounds arm64 prices to four decimals for each size by itself.
            exact = 1e-9 if kind.arch == "x86_64" else 1e-3
            expected = base.prices[region] * kind.vcpus / base.vcpus
            assert price == pytest.approx(expected, rel=exact), f"{kind.name} in {region}"


def test_memory_for_a_core_is_what_the_family_stands_for() -> None:
    for kind in load().types:
        assert kind.memory // kind.vcpus == {"c": 2, "m": 4, "r": 8}[kind.name[0]] * GIB
        assert kind.arch == ("arm64" if kind.family.endswith("g") else "x86_64")


def test_what_a_machine_cannot_really_use_is_not_counted() -> None:
    assert first("eu-west-2", 62 * GIB).memory == 64 * GIB
    assert first("eu-west-2", 64 * GIB).memory == 128 * GIB


def test_memory_is_bought_with_as_few_cores_as_will_do() -> None:
    assert first("us-east-1", 62 * GIB, cores=8).name == "r6a.2xlarge"
    assert first("us-east-1", 62 * GIB, cores=16).name == "m6a.4xlarge"
    assert first("us-east-1", 62 * GIB, cores=32).name == "c6a.8xlarge"


def test_arm_machines_are_for_those_who_ask() -> None:
    ranked = load().ranked("eu-west-1", memory=8 * GIB, cores=2, arch="arm64")
    assert {kind.arch for kind in ranked} == {"arm64"}
    assert first("eu-west-1", 8 * GIB).arch == "x86_64"


def test_only_what_a_region_sells_is_offered_there() -> None:
    sold = {kind.family for kind in load().ranked("ap-northeast-3", memory=GIB, cores=1)}
    assert "m6i" in sold
    assert "m6a" not in sold


def test_nothing_is_offered_when_nothing_is_large_enough() -> None:
    assert load().ranked("eu-west-1", memory=5000 * GIB, cores=1) == ()
    assert load().ranked("eu-west-1", memory=GIB, cores=1000) == ()


def test_an_unknown_region_is_estimated_on_the_dear_side_and_says_so() -> None:
    catalogue = load()
    assert not catalogue.priced("xy-nowhere-1")
    for kind in catalogue.ranked("xy-nowhere-1", memory=62 * GIB, cores=8):
        estimate = catalogue.hourly(kind, "xy-nowhere-1")
        assert estimate is not None
        assert all(estimate >= kind.prices.get(known, 0) for known in ON_BY_DEFAULT)
    assert catalogue.ebs_gp3_per_gib_month("xy-nowhere-1") == max(catalogue.gp3.values())


def test_the_order_at_one_price_does_not_depend_on_the_file() -> None:
    def kind(name: str, vcpus: int, gib: int, dollars: float) -> InstanceType:
        return InstanceType(name, vcpus, gib * GIB, "x86_64", {"here-1": dollars})

    kinds = (
        kind("d.large", 2, 8, 0.2),
        kind("b.large", 2, 8, 0.1),
        kind("a.large", 2, 8, 0.1),
        kind("c.large", 4, 8, 0.1),
        kind("e.large", 2, 16, 0.1),
    )
    for types in (kinds, kinds[::-1]):
        ranked = Catalogue("2025-01-01", "", types, {}, 0.005).ranked("here-1", memory=1, cores=1)
        assert [k.name[0] for k in ranked] == ["e", "c", "a", "b", "d"]


@given(
    region=st.sampled_from((*ON_BY_DEFAULT, "xy-nowhere-1")),
    gib=st.integers(1, 900),
    cores=st.integers(1, 128),
    more=st.integers(0, 100),
)
def test_cheapest_first_and_more_never_costs_less(
    region: str, gib: int, cores: int, more: int
) -> None:
    catalogue = load()

    def costs(memory: int, cores: int) -> list[float]:
        ranked = catalogue.ranked(region, memory=memory * GIB, cores=cores)
        assert all(kind.vcpus >= cores and kind.memory > memory * GIB for kind in ranked)
        return [price for kind in ranked if (price := catalogue.hourly(kind, region)) is not None]

    less_wanted, more_wanted = costs(gib, cores), costs(gib + more, cores)
    assert all(here <= there for here, there in pairwise(less_wanted))
    assert not more_wanted or less_wanted[0] <= more_wanted[0]


def test_the_table_stays_small_enough_to_ship() -> None:
    assert PRICES.stat().st_size < 60_000
