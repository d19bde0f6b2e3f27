"""What was about to be done, on disk before it is done: `journal.jsonl` in the workshop's folder.

An intent without a result may or may not have happened. It stays unresolved until the cloud is
seen to agree, whoever was killed in between. Each line is a JSON object, synced before the call:

    {"at": …, "event": "intent", "number": 3, "action": "ec2:RunInstances", "facts": {…}}
    {"at": …, "event": "result", "number": 3, "outcome": "done", "facts": {…}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from provisioner.errors import Refused
from provisioner.providers.aws.failures import AwsError
from provisioner.store import read_events

WINDOW = timedelta(seconds=60)
"""For so long after a call, the cloud not showing its result proves nothing."""

RUN = "ec2:RunInstances"
MAKING = (RUN, "ec2:CreateSecurityGroup", "ec2:AllocateAddress")
"""What can leave something behind."""

ENDED = "ended"
"""Not a call: an instance of ours was seen to have ended, or was deleted by us."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One intent with its result. `outcome` is done, refused, or "" while it is unresolved."""

    number: int
    action: str
    at: datetime
    facts: Mapping[str, str]
    outcome: str = ""
    said: Mapping[str, str] = field(default_factory=dict)


class Journal:
    """One workshop's. With nowhere to write (`path` None) it lasts as long as the process."""

    def __init__(
        self, path: Path | None, now: Callable[[], datetime], window: timedelta = WINDOW
    ) -> None:
        self._path, self._now, self.window = path, now, window
        self._lines: list[dict[str, Any]] = []

    def intend(self, action: str, **facts: str) -> Entry:
        """Raises Refused when it can't be written: then the call must not be made either."""
        number = 1 + max((entry.number for entry in self.entries()), default=0)
        entry = Entry(number, action, self._now(), facts)
        self._write(event="intent", number=number, action=action, facts=facts)
        return entry

    def result(self, entry: Entry, outcome: str, **said: str) -> None:
        self._write(event="result", number=entry.number, outcome=outcome, facts=said)

    @contextmanager
    def intent(self, action: str, **facts: str) -> Iterator[dict[str, str]]:
        """Around one call; what is put into the yielded dict becomes part of the result.

        Nothing is resolved by an error that leaves open whether the call was carried out.
        """
        entry, said = self.intend(action, **facts), dict[str, str]()
        try:
            yield said
        except AwsError as error:
            if not error.unclear:
                self.result(entry, "refused", code=error.code)
            raise
        self.result(entry, "done", **said)

    def ended(self, instance: str, zone: str = "", why: str = "") -> None:
        """Remember an instance that is no more, once."""
        if instance not in self.endings():
            facts = {"instance": instance, "zone": zone, "why": why}
            self._write(event=ENDED, facts=facts)

    def endings(self) -> dict[str, Mapping[str, str]]:
        """Instance → what is known of its end."""
        found = (line["facts"] for line in self._read() if line.get("event") == ENDED)
        return {facts["instance"]: facts for facts in found}

    def entries(self, action: str = "") -> list[Entry]:
        """In the order of their intents; of one action, or all."""
        found: dict[int, Entry] = {}
        for line in self._read():
            if line.get("event") == "intent":
                at = datetime.fromisoformat(line["at"])
                found[line["number"]] = Entry(line["number"], line["action"], at, line["facts"])
            elif line.get("event") == "result" and (was := found.get(line["number"])):
                found[was.number] = Entry(
                    was.number, was.action, was.at, was.facts, line["outcome"], line["facts"]
                )
        return [entry for entry in found.values() if action in ("", entry.action)]

    def unresolved(self, action: str = "") -> list[Entry]:
        return [entry for entry in self.entries(action) if not entry.outcome]

    def agrees(self, action: str, **facts: str) -> None:
        """What an open intent was about has been seen: it was carried out."""
        for entry in self.unresolved(action):
            if all(entry.facts.get(name) == text for name, text in facts.items()):
                self.result(entry, "done")

    def unseen(self) -> list[str]:
        """Instances that were made so lately that AWS may not show them, and not ended since."""
        endings = self.endings()
        made = [
            e.said["instance"]
            for e in self.entries(RUN)
            if e.said.get("instance") and self.fresh(e)
        ]
        return [name for name in made if name not in endings]

    def fresh(self, entry: Entry) -> bool:
        """Whether the cloud may not yet show what came of it."""
        return self._now() - entry.at < self.window

    def _read(self) -> list[dict[str, Any]]:
        return self._lines if self._path is None else read_events(self._path)

    def _write(self, **line: Any) -> None:
        line = {"at": self._now().astimezone(UTC).isoformat(timespec="milliseconds"), **line}
        if self._path is None:
            self._lines.append(line)
            return
        try:
            _append(self._path, json.dumps(line).encode())
        except OSError as error:
            raise Refused(
                f"{self._path} can't be written ({error.strerror}), so AWS is asked for nothing "
                "more",
                hint="make room on that disk, or set PROVISION_HOME",
            ) from error


def _append(path: Path, line: bytes) -> None:
    """On disk when it returns. A line that a crash tore apart must not swallow this one."""
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        torn = file.seek(0, os.SEEK_END) > 0 and _last_byte(file) != b"\n"
        file.write((b"\n" if torn else b"") + line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if new:
        _sync_folder(path.parent)


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _sync_folder(path: Path) -> None:
    """A new file's name is on disk only when its folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
