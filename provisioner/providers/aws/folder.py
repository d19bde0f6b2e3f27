"""What was chosen for one workshop, in `aws.json` of its folder: written before it is used.

Choices made twice could differ (an image is published, a default subnet appears), and a repeated
request must be the same request. The account is part of it: with another account's credentials
everything looks deleted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from provisioner.errors import Refused
from provisioner.store import write_private

FILE, JOURNAL = "aws.json", "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Choice:
    """Where and of what a workshop's machine is made."""

    id: str
    name: str
    account: str
    region: str
    owner: str
    ami: str = ""
    root_device: str = ""
    least_disk: int = 0  # bytes that the image needs
    vpc: str = ""
    group: str = ""  # id of the security group


def read(folder: Path) -> Choice | None:
    """None when there is none. Raises Refused when it cannot be read."""
    path = folder / FILE
    try:
        return Choice(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise Refused(
            f"{path} cannot be read: {error}",
            hint=f"provision teardown {folder.name} --provider aws --region REGION, once {FILE} "
            "is moved away",
        ) from None


def write(folder: Path, choice: Choice) -> Choice:
    write_private(folder / FILE, json.dumps(asdict(choice), indent=1) + "\n")
    return choice


def of(home: Path, workshop_id: str) -> Path | None:
    """The folder of the workshop with this id.

    Raises Refused when there is none and one can't be read: it may be that, in another region.
    """
    unreadable: Refused | None = None
    for file in sorted(home.glob(f"*/{FILE}")):
        try:
            choice = read(file.parent)
        except Refused as error:
            unreadable = error
            continue
        if choice and choice.id == workshop_id:
            return file.parent
    if unreadable is not None:
        raise unreadable
    return None
