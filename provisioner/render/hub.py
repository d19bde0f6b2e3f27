"""What the machine asks of its own hub, as values: see stack/ask.py and stack/prewarm.py."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from provisioner.render.commands import compose

_FOLDER = "/srv/jupyterhub"  # in the hub's container

ASK = compose("exec", "-T", "hub", "python", f"{_FOLDER}/ask.py")
"""Reads questions on stdin, answers each with a line. The token stays in the hub's container."""

PREWARM = compose("exec", "-T", "hub", "python", f"{_FOLDER}/prewarm.py")
"""Starts everybody's server; a line of JSON for each."""


def question(method: str, path: str, body: Any = None) -> dict[str, Any]:
    """One question for `ASK`; `path` is below /hub/api and already quoted."""
    return {"method": method, "path": path} | ({} if body is None else {"body": body})


def questions(asked: list[dict[str, Any]]) -> bytes:
    """What `ASK` reads."""
    return "".join(f"{json.dumps(item)}\n" for item in asked).encode()


def user_path(username: str) -> str:
    return f"/users/{quote(username, safe='')}"
