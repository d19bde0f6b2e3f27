"""How many more people a machine that runs can take."""

from __future__ import annotations

from provisioner import sizing
from provisioner.errors import Refused
from provisioner.models import Person
from provisioner.protocols import Remote
from provisioner.render import people
from provisioner.settings import recorded
from provisioner.store import Record


def refuse_too_many(record: Record, remote: Remote, more: int) -> None:
    """Everybody has their share at once, or the room is full: raises Refused."""
    settings = recorded(record.settings)
    limits, total = settings.limits(), len(record.people) + more
    planned, has = len(settings.people()), people.measured(remote.run(people.MEASURE))
    fits = {
        "memory": sizing.people_that_fit(
            has.memory, share=limits.memory, system=sizing.SYSTEM_MEMORY
        ),
        "disk": sizing.people_on_disk(has.disk, limits, record.data_bytes),
    }
    most = max(planned, min(fits.values()))
    short = [what for what, number in fits.items() if total > max(planned, number)]
    if not short:
        return
    disk = sizing.explain_disk(total, limits, record.data_bytes)
    says = {
        "memory": f"memory: {sizing.explain_memory(total, limits)}, but the machine has "
        f"{sizing.format_size(has.memory)}",
        "disk": f"disk: {disk}, but the machine has {sizing.format_size(has.disk)}",
    }
    spare = [person.username for person in record.people if _is_spare(person)]
    free = f"hand out the card of {spare[0]}, a spare seat; or " if spare else ""
    raise Refused(
        f"{more} more would be {total} people, and {most} fit. Nobody was added",
        details=tuple(says[what] for what in short),
        hint=f"{free}remove who did not come: provision users remove USER; "
        "and next time: provision launch --spare 3",
    )


def _is_spare(person: Person) -> bool:
    return person.username.startswith("spare") and not person.name
