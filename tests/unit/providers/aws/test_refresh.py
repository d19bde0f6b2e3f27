"""The price table from AWS's own answers: shapes as the API gives them, and rows that mislead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters

from provisioner.errors import ProvisionError
from provisioner.models import GIB
from provisioner.providers.aws.catalogue import PRICES, parse
from provisioner.providers.aws.refresh import collect, dump, main, refresh

PUBLISHED = "2026-03-02T19:20:21Z"


def row(usage: str, dollars: str, region: str = "us-east-1", **attributes: str) -> dict[str, Any]:
    """A product with its terms, as one string of PriceList holds them."""
    return {
        "product": {
            "productFamily": attributes.pop("productFamily", ""),
            "sku": "HDXWAGH5PKCWGFHZ",
            "attributes": {
                "regionCode": region,
                "locationType": "AWS Region",
                "usagetype": usage,
                **attributes,
            },
        },
        "serviceCode": "AmazonEC2",
        "publicationDate": PUBLISHED,
        "terms": {
            "OnDemand": {
                "HDXWAGH5PKCWGFHZ.JRTCKXETXF": {
                    "priceDimensions": {
                        "HDXWAGH5PKCWGFHZ.JRTCKXETXF.6YS6EN2CT7": {
                            "unit": "Hrs",
                            "pricePerUnit": {"USD": dollars},
                        }
                    }
                }
            },
            "Reserved": {
                "HDXWAGH5PKCWGFHZ.38NPMPTW36": {
                    "priceDimensions": {"x": {"unit": "Hrs", "pricePerUnit": {"USD": "0.0400"}}}
                }
            },
        },
    }


def machine(name: str, dollars: str, region: str = "us-east-1", **other: str) -> dict[str, Any]:
    attributes = {
        "instanceType": name,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    return row(f"BoxUsage:{name}", dollars, region, **{**attributes, **other})


def described(name: str, vcpus: int, mib: int, arch: str = "x86_64") -> dict[str, Any]:
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": vcpus},
        "MemoryInfo": {"SizeInMiB": mib},
        "ProcessorInfo": {"SupportedArchitectures": [arch]},
    }


@cache
def service_model(service: str) -> Any:
    """What boto3 knows of a service; EC2's takes a while to read."""
    return botocore.session.get_session().get_service_model(service)


class Aws:
    """Answers as AWS does: only rows in which every filter matches. Requests must be valid ones."""

    def __init__(self, rows: list[dict[str, Any]], kinds: list[dict[str, Any]]) -> None:
        self.rows, self.kinds = rows, kinds

    def pages(self, action: str, key: str, /, **parameters: Any) -> Iterator[Any]:
        service, operation = action.split(":")
        model = service_model(service).operation_model(operation)
        validate_parameters(parameters, model.input_shape)
        assert key in model.output_shape.members
        if operation == "DescribeInstanceTypes":
            return iter(self.kinds)
        wanted = {each["Field"]: each["Value"] for each in parameters["Filters"]}
        products = ((each["product"], each) for each in self.rows)
        return (
            json.dumps(each)
            for product, each in products
            if wanted.items()
            <= {**product["attributes"], "productFamily": product["productFamily"]}.items()
        )


GP3 = {"productFamily": "Storage", "volumeApiName": "gp3"}
IPV4 = {"group": "VPCPublicIPv4Address"}


@pytest.fixture
def aws() -> Aws:
    return Aws(
        rows=[
            machine("m7i.large", "0.1008000000"),
            machine("m7i.large", "0.1165500000", "eu-west-2"),
            row("EBS:VolumeUsage.gp3", "0.0800000000", **GP3),
            row("EUW2-EBS:VolumeUsage.gp3", "0.0928000000", "eu-west-2", **GP3),
            row("USE1-PublicIPv4:InUseAddress", "0.0050000000", **IPV4),
        ],
        kinds=[described("m7i.large", 2, 8192)],
    )


def test_a_catalogue_from_what_aws_says(aws: Aws) -> None:
    catalogue = collect(aws)
    assert catalogue.as_of == "2026-03-02"
    (kind,) = catalogue.types
    assert (kind.name, kind.vcpus, kind.memory, kind.arch) == ("m7i.large", 2, 8 * GIB, "x86_64")
    assert kind.prices == {"us-east-1": 0.1008, "eu-west-2": 0.11655}
    assert catalogue.gp3 == {"us-east-1": 0.08, "eu-west-2": 0.0928}
    assert catalogue.ipv4_per_hour == 0.005


@pytest.mark.parametrize(
    "misleading",
    [
        machine("m7i.large", "0.1109", tenancy="Dedicated"),
        machine("m7i.large", "0.1928", operatingSystem="Windows"),
        machine("m7i.large", "0.5808", preInstalledSw="SQL Std"),
        machine("m7i.large", "0.1009", capacitystatus="UnusedCapacityReservation"),
        machine("m7i.large", "0.0000000000"),
        machine("m7i.large", "0.1260", locationType="AWS Local Zone"),
        machine("m7i.large", "0.1271", "us-gov-west-1"),
        machine("m7i.large", "0.9", "cn-north-1"),
        machine("m7i.large", "0.0504", usagetype="Reservation:m7i.large"),
        row("EBS:VolumeP-IOPS.gp3", "0.0050", **GP3),
        row("USE1-PublicIPv4:IdleAddress", "0.0060", **IPV4),
        row("USE1-PublicIPv4:ContiguousBlock", "0.0080", **IPV4),
    ],
    ids=lambda each: " ".join(each["product"]["attributes"].values()),
)
def test_rows_that_are_about_something_else_change_nothing(
    aws: Aws, misleading: dict[str, Any]
) -> None:
    plain = dump(collect(aws))
    aws.rows.insert(0, misleading)
    assert dump(collect(aws)) == plain


def test_sizes_and_types_that_nobody_can_buy_are_left_out(aws: Aws) -> None:
    aws.kinds += [
        described("m7i.metal-24xl", 96, 393216),
        described("m7i.48xlarge", 192, 786432),
        described("m7i.xlarge", 4, 16384),  # no price
    ]
    aws.rows += [machine("m7i.metal-24xl", "4.8384"), machine("m7i.48xlarge", "9.6768")]
    assert [kind.name for kind in collect(aws).types] == ["m7i.large"]


def test_two_prices_for_one_thing_stop_it(aws: Aws, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(PRICES.read_text())
    aws.rows.append(machine("m7i.large", "0.2"))
    with pytest.raises(ProvisionError, match=r"m7i\.large in us-east-1: 0\.1008 and 0\.2"):
        refresh(path, aws)
    assert path.read_text() == PRICES.read_text()


@pytest.mark.parametrize("lost", ["BoxUsage", "gp3", "IPv4"])
def test_half_an_answer_does_not_replace_the_table(aws: Aws, tmp_path: Path, lost: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(PRICES.read_text())
    aws.rows = [each for each in aws.rows if lost not in each["product"]["attributes"]["usagetype"]]
    with pytest.raises(ProvisionError, match="Nothing was written"):
        refresh(path, aws)
    assert path.read_text() == PRICES.read_text()


def test_what_changed_is_said_and_written(aws: Aws, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(dump(collect(aws)))
    assert refresh(path, aws) == ["1 types, prices of 2026-03-02; before: 1 of 2026-03-02"]

    aws.kinds.append(described("m8g.large", 2, 8192, "arm64"))
    aws.rows[0] = machine("m7i.large", "0.1")
    aws.rows[1] = machine("m7i.large", "0.12", "eu-west-3")
    aws.rows.append(machine("m8g.large", "0.08976"))
    *lines, _ = refresh(path, aws)
    assert lines == [
        "+ m7i.large in eu-west-3: 0.12",
        "+ m8g.large in us-east-1: 0.08976",
        "- m7i.large in eu-west-2: 0.11655",
        "  m7i.large in us-east-1: 0.1008 → 0.1",
    ]
    again = parse(path.read_text())
    assert [kind.name for kind in again.ranked("eu-west-3", memory=GIB, cores=2)] == ["m7i.large"]


def test_the_shipped_table_is_in_the_form_that_a_refresh_writes() -> None:
    """Otherwise the first refresh would touch every line and its diff would show nothing."""
    assert dump(parse(PRICES.read_text())) == PRICES.read_text()


def test_without_credentials_it_says_how_to_get_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert main() == 2
    assert "sign in" in capsys.readouterr().err
