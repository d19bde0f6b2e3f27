"""What is asked of AWS for one machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provisioner.models import GIB, AwsOptions, Bundle, Environment, Network, Size, Spec
from provisioner.providers.aws.folder import Choice
from provisioner.providers.aws.order import Place, client_token, disk_gib, run_instances

SPEC = Spec(
    id="3f0c2c9e-5a53-4a51-9d1f-2f7a5f0b6a11",
    name="tessera",
    folder=Path("tessera"),
    size=Size(memory=32 * GIB, cores=16, disk=40 * GIB + 1),
    user_data=b"\x1f\x8bgzip",
    bundle=Bundle(files=(), image_key=""),
    environment=Environment(),
    network=Network(),
    expires_at=datetime(2030, 1, 1, 18, tzinfo=UTC),
    hostname="workshop.example.org",
)
CHOICE = Choice(
    SPEC.id, SPEC.name, "123456789012", "eu-west-2", "anna", "ami-1", "/dev/xvda", 8 * GIB, "", "sg"
)
PLACE = Place("m7i.4xlarge", "eu-west-2a", "subnet-1")


def order(spec: Spec = SPEC, **aws: Any) -> dict[str, Any]:
    return run_instances(replace(spec, aws=AwsOptions(**aws)), CHOICE, PLACE, "token")


def test_everything_is_born_with_the_tags_that_find_it() -> None:
    tagged = {item["ResourceType"]: item["Tags"] for item in order()["TagSpecifications"]}
    assert set(tagged) == {"instance", "volume", "network-interface"}
    for labels in tagged.values():
        assert {label["Key"]: label["Value"] for label in labels} == {
            "Name": "provision-tessera",
            "provision:workshop": "tessera",
            "provision:id": SPEC.id,
            "provision:owner": "anna",
            "provision:expires-at": "2030-01-01T18:00:00+00:00",
            "provision:hostname": "workshop.example.org",
        }


def test_it_ends_itself_and_takes_its_disk_and_interface_along() -> None:
    asked = order()
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert asked["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is True
    assert asked["NetworkInterfaces"][0]["DeleteOnTermination"] is True


def test_its_disk_is_the_image_s_root_encrypted_and_large_enough() -> None:
    (device,) = order()["BlockDeviceMappings"]
    assert device["DeviceName"] == "/dev/xvda"
    assert device["Ebs"]["Encrypted"] is True
    assert device["Ebs"]["VolumeSize"] == 41
    assert disk_gib(replace(SPEC, aws=AwsOptions(disk=100 * GIB))) == 100
    assert disk_gib(replace(SPEC, aws=AwsOptions(disk=4 * GIB)), least=8 * GIB) == 8


def test_a_container_can_t_reach_its_metadata() -> None:
    options = order()["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_a_role_and_spot_only_for_those_who_ask() -> None:
    assert not {"IamInstanceProfile", "InstanceMarketOptions", "KeyName"} & order().keys()
    assert order(instance_profile="reader")["IamInstanceProfile"] == {"Name": "reader"}
    assert order(spot=True)["InstanceMarketOptions"]["MarketType"] == "spot"


def test_a_static_address_is_the_only_one() -> None:
    assert order()["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is True
    assert order(static_ip=True)["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is False


def test_user_data_goes_as_it_is() -> None:
    assert order()["UserData"] == SPEC.user_data, "boto3 encodes it; twice would be once too often"


def test_one_machine() -> None:
    assert (order()["MinCount"], order()["MaxCount"]) == (1, 1)


def test_the_same_attempt_has_the_same_token_and_every_other_one_another() -> None:
    token = client_token(SPEC.id, 0, PLACE)
    assert token == client_token(SPEC.id, 0, PLACE)
    assert len(token) <= 64
    assert token.isascii()
    others = {
        client_token("another", 0, PLACE),
        client_token(SPEC.id, 1, PLACE),
        client_token(SPEC.id, 0, replace(PLACE, zone="eu-west-2b")),
        client_token(SPEC.id, 0, replace(PLACE, type="r7i.2xlarge")),
    }
    assert len(others | {token}) == 5


@pytest.mark.parametrize("owner", ["Anna Müller", "x" * 300, "a\nb"])
def test_an_owner_s_name_never_makes_aws_refuse(owner: str) -> None:
    from provisioner.providers.aws import tags

    assert len(tags.value(owner)) <= 256
    assert tags.value(owner).isascii()
    assert "\n" not in tags.value(owner)
