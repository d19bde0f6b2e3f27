"""Every permission that this program uses in AWS, as data, and the least policy that grants them.

A test compares the list with the calls in the code, so that neither can grow alone. What exists
because of a workshop carries its tags from birth; the policy leans on that: only what is born
with them may be made, and only what has them may be changed or ended. Sources: the Service
Authorization Reference, "Actions, resources, and condition keys for Amazon EC2", and the EC2 user
guide, "Grant permission to tag Amazon EC2 resources during creation".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.providers.aws import tags

LOOKING = (
    "ec2:DescribeAddresses",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstances",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRegions",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSnapshots",
    "ec2:DescribeSubnets",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcs",
    "servicequotas:GetServiceQuota",
    "sts:GetCallerIdentity",
)
"""Can't be limited to our own; reads nobody's data."""

PUBLISHED = ("ssm:GetParameters",)
"""Debian's list of its images."""

MAKING: Mapping[str, tuple[str, ...]] = {
    "ec2:RunInstances": ("instance", "volume", "network-interface"),
    "ec2:CreateSecurityGroup": ("security-group",),
    "ec2:AllocateAddress": ("elastic-ip",),
}
"""What makes something → the kinds that are made, and must be born with our tags."""

FROM: Mapping[str, tuple[str, ...]] = {
    "ec2:RunInstances": ("image/*", "subnet/*", "security-group/*"),
    "ec2:CreateSecurityGroup": ("vpc/*",),
}
"""What they are made of, which carries no tags of ours."""

TAGGING = "ec2:CreateTags"
"""While something is made; and later on what is ours, for a deadline that moves."""

ON_OURS = (
    "ec2:AssociateAddress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteVolume",
    "ec2:DisassociateAddress",
    "ec2:GetConsoleOutput",
    "ec2:ModifyInstanceAttribute",
    "ec2:ReleaseAddress",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
)

NAMES = (
    "route53:ChangeResourceRecordSets",
    "route53:GetChange",
    "route53:GetHostedZone",
    "route53:ListHostedZones",
    "route53:ListResourceRecordSets",
)
"""For `dns.provider = "route53"`; limit the zone with `policy(zone=…)`."""

ACTIONS = (*LOOKING, *PUBLISHED, *MAKING, TAGGING, *ON_OURS, *NAMES)


def policy(*, zone: str = "*") -> dict[str, Any]:
    """An IAM policy that allows what this program does and nothing else. `zone` is the id of the
    hosted zone whose records may be changed. Opt-ins on top: iam:PassRole on the role of
    `aws.instance_profile`, and spot's service-linked role in an account that never used spot.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("Look", LOOKING, "*"),
            _allow(
                "FindDebian", PUBLISHED, "arn:aws:ssm:*::parameter/aws/service/debian/release/*"
            ),
            *(
                _allow(_title("Make", action), (action,), *_ec2(kinds), when=_has("Request"))
                for action, kinds in MAKING.items()
            ),
            *(
                _allow(_title("From", action), (action,), *_arns(parts))
                for action, parts in FROM.items()
            ),
            _allow(
                "TagAtBirth",
                (TAGGING,),
                _arn("*"),
                when={"StringEquals": {"ec2:CreateAction": [_operation(a) for a in MAKING]}},
            ),
            _allow("ChangeOurs", (TAGGING, *ON_OURS), _arn("*"), when=_has("Resource")),
            # On its way out a machine joins the VPC's default group, which has no tags of ours.
            _allow("LeaveGroup", ("ec2:ModifyInstanceAttribute",), _arn("security-group/*")),
            _allow("FindNames", tuple(n for n in NAMES if n not in _ON_ZONE), "*"),
            _allow("KeepNames", _ON_ZONE, f"arn:aws:route53:::hostedzone/{zone}"),
        ],
    }


_ON_ZONE = (
    "route53:ChangeResourceRecordSets",
    "route53:GetHostedZone",
    "route53:ListResourceRecordSets",
)


def _allow(
    title: str, actions: tuple[str, ...], *resources: str, when: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": title,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return statement | ({"Condition": dict(when)} if when else {})


def _has(whose: str) -> dict[str, Any]:
    """The request, or the resource, has a tag with some workshop's id."""
    return {"StringLike": {f"aws:{whose}Tag/{tags.ID}": "?*"}}


def _operation(action: str) -> str:
    return action.partition(":")[2]


def _title(verb: str, action: str) -> str:
    return verb + _operation(action)


def _ec2(kinds: tuple[str, ...]) -> tuple[str, ...]:
    return _arns(tuple(f"{kind}/*" for kind in kinds))


def _arns(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_arn(part) for part in parts)


def _arn(part: str) -> str:
    return f"arn:aws:ec2:*:*:{part}"
