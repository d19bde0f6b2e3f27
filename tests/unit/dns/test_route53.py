"""Route 53's own ways: hosted zones, delegation sets, changes under way, errors in our words."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from provisioner.dns import route53
from provisioner.dns.route53 import Route53Dns
from provisioner.errors import NotYet, Refused
from provisioner.models import DnsOptions, Marked, Severity
from tests.contract.dns_fixtures import FIRST, HEAD, ORG, Route53Setting

HOST, HERE, THERE, ID = "workshop.example.org", "203.0.113.5", "203.0.113.6", "0a1b2c3d"


@pytest.fixture
def keeper(account: Route53Setting, monkeypatch: pytest.MonkeyPatch) -> Route53Dns:
    monkeypatch.setattr(route53, "ATTEMPTS", 1)
    return account.keeper()


class Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> list[bytes]:
        return [self._content]


def answer_with(keeper: Route53Dns, operation: str, code: str, status: int = 400) -> None:
    """From now on the service answers that operation with that error."""
    text = (
        f"<ErrorResponse><Error><Code>{code}</Code><Message>because</Message></Error>"
        "<RequestId>1</RequestId></ErrorResponse>"
    )

    def send(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, status, {}, Body(text.encode()))

    keeper._client.meta.events.register_first(f"before-send.route53.{operation}", send)


def hosted_zone(account: Route53Setting, name: str, **config: Any) -> str:
    answer = account.client.create_hosted_zone(
        Name=name, CallerReference=name + repr(config), **config
    )
    zone: str = answer["HostedZone"]["Id"]
    return zone


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "AccessDenied"])
def test_credentials_that_will_not_do_are_one_finding_with_the_way_out(
    keeper: Route53Dns, code: str
) -> None:
    answer_with(keeper, "ListHostedZones", code, 403)
    (finding,) = keeper.check(HOST, ID)
    assert finding.severity is Severity.ERROR
    assert "because" in finding.message
    assert finding.hint
    with pytest.raises(Refused):
        keeper.point(HOST, HERE, ID)


def test_no_credentials_at_all(account: Route53Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    (finding,) = account.keeper().check(HOST, ID)
    assert "no AWS credentials" in finding.message
    with pytest.raises(Refused, match="teaching") as raised:
        Route53Dns(DnsOptions(), profile="teaching").point(HOST, HERE, ID)
    assert raised.value.hint == "aws sso login --profile teaching"


@pytest.mark.parametrize(
    "code", ["PriorRequestNotComplete", "Throttling", "InvalidChangeBatch", "ServiceUnavailable"]
)
def test_what_another_try_may_mend_is_not_a_refusal(
    keeper: Route53Dns, account: Route53Setting, code: str
) -> None:
    answer_with(keeper, "ChangeResourceRecordSets", code)
    with pytest.raises(NotYet):
        keeper.point(HOST, HERE, ID)
    account.keeper().point(HOST, HERE, ID)
    assert account.held(HOST) == [HERE]


def test_a_change_whose_answer_was_lost_is_not_made_twice(
    keeper: Route53Dns, account: Route53Setting
) -> None:
    class Killed(BaseException):
        pass

    def die(**_: Any) -> None:
        raise Killed

    keeper._client.meta.events.register("after-call.route53.ChangeResourceRecordSets", die)
    with pytest.raises(Killed):
        keeper.point(HOST, HERE, ID)
    account.keeper().point(HOST, HERE, ID)
    assert account.held(HOST) == [HERE]
    assert len(account.records()) == 4, "SOA, NS, the address and its mark"


def test_pending_changes_are_waited_for_before_any_server_is_asked(
    keeper: Route53Dns, account: Route53Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.point(HOST, HERE, ID)
    account.spread()
    assert account.world is not None
    status = "PENDING"
    get_change: Callable[..., Any] = keeper._client.get_change

    def change(**arguments: Any) -> Any:
        answer = get_change(**arguments)
        answer["ChangeInfo"]["Status"] = status
        return answer

    monkeypatch.setattr(keeper._client, "get_change", change)
    with pytest.raises(NotYet, match="not brought the change to all"):
        keeper.settled(HOST, HERE)
    assert (HOST, "A") not in account.world.servers[FIRST].asked
    account.keeper().settled(HOST, HERE)  # another process knows no change and asks the servers
    status = "INSYNC"
    keeper.settled(HOST, HERE)


def test_the_longest_public_zone_holds_the_name(account: Route53Setting) -> None:
    hosted_zone(account, "org")
    hosted_zone(account, "shop.example.org")
    private = {"HostedZoneConfig": {"PrivateZone": True}}
    vpc = {"VPC": {"VPCRegion": "eu-west-2", "VPCId": "vpc-1"}}
    hosted_zone(account, HOST, **private, **vpc)
    account.keeper().point(HOST, HERE, ID)
    assert account.held(HOST) == [HERE]


def test_a_zone_that_the_registry_sends_elsewhere_is_an_error_naming_the_servers(
    account: Route53Setting,
) -> None:
    assert account.world is not None
    account.world.registry.load(
        ORG.replace("ns1.example.net", "old1.example.net").replace("ns2", "old2")
    )
    (finding,) = account.keeper().check(HOST, ID)
    assert finding.severity is Severity.ERROR
    assert "delegated to old1.example.net, old2.example.net" in finding.message
    assert finding.hint.endswith("set its name servers to: ns1.example.net, ns2.example.net")


def test_a_zone_that_the_registry_does_not_know(account: Route53Setting) -> None:
    assert account.world is not None
    account.world.registry.load("\n".join(ORG.splitlines()[:2]) + "\n")
    (finding,) = account.keeper().check(HOST, ID)
    assert "example.org is not delegated" in finding.message
    assert finding.severity is Severity.ERROR


def test_one_server_too_few_at_the_registry_is_a_warning(account: Route53Setting) -> None:
    assert account.world is not None
    account.world.registry.load(ORG.replace("example 60 IN NS ns2.example.net.\n", ""))
    (finding,) = account.keeper().check(HOST, ID)
    assert finding.severity is Severity.WARNING


def test_an_account_without_the_zone_is_not_taken_for_a_clean_one(account: Route53Setting) -> None:
    """Credentials of another account see no record; the name servers still serve it."""
    account.keeper().point(HOST, HERE, ID)
    account.spread()
    for record in account.records():
        if record["Type"] in {"A", "TXT"}:
            change = {"Action": "DELETE", "ResourceRecordSet": record}
            account.client.change_resource_record_sets(
                HostedZoneId=account.zone_id, ChangeBatch={"Changes": [change]}
            )
    account.client.delete_hosted_zone(Id=account.zone_id)
    with pytest.raises(Refused, match="no public hosted zone"):
        account.keeper().clear(HOST, ID)
    assert account.world is not None
    for server in account.world.servers.values():
        server.load(HEAD)
    account.keeper().clear(HOST, ID)
    assert account.keeper().leftovers(HOST, ID) == []


def test_a_record_set_with_two_addresses_or_an_alias_is_somebody_else_s(
    account: Route53Setting,
) -> None:
    target = {"HostedZoneId": "Z2", "DNSName": "elb.example.net.", "EvaluateTargetHealth": False}
    record = {"Name": HOST, "Type": "A", "AliasTarget": target}
    change = {"Action": "CREATE", "ResourceRecordSet": record}
    account.client.change_resource_record_sets(
        HostedZoneId=account.zone_id, ChangeBatch={"Changes": [change]}
    )
    with pytest.raises(Refused, match="leads to the alias elb"):
        account.keeper().point(HOST, HERE, ID)


def test_what_is_left_is_told_as_the_exact_call(account: Route53Setting) -> None:
    account.keeper().point(HOST, HERE, ID)
    for resource in account.keeper().leftovers(HOST, ID):
        words = shlex.split(resource.remove)
        assert words[:3] == ["aws", "route53", "change-resource-record-sets"]
        account.client.change_resource_record_sets(
            HostedZoneId=words[words.index("--hosted-zone-id") + 1],
            ChangeBatch=json.loads(words[words.index("--change-batch") + 1]),
        )
    assert account.held(HOST) == []
    assert account.keeper().leftovers(HOST, ID) == []


def test_strays_are_every_marked_name_of_the_account(account: Route53Setting) -> None:
    hosted_zone(account, "example.com")
    account.keeper().point(HOST, HERE, ID)
    account.keeper().point("geo.example.com", THERE, "other-id")
    account.write("www.example.org", "198.51.100.7")
    assert sorted(account.keeper().strays(), key=lambda each: each.hostname) == [
        Marked("geo.example.com", "other-id"),
        Marked(HOST, ID),
    ]
