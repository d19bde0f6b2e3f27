"""What is left of a workshop in AWS, by tag, over everything that can carry one.

A call whose result nobody knows counts as something left for as long as AWS may not show it yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from provisioner.models import Resource
from provisioner.providers.aws import instances, tags
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.journal import MAKING, Journal
from provisioner.providers.aws.kinds import GROUP, INSTANCE, INTERFACE, KINDS
from provisioner.providers.aws.removal import END

OPEN = "unanswered request"
NAMES = ("token", "id", "name")
"""Facts of an intent that say what it is about, the most telling first."""


def leftovers(clients: Clients, journal: Journal, workshop_id: str, name: str) -> list[Resource]:
    """Each with the command that ends it; empty only when it is sure that nothing is left."""
    found = list(_tagged(clients, workshop_id))
    seen = {resource.id for resource in found}
    return found + [item for item in _open(journal, name, workshop_id) if item.id not in seen]


def _tagged(clients: Clients, workshop_id: str) -> Iterator[Resource]:
    for kind in KINDS:
        for item in kind.found(clients, tags.one(workshop_id)):
            resource = kind.resource(item, clients.region)
            if kind is INSTANCE and instances.ended(item):
                # It has been told to end, and telling it again changes nothing.
                wait = f"aws ec2 wait instance-terminated --instance-ids {resource.id}"
                resource = replace(resource, remove=f"{wait} --region {clients.region}")
            yield resource
            if kind is GROUP:
                yield from _holders(clients, resource.id)


def _holders(clients: Clients, group: str) -> Iterator[Resource]:
    """What stands in the group, whoever it belongs to, and so keeps it from being deleted."""
    for item in INTERFACE.found(clients, [{"Name": "group-id", "Values": [group]}]):
        resource = INTERFACE.resource(item, clients.region)
        instance = (item.get("Attachment") or {}).get("InstanceId", "")
        by = f" of {instance}" if instance else ""
        yield replace(resource, kind=f"{INTERFACE.name}{by}, which holds {group}")


def _open(journal: Journal, name: str, workshop_id: str) -> Iterator[Resource]:
    seconds = int(journal.window.total_seconds())
    again = f"provision teardown {name or workshop_id} (AWS shows for sure after {seconds} s)"
    endings = journal.endings()
    for entry in journal.unresolved():
        what = next((entry.facts[key] for key in NAMES if key in entry.facts), "")
        if entry.action in (*MAKING, END) and what not in endings and journal.fresh(entry):
            yield Resource(OPEN, f"{entry.action} {what}".strip(), again)
    for made in journal.unseen():
        yield Resource(INSTANCE.name, made, again)
