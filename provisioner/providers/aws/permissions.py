"""Whether AWS would allow each call that changes something, asked before any is made (DryRun).

Calls that make something can be proven. Calls on what a workshop has can't be before it has
something, where the permission is limited to resources with our tags, as the policy of actions.py
limits it: then AWS's no to a made-up resource says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.models import Finding, Severity, Spec
from provisioner.providers.aws import network, order, tags
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.failures import AwsError, Denied, SignIn
from provisioner.providers.aws.folder import Choice

WOULD_WORK = "DryRunOperation"
INSTANCE, GROUP = "i-0123456789abcdef0", "sg-0123456789abcdef0"
ADDRESS, ASSOCIATION = "eipalloc-0123456789abcdef0", "eipassoc-0123456789abcdef0"
VOLUME, INTERFACE = "vol-0123456789abcdef0", "eni-0123456789abcdef0"
WEB = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]

ON_OURS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("ec2:AuthorizeSecurityGroupIngress", {"GroupId": GROUP, "IpPermissions": WEB}),
    ("ec2:ModifyInstanceAttribute", {"InstanceId": INSTANCE, "Groups": [GROUP]}),
    ("ec2:TerminateInstances", {"InstanceIds": [INSTANCE]}),
    ("ec2:StopInstances", {"InstanceIds": [INSTANCE]}),
    ("ec2:StartInstances", {"InstanceIds": [INSTANCE]}),
    ("ec2:CreateTags", {"Resources": [INSTANCE], "Tags": [{"Key": tags.EXPIRES, "Value": "-"}]}),
    ("ec2:DeleteSecurityGroup", {"GroupId": GROUP}),
    ("ec2:DeleteVolume", {"VolumeId": VOLUME}),
    ("ec2:DeleteNetworkInterface", {"NetworkInterfaceId": INTERFACE}),
)
WITH_ADDRESS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("ec2:AssociateAddress", {"AllocationId": ADDRESS, "InstanceId": INSTANCE}),
    ("ec2:DisassociateAddress", {"AssociationId": ASSOCIATION}),
    ("ec2:ReleaseAddress", {"AllocationId": ADDRESS}),
)


def findings(clients: Clients, spec: Spec, choice: Choice, place: order.Place) -> Iterator[Finding]:
    """An error for each call that would be refused; one line for those that can't be proven."""
    for action, parameters in _making(spec, choice, place):
        error = dry_run(clients, action, parameters)
        if error is not None:
            yield Finding(Severity.ERROR, "permission", error.message, error.hint)
    unproven = [
        action
        for action, parameters in (*ON_OURS, *(WITH_ADDRESS if spec.aws.static_ip else ()))
        if isinstance(dry_run(clients, action, parameters), Denied)
    ]
    if unproven:
        yield Finding(
            Severity.INFO,
            "permission",
            "can't be proven before there is a machine, if your policy is limited to resources "
            f"with provision's tags: {', '.join(unproven)}",
        )


def dry_run(clients: Clients, action: str, parameters: Mapping[str, Any]) -> AwsError | None:
    """None if it would work. Raises SignIn."""
    try:
        clients.call(action, **parameters, DryRun=True)
    except SignIn:
        raise
    except AwsError as error:
        return None if error.code == WOULD_WORK else error
    return None


def _making(
    spec: Spec, choice: Choice, place: order.Place
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield (
        "ec2:CreateSecurityGroup",
        network.new_group(spec, choice.vpc, choice.owner),
    )
    if spec.aws.static_ip:
        labels = [{"ResourceType": "elastic-ip", "Tags": tags.of(spec, choice.owner)}]
        yield "ec2:AllocateAddress", {"Domain": "vpc", "TagSpecifications": labels}
    request = order.run_instances(spec, choice, place, "dry-run")
    yield "ec2:RunInstances", {key: request[key] for key in request if key != "ClientToken"}
