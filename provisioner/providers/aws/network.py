"""Where the machine stands in the network: a VPC and its subnets, and one security group.

The VPC is found, never made: the subnet that was named, or the account's default VPC. The group is
the workshop's own; its name is unique in the VPC, which is what makes creating it repeatable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from provisioner.errors import NotYet, Refused
from provisioner.models import Spec
from provisioner.providers.aws import tags
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.failures import AwsError, suppressed
from provisioner.providers.aws.journal import Journal

CREATE = "ec2:CreateSecurityGroup"
ABSENT, DUPLICATE = "InvalidGroup.NotFound", "InvalidGroup.Duplicate"
RULE_EXISTS = "InvalidPermission.Duplicate"
WEB = (("tcp", 80), ("tcp", 443), ("udp", 443))
"""Open to the world: 80 for ACME and redirects, 443 for HTTPS and, over UDP, HTTP/3."""

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between tries while a new group is not known everywhere yet."""


@dataclass(frozen=True, slots=True)
class Subnet:
    id: str
    zone: str
    free: int  # addresses


@dataclass(frozen=True, slots=True)
class Net:
    """A VPC and, of each zone, the subnet with the most free addresses."""

    vpc: str
    subnets: tuple[Subnet, ...]


def find(clients: Clients, subnet: str) -> Net:
    """The net of the named subnet, or the default VPC's. Raises Refused when there is none."""
    if subnet:
        found = clients.call("ec2:DescribeSubnets", SubnetIds=[subnet])["Subnets"]
        return Net(str(found[0]["VpcId"]), (_subnet(found[0]),))
    only_default = [{"Name": "is-default", "Values": ["true"]}]
    vpcs = clients.call("ec2:DescribeVpcs", Filters=only_default)["Vpcs"]
    if not vpcs:
        raise Refused(
            f"The account has no default VPC in {clients.region}",
            hint=f"aws ec2 create-default-vpc --region {clients.region}, or set aws.subnet",
        )
    vpc = str(vpcs[0]["VpcId"])
    inside = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "default-for-az", "Values": ["true"]}]
    best: dict[str, Subnet] = {}
    for item in clients.pages("ec2:DescribeSubnets", "Subnets", Filters=inside):
        made = _subnet(item)
        if made.zone not in best or made.free > best[made.zone].free:
            best[made.zone] = made
    return Net(vpc, tuple(best[zone] for zone in sorted(best)))


def _subnet(item: Mapping[str, Any]) -> Subnet:
    return Subnet(
        str(item["SubnetId"]), str(item["AvailabilityZone"]), int(item["AvailableIpAddressCount"])
    )


def group_name(name: str, workshop_id: str) -> str:
    return f"provision-{name}-{workshop_id[:8]}"


def make_group(
    clients: Clients,
    journal: Journal,
    spec: Spec,
    vpc: str,
    owner: str,
    sleep: Callable[[float], None],
) -> str:
    """The id of the workshop's group, which is made if it is not there. It has no rules yet."""
    name = group_name(spec.name, spec.id)
    with suppressed(DUPLICATE):
        with journal.intent(CREATE, name=name, vpc=vpc) as said:
            said["id"] = str(clients.call(CREATE, **new_group(spec, vpc, owner))["GroupId"])
        return said["id"]
    for pause in (*PAUSES, None):
        if found := _existing(clients, spec, name, vpc):
            return found
        # AWS knows it and does not show it: it is new, and we may know it ourselves.
        if known := [e.said["id"] for e in journal.entries(CREATE) if e.said.get("id")]:
            return known[-1]
        if pause is not None:
            sleep(pause)
    raise NotYet(f"AWS has a security group {name}, and does not show it yet")


def new_group(spec: Spec, vpc: str, owner: str) -> dict[str, Any]:
    """The parameters of CreateSecurityGroup."""
    return {
        "GroupName": group_name(spec.name, spec.id),
        "Description": f"Workshop {spec.name}, made by provision",
        "VpcId": vpc,
        "TagSpecifications": [{"ResourceType": "security-group", "Tags": tags.of(spec, owner)}],
    }


def _existing(clients: Clients, spec: Spec, name: str, vpc: str) -> str:
    filters = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [vpc]}]
    for group in clients.pages("ec2:DescribeSecurityGroups", "SecurityGroups", Filters=filters):
        if tags.read(group).get(tags.ID) != spec.id:
            raise Refused(
                f"There is a security group {name} that is not of this workshop",
                hint=f"aws ec2 delete-security-group --group-id {group['GroupId']} "
                f"--region {clients.region}",
            )
        return str(group["GroupId"])
    return ""


def open_ports(
    clients: Clients,
    journal: Journal,
    group: str,
    ssh_from: str,
    sleep: Callable[[float], None],
) -> None:
    """Let in the world to the web, and `ssh_from` (a CIDR) to SSH; only what is not open yet.

    An earlier `ssh_from` stays: the operator may be in two places.
    """
    wanted = [*(_rule(protocol, port, "0.0.0.0/0") for protocol, port in WEB)]
    wanted.append(_rule("tcp", 22, ssh_from))
    there = _rules(clients, group)
    missing = [rule for rule in wanted if not _open_already(rule, there)]
    if not missing:
        return
    try:
        _authorize(clients, journal, group, missing, sleep)
    except AwsError as error:
        if error.code != RULE_EXISTS:
            raise
        # One that AWS did not show yet refuses them all; alone, each can only refuse itself.
        for rule in missing:
            with suppressed(RULE_EXISTS):
                _authorize(clients, journal, group, [rule], sleep)


def _rule(protocol: str, port: int, source: str) -> dict[str, Any]:
    network = ip_network(source)
    ranges, cidr = ("IpRanges", "CidrIp") if network.version == 4 else ("Ipv6Ranges", "CidrIpv6")
    return {
        "IpProtocol": protocol,
        "FromPort": port,
        "ToPort": port,
        ranges: [{cidr: str(network)}],
    }


def _rules(clients: Clients, group: str) -> list[dict[str, Any]]:
    filters = [{"Name": "group-id", "Values": [group]}]
    found = clients.pages("ec2:DescribeSecurityGroups", "SecurityGroups", Filters=filters)
    return [rule for item in found for rule in item.get("IpPermissions", ())]


def _open_already(rule: Mapping[str, Any], there: list[dict[str, Any]]) -> bool:
    kind = ("IpProtocol", "FromPort", "ToPort")
    return any(
        all(other.get(key) == rule[key] for key in kind)
        and all(
            source in ({key: item[key] for key in source} for item in other.get(ranges, ()))
            for ranges in ("IpRanges", "Ipv6Ranges")
            for source in rule.get(ranges, ())
        )
        for other in there
    )


def _authorize(
    clients: Clients,
    journal: Journal,
    group: str,
    rules: list[dict[str, Any]],
    sleep: Callable[[float], None],
) -> None:
    """A new group may not be known everywhere at once: then it is tried again."""
    action, ports = "ec2:AuthorizeSecurityGroupIngress", sorted({r["FromPort"] for r in rules})
    for pause in (*PAUSES, None):
        try:
            with journal.intent(action, group=group, ports=", ".join(map(str, ports))):
                clients.call(action, GroupId=group, IpPermissions=rules)
        except AwsError as error:
            if error.code != ABSENT or pause is None:
                raise
            sleep(pause)
        else:
            return


def default_group(clients: Clients, vpc: str) -> str:
    """Of the VPC; every VPC has one, and it can't be deleted."""
    filters = [{"Name": "group-name", "Values": ["default"]}, {"Name": "vpc-id", "Values": [vpc]}]
    groups = clients.call("ec2:DescribeSecurityGroups", Filters=filters)["SecurityGroups"]
    return str(groups[0]["GroupId"]) if groups else ""


def leads_out(clients: Clients, vpc: str, subnet: str) -> bool:
    """Whether the subnet's routes, its own or the VPC's, reach an internet gateway."""
    own = [{"Name": "association.subnet-id", "Values": [subnet]}]
    main = [
        {"Name": "vpc-id", "Values": [vpc]},
        {"Name": "association.main", "Values": ["true"]},
    ]
    tables: list[dict[str, Any]] = next(
        (
            found
            for filters in (own, main)
            if (found := clients.call("ec2:DescribeRouteTables", Filters=filters)["RouteTables"])
        ),
        [],
    )
    return any(
        route.get("DestinationCidrBlock") == "0.0.0.0/0"
        and str(route.get("GatewayId", "")).startswith("igw-")
        for table in tables
        for route in table["Routes"]
    )
