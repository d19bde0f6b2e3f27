"""What an instance's security groups let in, as matches of the network's rules.

They are asked for whenever the machine starts. A new connection from the internet that no rule
allows gets no answer at all, as in EC2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PROTOCOLS = {"tcp": "tcp", "udp": "udp", "-1": "{ tcp, udp }"}
EVERYTHING = ("ip saddr 0.0.0.0/0",)


def allowed(client: Any, instance_id: str) -> tuple[str, ...]:
    """For nftables. `client` is boto3's for EC2, in the instance's region."""
    described = client.describe_instances(InstanceIds=[instance_id])
    (machine,) = described["Reservations"][0]["Instances"]
    names = [group["GroupId"] for group in machine["SecurityGroups"]]
    groups = client.describe_security_groups(GroupIds=names)["SecurityGroups"]
    return tuple(match for group in groups for match in _matches(group))


def _matches(group: dict[str, Any]) -> Iterator[str]:
    for rule in group["IpPermissions"]:
        protocol = PROTOCOLS.get(rule["IpProtocol"])
        ports = f"{rule.get('FromPort', 0)}-{rule.get('ToPort', 65_535)}"
        for network in rule["IpRanges"] if protocol else ():
            yield f"ip saddr {network['CidrIp']} meta l4proto {protocol} th dport {ports}"
