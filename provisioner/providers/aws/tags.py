"""The tags on everything that a workshop has in AWS: what finds it again without a record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from provisioner.models import Spec

WORKSHOP = "provision:workshop"
ID = "provision:id"
OWNER = "provision:owner"
EXPIRES = "provision:expires-at"
HOSTNAME = "provision:hostname"

NOBODY = "-"
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")  # a filter would take * and ? for wildcards
_NOT_IN_A_VALUE = re.compile(r"[^A-Za-z0-9 +\-=._:/@]")


def of(spec: Spec, owner: str) -> list[dict[str, str]]:
    """In the API's form, always in the same order: equal specs make equal requests."""
    values = {
        "Name": f"provision-{spec.name}",
        WORKSHOP: spec.name,
        ID: spec.id,
        OWNER: value(owner),
        EXPIRES: moment(spec.expires_at),
        HOSTNAME: spec.hostname,
    }
    return [{"Key": key, "Value": text} for key, text in values.items() if text]


def value(text: str) -> str:
    """What AWS takes as a tag's value: up to 256 of a restricted alphabet."""
    return _NOT_IN_A_VALUE.sub("_", text)[:256]


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def read(resource: Mapping[str, Any]) -> dict[str, str]:
    """A described resource's tags. Some are described with TagSet instead of Tags."""
    found: Iterable[Mapping[str, str]] = resource.get("Tags") or resource.get("TagSet") or ()
    return {tag["Key"]: tag["Value"] for tag in found}


def one(workshop_id: str) -> list[dict[str, Any]]:
    """The filter for what belongs to one workshop; to nobody, if the id can't be one of ours."""
    known = workshop_id if _ID.fullmatch(workshop_id) else NOBODY
    return [{"Name": f"tag:{ID}", "Values": [known]}]


def any_workshop() -> list[dict[str, Any]]:
    """The filter for what belongs to some workshop."""
    return [{"Name": "tag-key", "Values": [ID]}]
