"""/opt/provision/host.json: whose workshop is on the machine, and what was there before it.

Written before anything else and removed after everything else, so that whatever a cut-short
command left behind can be told from what is the owner's.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, field
from datetime import datetime

from provisioner.errors import Refused
from provisioner.render.bundle import ROOT

FILE = f"{ROOT}/host.json"
VERSION = 1
READ = f"cat {FILE} 2> /dev/null || true"


@dataclass(frozen=True, slots=True)
class Claim:
    """One workshop's word on somebody's machine. Times are aware UTC."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime
    address: str  # where participants reach it
    owner: str = ""  # who launched it
    hostname: str = ""
    slow: bool = False  # an emulated machine
    docker: bool = False  # Docker was there, and ran
    docker_enabled: bool = False
    forwarding: bool = False  # the kernel forwarded packets between networks
    forward_policy: str = "ACCEPT"  # of the filter table, which Docker changes
    before: dict[str, list[str]] = field(default_factory=dict)  # kind of trace → ids

    def text(self) -> str:
        values = asdict(self) | {
            "version": VERSION,
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
        }
        return json.dumps(values, indent=1) + "\n"


def parse(text: str) -> Claim | None:
    """None when there is none. Raises Refused when it cannot be understood."""
    if not text.strip():
        return None
    try:
        values = json.loads(text)
        version = values.pop("version")
        values.pop("tag", None)  # earlier versions kept the images' tag
        if version != VERSION:
            raise ValueError(f"format {version}; this provision knows {VERSION}")
        times = {key: datetime.fromisoformat(values[key]) for key in ("created_at", "expires_at")}
        return Claim(**(values | times))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Refused(
            f"{FILE} on the machine cannot be read: {error}",
            hint="if no workshop is on it any more, as root there:"
            f" mv {FILE} /root/provision-host.json",
        ) from None


def write_first(claim_id: str) -> str:
    """Put what comes on stdin there unless there is one: of two claims one wins."""
    staging = shlex.quote(f"{FILE}.{claim_id}")
    return (
        f"umask 022 && mkdir -p {ROOT} && cat > {staging} && sync {staging}"
        f" && {{ ln {staging} {FILE} 2> /dev/null || true; }} && rm -f {staging} && cat {FILE}"
    )


def rewrite() -> str:
    return f"umask 022 && cat > {FILE}.new && sync {FILE}.new && mv -f {FILE}.new {FILE}"
