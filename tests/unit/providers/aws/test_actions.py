"""The policy that is handed out allows what the code does: no less, and no more."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session

from provisioner.providers.aws import actions

PACKAGE = Path(actions.__file__).parent
ROUTE53 = PACKAGE.parents[1] / "dns" / "route53.py"
NOT_RUN = {"actions.py", "refresh.py"}  # the list itself; and what only this table's keeper runs


def in_the_code() -> set[str]:
    """Every action that is named in the package, and Route 53's methods as they are called."""
    named = {
        text
        for path in PACKAGE.glob("*.py")
        if path.name not in NOT_RUN
        for text in strings(path)
        if re.fullmatch(r"(ec2|ssm|sts|servicequotas):[A-Z]\w+", text)
    }
    model = get_session().get_service_model("route53")
    methods = {xform_name(name): f"route53:{name}" for name in model.operation_names}
    words = {*strings(ROUTE53), *attributes(ROUTE53)}
    return named | {methods[word] for word in words if word in methods}


def strings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def attributes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            yield node.attr


def statements() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = actions.policy()["Statement"]
    return found


def test_the_list_is_what_the_code_calls() -> None:
    assert set(actions.ACTIONS) == in_the_code()


def test_the_policy_grants_the_list() -> None:
    granted = {action for statement in statements() for action in statement["Action"]}
    assert granted == set(actions.ACTIONS)


def test_every_action_exists() -> None:
    session = get_session()
    services = {"servicequotas": "service-quotas"}
    for action in actions.ACTIONS:
        service, _, operation = action.partition(":")
        model = session.get_service_model(services.get(service, service))
        assert operation in model.operation_names, action


def test_it_is_short_enough_to_be_a_managed_policy() -> None:
    assert len(json.dumps(actions.policy(), separators=(",", ":"))) <= 6144


@pytest.mark.parametrize(
    "action",
    [
        "ec2:TerminateInstances",
        "ec2:StopInstances",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteVolume",
        "ec2:ReleaseAddress",
        "ec2:AuthorizeSecurityGroupIngress",
    ],
)
def test_only_what_is_ours_can_be_ended(action: str) -> None:
    for statement in statements():
        if any(fnmatch(action, pattern) for pattern in statement["Action"]):
            assert statement["Condition"] == {
                "StringLike": {"aws:ResourceTag/provision:id": "?*"}
            }, statement["Sid"]


def test_nothing_can_be_made_without_our_tags() -> None:
    for statement in statements():
        made = [r.rsplit(":", 1)[1] for r in statement["Resource"] if ":ec2:" in r]
        if "ec2:RunInstances" in statement["Action"] and "instance/*" in made:
            assert "aws:RequestTag/provision:id" in statement["Condition"]["StringLike"]
        if statement["Action"] == ["ec2:CreateTags"]:
            assert "RunInstances" in statement["Condition"]["StringEquals"]["ec2:CreateAction"]


def test_a_zone_can_be_named() -> None:
    (names,) = [s for s in actions.policy(zone="Z1")["Statement"] if s["Sid"] == "KeepNames"]
    assert names["Resource"] == ["arn:aws:route53:::hostedzone/Z1"]
