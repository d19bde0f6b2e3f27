"""What an AWS account is, for whoever has yet to say where a workshop will be. Only reads."""

from __future__ import annotations

from provisioner.providers.aws.clients import FALLBACK_REGION, Clients


def who(clients: Clients) -> str:
    """The account and the name in it. Raises SignIn."""
    caller = clients.caller()
    return f"{caller.account} as {caller.arn}"


def usual_region(clients: Clients) -> str:
    """That of the profile or the environment; "" where neither says one."""
    return clients.region if clients.chosen else ""


def regions(clients: Clients) -> list[str]:
    """Those that the account has enabled."""
    start = clients if clients.chosen else clients.elsewhere(FALLBACK_REGION)
    return sorted(str(item["RegionName"]) for item in start.call("ec2:DescribeRegions")["Regions"])
