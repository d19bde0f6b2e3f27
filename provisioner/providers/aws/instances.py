"""A workshop's instances as EC2 describes them, and the Server that one of them is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from provisioner.models import Server, ServerState
from provisioner.providers.aws import tags
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.journal import RUN, Journal

ENDED = frozenset({"shutting-down", "terminated"})
BY_REQUEST = "Client.UserInitiatedShutdown"
"""EC2's reason for a stop or an end that came through its API."""

STATES: Mapping[str, ServerState] = {
    "pending": ServerState.PENDING,
    "running": ServerState.RUNNING,
    "stopping": ServerState.STOPPED,
    "stopped": ServerState.STOPPED,
    "shutting-down": ServerState.STOPPED,
    "terminated": ServerState.STOPPED,
}

WHY: Mapping[str, str] = {
    "Client.InstanceInitiatedShutdown": "it shut itself down, as it does at its deadline",
    "Server.InsufficientInstanceCapacity": "AWS had no room for it after all",
    "Server.SpotInstanceTermination": "AWS took the spot machine back",
    "Server.ScheduledStop": "AWS stopped it for maintenance",
    "Server.InternalError": "AWS failed to start it",
    "Client.VolumeLimitExceeded": "the account's limit of disks was reached",
    "Client.InternalError": "AWS could not start it; a key for encrypted disks is a common cause",
}


def of(clients: Clients, workshop_id: str) -> list[dict[str, Any]]:
    """All that AWS still shows, whatever their state: the living first, then the oldest first."""
    found = list(described(clients, tags.one(workshop_id)))
    return sorted(found, key=lambda item: (ended(item), item["LaunchTime"], item["InstanceId"]))


def described(clients: Clients, filters: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    pages = clients.pages("ec2:DescribeInstances", "Reservations", Filters=filters)
    return (instance for reservation in pages for instance in reservation["Instances"])


def recognise(journal: Journal, seen: Iterable[Mapping[str, Any]]) -> None:
    """Close the intents whose machine AWS shows, and remember the ends of those that ended."""
    for instance in seen:
        name, token = instance["InstanceId"], instance.get("ClientToken") or "-"
        for entry in journal.unresolved(RUN):
            if entry.facts.get("token") == token:
                journal.result(entry, "done", instance=name)
        if ended(instance):
            journal.ended(name, zone(instance), why(instance))


def state(instance: Mapping[str, Any]) -> str:
    return str(instance["State"]["Name"])


def ended(instance: Mapping[str, Any]) -> bool:
    return state(instance) in ENDED


def zone(instance: Mapping[str, Any]) -> str:
    return str(instance.get("Placement", {}).get("AvailabilityZone", ""))


def why(instance: Mapping[str, Any]) -> str:
    """Why it stopped or ended, if nobody asked for that through the API; else ""."""
    reason = instance.get("StateReason") or {}
    code, message = str(reason.get("Code", "")), str(reason.get("Message", ""))
    if STATES[state(instance)] is not ServerState.STOPPED or code in {"", BY_REQUEST}:
        return ""
    words = WHY.get(code, message.removeprefix(f"{code}:").strip())
    return f"{words} ({code})" if words else code


def server(instance: Mapping[str, Any], *, hourly: float | None) -> Server:
    """A machine without a public address is pending, however long it runs already."""
    stands, address = STATES[state(instance)], str(instance.get("PublicIpAddress") or "")
    if stands is ServerState.RUNNING and not address:
        stands = ServerState.PENDING
    if stands is not ServerState.RUNNING:
        address = ""
    facts = {
        "instance": instance["InstanceId"],
        "type": instance["InstanceType"],
        "zone": zone(instance),
        "price": "" if hourly is None else f"{hourly:.3f} USD/h",
    }
    return Server(
        id=instance["InstanceId"],
        state=stands,
        address=address,
        ssh_host=address,
        ssh_port=22,
        why=why(instance),
        ended=ended(instance),
        about=tuple((name, text) for name, text in facts.items() if text),
    )


def unseen(instance_id: str, reason: str) -> Server:
    """One that was asked for and that AWS does not show yet."""
    return Server(instance_id, ServerState.PENDING, "", "", 22, why=reason)
