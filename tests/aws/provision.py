"""The real command line with the real AWS provider, in a forked process, over the fake cloud.

Only what is inside the machine is pretended: there is none, so the server answers as a healthy one
would (providers/fake.py), and name servers agree as soon as Route 53 says INSYNC.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3  # noqa: F401 - imported before the fork, so that no child pays for it

from provisioner import dns
from provisioner.cli import wiring
from provisioner.cli.app import app
from provisioner.dns.route53 import Route53Dns
from provisioner.errors import NotYet
from provisioner.models import Credential, DnsOptions, Findings, Server
from provisioner.protocols import Dns, Reporter
from provisioner.providers.aws import AwsProvider
from provisioner.providers.fake import FakeProvider, FakeRemote, FakeVisitor
from provisioner.render.known_hosts import pinned_keys
from provisioner.settings import Settings
from provisioner.workflow import waiting

OPERATOR = "203.0.113.9/32"


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int  # negative: the signal that ended it
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Insides:
    """What is inside the machines, by workshop id: kept in a folder, as a disk would."""

    def __init__(self, folder: Path) -> None:
        self._machines = FakeProvider(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def connect(self, server: Server, folder: Any) -> FakeRemote:
        if not server.address:
            raise NotYet("SSH does not answer: there is no address")
        workshop_id = json.loads(folder.record.read_text())["id"]
        if not (self._folder / f"{workshop_id}.json").exists():
            self._machines.write(workshop_id, {"name": "", "state": "running", "files": {}})
        pins = pinned_keys(folder.known_hosts.read_text())
        return FakeRemote(self._machines, workshop_id, pins)

    def healthy(self, url: str, ca: Path | None) -> None: ...

    def certificate_until(self, url: str, ca: Path | None) -> datetime:
        return datetime.now(UTC) + timedelta(days=89)

    def visitor(self, url: str, ca: Path | None, credential: Credential) -> FakeVisitor:
        everybody: dict[str, Any] = {}
        for path in sorted(self._folder.glob("*.json"), key=lambda item: item.stat().st_mtime):
            everybody |= json.loads(path.read_text()).get("users", {})
        return FakeVisitor(everybody, credential)


class Agreeing:
    """Name servers that say what Route 53 says."""

    def servers(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(names)

    def require(self, servers: Iterable[str], hostname: str, address: str) -> None: ...

    def delegation(self, zone: str) -> frozenset[str]:
        return frozenset()


class _Route53(Route53Dns):
    def check(self, hostname: str, workshop_id: str) -> Findings:
        """Without the question to the parent zone, which is nobody's here."""
        return tuple(
            finding
            for finding in super().check(hostname, workshop_id)
            if "delegat" not in finding.message and "name server" not in finding.message
        )


def _pretend(insides: Insides) -> None:
    def aws(asked: Settings, reporter: Reporter) -> wiring.Edges:
        provider = AwsProvider(
            wiring.home(),
            asked.aws_options(),
            whereabouts=lambda: OPERATOR,
            tell=reporter.note,
            sleep=lambda seconds: None,
            window=timedelta(seconds=0.5),  # in which this cloud may not show what it made
        )
        return wiring.Edges(provider, insides.connect, insides)

    def keeper(options: DnsOptions, *, profile: str = "") -> Dns:
        agreeing: Any = Agreeing()
        return _Route53(options, authorities=agreeing)

    wiring.PROVIDERS = {**wiring.PROVIDERS, "aws": aws}
    dns.make = keeper
    waiting.SystemClock.sleep = lambda self, seconds: time.sleep(0.05)  # type: ignore[method-assign]


def provision(
    *words: str,
    environ: dict[str, str],
    folder: Path,
    insides: Path,
    started: Callable[[int], None] = lambda pid: None,
) -> Outcome:
    """Run `provision WORDS…` in `folder`; `started` hears its pid while it waits to begin."""
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        ready, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(ready, 1)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.environ.update(environ)
            os.chdir(folder)
            _run(words, Insides(insides))
        try:
            started(child)
        finally:
            os.write(go, b"x")
            _, status = os.waitpid(child, 0)
            os.close(ready)
            os.close(go)
        out.seek(0)
        err.seek(0)
        return Outcome(os.waitstatus_to_exitcode(status), out.read(), err.read())


def _run(words: tuple[str, ...], insides: Insides) -> None:
    """Never returns."""
    code = 1
    try:
        from provisioner.cli import output

        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        output.stdout.file, output.stderr.file = sys.stdout, sys.stderr
        output.stdout.width = output.stderr.width = 200
        _pretend(insides)
        app(list(words), prog_name="provision")
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
