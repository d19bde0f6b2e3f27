"""Tell every open Lab that the end is near, at the times before the deadline that were asked for.

A service of the hub's. The deadline is where the machine has it, in its timer's file, so that
`provision extend` moves this, too. Labs show it through jupyterlab-notifications-extension, at once
and until it is closed.

Whatever a server is sent, its owner may read: so each is sent a token of its owner's, which opens
that one server and nobody else's. This service's own goes to the hub alone.
"""

import http.client
import json
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from ask import ask

TIMER = Path("/run/units/provision-deadline.timer")
PROXY = ("proxy-api", 8000)  # its name on the network that participants are not on
EVERY = 10.0  # seconds
LIFETIME = 60  # seconds of a token, should it not come to be deleted


def deadline(text: str) -> datetime | None:
    """From a timer's file: OnCalendar=2026-01-31 17:00:00 UTC."""
    found = re.search(r"^OnCalendar=(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC$", text, re.MULTILINE)
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None


def due(left: float, before: list) -> float:
    """Which notice it is time for, `left` seconds before the end; 0: for none.

    The nearest one alone: a hub that starts four minutes before the end speaks once.
    """
    now = [seconds for seconds in before if left <= seconds]
    return min(now) if now and left > 0 else 0


def message(left: float) -> str:
    minutes = max(1, round(left / 60))
    return (
        f"The workshop ends in {minutes} minute{'s' if minutes > 1 else ''}, and this server too. "
        "Save your notebooks; to keep them, download them now: right-click on a file, Download."
    )


def tell(username: str, text: str) -> bool:
    """One person's Lab, by way of the proxy. False when it could not be told."""
    tokens = f"/users/{username}/tokens"
    scopes = [f"access:servers!user={username}"]
    asked = {"expires_in": LIFETIME, "scopes": scopes, "note": "the end is near"}
    made = ask("POST", tokens, asked)
    if made["status"] != 201:
        return False
    try:
        return _post(username, made["body"]["token"], text)
    finally:
        ask("DELETE", f"{tokens}/{made['body']['id']}")


def _post(username: str, token: str, text: str) -> bool:
    connection = http.client.HTTPConnection(*PROXY, timeout=10)
    body = {"message": text, "type": "warning", "autoClose": False, "immediate": True}
    path = f"/user/{username}/jupyterlab-notifications-extension/ingest"
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path, json.dumps(body), headers)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def tell_all(text: str, told: set) -> None:
    """Everybody who has a server and was not told yet: those that start later are, too."""
    people = ask("GET", "/users?state=ready")
    names = {user["name"] for user in people["body"]} if people["status"] == 200 else set()
    new = {name for name in names - told if tell(name, text)}
    if new:
        print(f"notices: told {', '.join(sorted(new))}", file=sys.stderr, flush=True)
    told |= new


def main() -> None:
    before = [float(seconds) for seconds in os.environ["PROVISION_NOTICES"].split(",")]
    known, told = None, {}
    while True:
        end = deadline(TIMER.read_text(encoding="utf-8")) if TIMER.exists() else None
        if end != known:
            known, told = end, {}  # extended: everything is to be said again
        if end is not None:
            left = (end - datetime.now(UTC)).total_seconds()
            if notice := due(left, before):
                tell_all(message(left), told.setdefault(notice, set()))
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
