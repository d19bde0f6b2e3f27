"""The password hashes that the hub has: one that is right stays, so that nobody is logged out."""

from __future__ import annotations

import json

from provisioner.errors import NotReady
from provisioner.protocols import Remote
from provisioner.render import commands


def known_hashes(remote: Remote) -> dict[str, str]:
    """User name → hash; nothing when the hub has no users yet. Raises NotReady."""
    found = remote.run(commands.read_file(commands.USERS_FILE))
    if not found.ok:
        raise NotReady(
            "The server did not say whom the hub knows",
            details=(found.err.strip(),),
            hint="the same command again goes on from there",
        )
    try:
        users = json.loads(found.out)["users"]
        return {name: str(user["hash"]) for name, user in users.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
