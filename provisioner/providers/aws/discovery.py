"""Workshops as their tags tell them, in one region or in all: needs no record of ours."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from provisioner.models import Found, ServerState
from provisioner.providers.aws import instances, pricing, tags
from provisioner.providers.aws.clients import FALLBACK_REGION, Clients
from provisioner.providers.aws.failures import Denied, SignIn
from provisioner.providers.aws.kinds import INSTANCE, KINDS

ABREAST = 8
"""Regions asked at the same time."""


def discover(clients: Clients) -> list[Found]:
    """Everything tagged as a workshop's, also where only a security group or a disk is left."""
    seen: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for kind in KINDS:
        if kind.ours:
            for item in kind.found(clients, tags.any_workshop()):
                workshop_id = tags.read(item).get(tags.ID, "")
                seen.setdefault(workshop_id, []).append((kind.name, item))
    found = [_found(key, items, clients.region) for key, items in seen.items() if key]
    return sorted(found, key=lambda one: (one.name, one.id))


def discover_everywhere(clients: Clients) -> list[Found]:
    """In all regions that the account has enabled.

    A region that the account's rules forbid altogether holds nothing of ours: nothing could be
    made there either.
    """
    start = clients if clients.chosen else clients.elsewhere(FALLBACK_REGION)
    regions = [str(item["RegionName"]) for item in start.call("ec2:DescribeRegions")["Regions"]]
    with ThreadPoolExecutor(ABREAST) as pool:
        found = list(pool.map(lambda region: _if_open(start.elsewhere(region)), sorted(regions)))
    if all(some is None for some in found):
        discover(start)  # raises the reason: an account that may see nothing is not empty
    return [one for some in found if some for one in some]


def _if_open(clients: Clients) -> list[Found] | None:
    """None for a region that is switched off or forbidden as a whole."""
    try:
        clients.call("ec2:DescribeInstances", MaxResults=5)
    except Denied:
        return None
    except SignIn as error:
        if error.code != "AuthFailure":  # a region's way to say that it is switched off
            raise
        return None
    return discover(clients)


def _found(workshop_id: str, items: Iterable[tuple[str, dict[str, Any]]], region: str) -> Found:
    items = list(items)
    machines = [item for name, item in items if name == INSTANCE.name]
    machine = next((item for item in machines if not instances.ended(item)), None)
    labels = tags.read(machine or items[0][1])
    remains = sorted({name for name, _ in items})
    return Found(
        id=workshop_id,
        name=labels.get(tags.WORKSHOP, ""),
        state=instances.STATES[instances.state(machine)] if machine else ServerState.STOPPED,
        details=_details(machine) if machine else f"no machine; left: {', '.join(remains)}",
        region=region,
        hostname=labels.get(tags.HOSTNAME, ""),
        created_at=machine["LaunchTime"] if machine else None,
        expires_at=_moment(labels.get(tags.EXPIRES, "")),
        hourly=pricing.hourly(machine["InstanceType"], region) if machine else None,
    )


def _details(machine: dict[str, Any]) -> str:
    return f"{machine['InstanceId']} ({machine['InstanceType']} in {instances.zone(machine)})"


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
