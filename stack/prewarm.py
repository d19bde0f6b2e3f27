"""Start everybody's server before they come: a line of JSON for each, as soon as it is known.

    {"name": "user07", "ok": true, "seconds": 4.2}
    {"name": "user08", "ok": false, "seconds": 31.0, "why": "…"}

A server that runs already is `ok` after 0 seconds, so this may be repeated at any time.
"""

import json
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ask import ask

USERS = Path("/srv/jupyterhub/secrets/users.json")
LONGEST = 600.0  # seconds for one server; the hub itself gives up earlier


@dataclass
class Pace:
    """How many start at once: one more after each that was quick, one fewer after a slow one.

    What a machine can do at once shows in the time that a start takes beside the quickest one.
    """

    cores: int
    limit: int = 0
    best: float = field(default=float("inf"))

    def __post_init__(self) -> None:
        self.limit = self.cores

    def finished(self, seconds: float) -> None:
        self.best = min(self.best, seconds)
        quick = seconds <= 2 * self.best
        self.limit = max(1, min(4 * self.cores, self.limit + (1 if quick else -1)))


def start(name: str) -> dict:
    """One person's server, from nothing to ready, or why not. Tried once more when it fails."""
    first = _start(name)
    return first if first["ok"] else _start(name)


def _start(name: str) -> dict:
    begun = time.monotonic()

    def said(why: str = "") -> dict:
        seconds = round(time.monotonic() - begun, 2)
        return {"name": name, "ok": not why, "seconds": seconds} | ({"why": why} if why else {})

    path = f"/users/{quote(name)}"
    user = ask("GET", path)
    if user["status"] == 404:
        user = ask("POST", path)  # the hub knows people only from their first login on
    if user["status"] not in {200, 201}:
        return said(_words(user))
    if _server(user).get("ready"):
        return {"name": name, "ok": True, "seconds": 0.0}
    asked = ask("POST", f"{path}/server")
    if asked["status"] not in {201, 202, 400}:  # 400: it is starting already
        return said(_words(asked))
    while time.monotonic() - begun < LONGEST:
        server = _server(ask("GET", path))
        if server.get("ready"):
            return said()
        if not server.get("pending"):
            return said(_last_event(path))
        time.sleep(0.25)
    return said(f"it was not ready after {LONGEST:.0f} s")


def _server(user: dict) -> dict:
    body = user["body"]
    if not isinstance(body, dict):
        return {"pending": "asked again"}  # the hub is away for a moment
    return (body.get("servers") or {}).get("") or {}


def _words(answer: dict) -> str:
    body = answer["body"]
    said = body.get("message") if isinstance(body, dict) else body
    return f"the hub answers {answer['status']}: {said}"


def _last_event(path: str) -> str:
    """The hub's own words on a start that failed."""
    text = str(ask("GET", f"{path}/server/progress")["body"] or "")
    events = [line[5:] for line in text.splitlines() if line.startswith("data:")]
    try:
        said = str(json.loads(events[-1])["message"])
        return said.rpartition("Docker says: ")[2]  # see spawner.py
    except (IndexError, KeyError, ValueError):
        return "the hub gives no reason; its log does"


def main() -> None:
    names = sorted(json.loads(USERS.read_text(encoding="utf-8"))["users"])
    pace, done = Pace(os.cpu_count() or 1), queue.Queue()
    waiting, running = list(names), 0
    print(json.dumps({"total": len(names)}), flush=True)
    while waiting or running:
        while waiting and running < pace.limit:
            name = waiting.pop(0)
            threading.Thread(target=lambda name=name: done.put(start(name)), daemon=True).start()
            running += 1
        result = done.get()
        running -= 1
        if result["ok"] and result["seconds"]:
            pace.finished(result["seconds"])
        print(json.dumps(result | {"at_once": pace.limit}), flush=True)


if __name__ == "__main__":
    main()
