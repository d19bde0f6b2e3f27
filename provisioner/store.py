"""The operator's side: one 0700 folder a workshop, written so that any write may be the last.

$PROVISION_HOME/
    <name>/record.json ssh_key known_hosts ca.crt credentials.csv events.jsonl logs/ vm/
    .locks/<name>       held by the command that is working on the workshop
    history.jsonl       how long each step took, of all workshops: the "usual" times
    backups/            participants' homes; never deleted by this program
    certificates/       of public host names, for the next launch under the same name
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from provisioner.errors import Busy, ProvisionError, UsageError
from provisioner.models import Credential, Person, Phase, Secret, Server

RECORD_VERSION = 1
CSV_FIELDS = ("seat", "name", "username", "password", "url")


class CorruptRecord(ProvisionError):
    """The record exists and can't be understood. Teardown works without it."""

    exit_code = 2


class Record(BaseModel):
    """What is known of one workshop. Holds no secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = RECORD_VERSION
    id: str
    name: str
    provider: str
    phase: Phase
    created_at: datetime
    expires_at: datetime
    people: tuple[Person, ...]
    site: str = ""  # the host name or address that Caddy answers to; "" until it is known
    settings: dict[str, Any] = Field(default_factory=dict)
    base_image: str = ""  # what `auto` came to; "" is the Debian base that we make
    server: Server | None = None
    host_key_replaced: bool = False
    ready_at: datetime | None = None
    rehearsed_at: datetime | None = None  # when real participants were last played, server's time
    hourly: float | None = None  # US dollars, as planned
    data_bytes: int = 0  # of shared data, as the machine's disk was sized for it
    last_seat: int = 0  # the last that was given out to somebody who has left since
    failure: str = ""

    @property
    def url(self) -> str:
        if self.server is None or not self.site:
            return ""
        host = f"[{self.site}]" if ":" in self.site else self.site
        port = self.server.https_port
        return f"https://{host}" if port == 443 else f"https://{host}:{port}"

    def but(self, **changes: Any) -> Record:
        return self.model_copy(update=changes)


@dataclass(frozen=True, slots=True)
class Folder:
    """File names of one workshop, all in one place."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / "record.json"

    @property
    def ssh_key(self) -> Path:
        return self.path / "ssh_key"

    @property
    def host_key(self) -> Path:
        """The one-shot host key; gone once the machine has made its own."""
        return self.path / "host_key"

    @property
    def known_hosts(self) -> Path:
        return self.path / "known_hosts"

    @property
    def ca(self) -> Path:
        return self.path / "ca.crt"

    @property
    def credentials(self) -> Path:
        return self.path / "credentials.csv"

    def handed_over(self) -> bool:
        """Whether the server may know its participants, and so may hold their work.

        credentials.csv gets the workshop's address just before the server gets its users, so
        this can be told without a record.
        """
        try:
            return "https://" in self.credentials.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return True  # it was there from the beginning: somebody has put it away since

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def logs(self) -> Path:
        return self.path / "logs"


class Store:
    """All workshops below one home folder, which is made when first written to.

    A command waits `patience` seconds for another one that has the workshop; `tell` hears of it.
    """

    def __init__(
        self, home: Path, *, patience: float = 0.0, tell: Callable[[str], None] | None = None
    ) -> None:
        self.home = home
        self.patience, self._tell = patience, tell

    def folder(self, name: str) -> Folder:
        return Folder(self.home / name)

    @property
    def backups(self) -> Path:
        return self.home / "backups"

    @property
    def certificates(self) -> Path:
        return self.home / "certificates"

    def names(self) -> list[str]:
        """Workshops that have a folder, whether or not their record can be read."""
        if not self.home.is_dir():
            return []
        return sorted(
            path.name
            for path in self.home.iterdir()
            if path.is_dir()
            and not path.name.startswith(".")
            and path not in {self.backups, self.certificates}
        )

    def load(self, name: str) -> Record | None:
        """The record, or None when there is none. Raises CorruptRecord."""
        path = self.folder(name).record
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._corrupt(name, str(error)) from None
        version = values.get("version") if isinstance(values, dict) else None
        if isinstance(version, int) and version > RECORD_VERSION:
            raise self._corrupt(name, f"it was written by a newer provision (format {version})")
        try:
            return Record.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise self._corrupt(name, f"{where}: {first['msg']}") from None

    def _corrupt(self, name: str, why: str) -> CorruptRecord:
        return CorruptRecord(
            f"The record of workshop {name!r} can't be used: {why}",
            hint=f"provision teardown {name} works without it",
        )

    def save(self, record: Record) -> Record:
        write_private(self.folder(record.name).record, record.model_dump_json(indent=2) + "\n")
        return record

    def create(self, record: Record, files: dict[str, str]) -> Record:
        """Make the workshop's folder with its first files in one step: all of it, or nothing."""
        self._make_home()
        target = self.folder(record.name).path
        staging = Path(tempfile.mkdtemp(prefix=f".new-{record.name}-", dir=self.home))
        try:
            for name, text in files.items():
                write_private(staging / name, text)
            write_private(staging / "record.json", record.model_dump_json(indent=2) + "\n")
            (staging / "logs").mkdir(mode=0o700)
            staging.rename(target)
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            raise UsageError(f"{target} can't be written: {error.strerror}") from error
        return record

    def remove(self, name: str) -> None:
        """Forget the workshop. Renamed first: half a folder must not look like a workshop."""
        path = self.folder(name).path
        if path.exists():
            doomed = self.home / f".gone-{name}-{os.getpid()}"
            path.rename(doomed)
        for stale in [*self.home.glob(f".gone-{name}-*"), *self.home.glob(f".new-{name}-*")]:
            shutil.rmtree(stale, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, name: str, verb: str, *, wait: float | None = None) -> Iterator[None]:
        """Hold the workshop for one command. Raises Busy if another one has it for too long.

        It is waited for `wait` seconds, or as long as the store's patience. The lock is the
        kernel's (flock), so a killed command never leaves it behind.
        """
        with self._locked(name, name, verb, self.patience if wait is None else wait):
            yield

    @contextlib.contextmanager
    def lock_homes(self, name: str, verb: str) -> Iterator[None]:
        """Hold people's files on the server: nobody ends the machine, or writes to them, while
        they are copied. Who needs the workshop as well takes `lock` first. Raises Busy.
        """
        with self._locked(f"{name}.homes", name, verb, self.patience):
            yield

    @contextlib.contextmanager
    def _locked(self, file_name: str, name: str, verb: str, wait: float) -> Iterator[None]:
        self._make_home()
        locks = self.home / ".locks"
        locks.mkdir(mode=0o700, exist_ok=True)
        with (locks / file_name).open("a+", encoding="utf-8") as file:
            until, told = time.monotonic() + wait, False
            while not _taken(file):
                file.seek(0)
                holder = file.read().strip() or "another command"
                if time.monotonic() >= until:
                    raise Busy(
                        f"Workshop {name!r} is in use: {holder} is still running",
                        hint=f"wait for it, or see: provision status {name}",
                    )
                if self._tell is not None and not told:
                    self._tell(f"waiting up to {wait:.0f} s for: {holder}")
                told = True
                time.sleep(0.2)
            file.truncate(0)
            now = datetime.now().astimezone().strftime("%H:%M:%S")
            file.write(f"provision {verb} (process {os.getpid()}, since {now})")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

    def _make_home(self) -> None:
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.home} can't be made: {error.strerror}",
                hint="set PROVISION_HOME to a folder that you may write to",
            ) from error

    def usual(self, step: str, kind: str) -> float | None:
        """Median seconds of the last ten times that `step` succeeded on this kind of machine."""
        seconds = [
            event["seconds"]
            for event in read_events(self.home / "history.jsonl")
            if event.get("step") == step and event.get("kind") == kind
        ]
        return statistics.median(seconds[-10:]) if seconds else None

    def remember(self, step: str, kind: str, seconds: float) -> None:
        line = json.dumps({"step": step, "kind": kind, "seconds": round(seconds, 2)})
        append_line(self.home / "history.jsonl", line)

    def event(self, name: str, **fields: Any) -> None:
        """Append to the workshop's events.jsonl; silently nothing once the folder is gone."""
        folder = self.folder(name)
        if folder.path.is_dir():
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            append_line(folder.events, json.dumps({"at": now, **fields}))


def _taken(file: IO[str]) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a file atomically and durably, readable by its owner alone."""
    staging = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    staging.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def append_line(path: Path, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(line + "\n")


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a file; a line torn by a crash is skipped."""
    events = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                events.append(event)
    return events


def credentials_csv(credentials: tuple[Credential, ...], url: str) -> str:
    """The contract's columns: seat,name,username,password,url."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for credential in credentials:
        person = credential.person
        writer.writerow((person.seat, person.name, person.username, str(credential.password), url))
    return text.getvalue()


def read_credentials(path: Path, people: tuple[Person, ...]) -> tuple[Credential, ...]:
    """The passwords of `people` from credentials.csv. Raises UsageError when one is missing.

    A spreadsheet that it was opened in may have put a mark before it, semicolons or a code page.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        delimiter = ";" if text.partition("\n")[0].count(";") else ","
        rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(
            f"{path} is not UTF-8: a spreadsheet has saved it in another form",
            hint="open it there again, and save it as CSV UTF-8 (comma delimited)",
        ) from None
    except csv.Error as error:
        raise UsageError(f"{path} is not CSV: {error}") from None
    passwords = {row.get("username"): row.get("password") for row in rows}
    missing = [person.username for person in people if not passwords.get(person.username)]
    if missing:
        raise UsageError(f"{path} has no password for {', '.join(missing)}")
    return tuple(Credential(person, Secret(passwords[person.username])) for person in people)
