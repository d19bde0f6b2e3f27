"""The readiness ladder, as data. One loop in launch.py climbs it; a rung's hint is its error.

Budgets are seconds on a machine with hardware virtualisation or in a cloud; an emulated machine
gets SLOW_FACTOR times as long. A rung's probe looks once and never sleeps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provisioner.errors import NotReady, NotYet
from provisioner.models import Bundle, Credential, Result, Server, ServerState
from provisioner.protocols import Bootstraps, Remote, Visitor
from provisioner.render import commands
from provisioner.render.bootstrap import MARK, STATE, Bootstrap, parse_state
from provisioner.store import Folder, Record, write_private
from provisioner.workflow.tools import Tools, quietly
from provisioner.workflow.waiting import wait_for

if TYPE_CHECKING:
    from typing import Self

SLOW_FACTOR = 6
READ_BUDGET = 60.0
"""Seconds for a line of text over a connection that may break."""

STANDSTILL = 900.0
"""Seconds without a word from the bootstrap: longer than five attempts at a mirror that is away."""

ALIVE_EVERY = 3.0
"""Seconds between two looks at the machine while something else is waited for."""

PARTICIPANT_CELL = "print(5 * 4)"
PARTICIPANT_ANSWER = "20"


@dataclass
class Climb:
    """What the probes share while one workshop is made ready: open connections, mostly."""

    tools: Tools
    record: Record
    folder: Folder
    server: Server
    credential: Credential  # of the participant who tries it out
    data_paths: tuple[str, ...] = ()
    bundle: Bundle | None = None
    hostname: str = ""  # "": participants use the address
    seen_alive: float = field(default=-math.inf, repr=False)  # clock time of the last look
    moved: tuple[float, object] = field(default=(0.0, None), repr=False)
    """When the bootstrap was last seen to move, by the clock, and what it said then."""
    _remote: Remote | None = field(default=None, repr=False)
    _visitor: Visitor | None = field(default=None, repr=False)

    @property
    def remote(self) -> Remote:
        if self._remote is None:
            self._remote = self.tools.connect(self.server, self.folder)
        return self._remote

    @property
    def visitor(self) -> Visitor:
        if self._visitor is None:
            ca = self.folder.ca if self.folder.ca.exists() else None
            self._visitor = self.tools.web.visitor(self.record.url, ca, self.credential)
        return self._visitor

    def advance(self, **changes: object) -> None:
        """Write what has come about to the record."""
        self.record = self.tools.store.save(self.record.but(**changes))

    def reconnect(self) -> None:
        """Drop the connection: the next rung opens a new one."""
        if self._remote is not None:
            quietly(self._remote.close)
            self._remote = None

    def read(self, path: str) -> str:
        """A file of the server, nothing when it is not there; over a new connection if need be."""

        def look() -> str:
            found = _ask(self, commands.read_file(path))
            if not found.ok:
                raise NotYet(f"the server did not say what is in {path}")
            return found.out

        return wait_for(look, budget=READ_BUDGET, clock=self.tools.clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reconnect()
        if self._visitor is not None:
            quietly(self._visitor.close)


@dataclass(frozen=True, slots=True)
class Rung:
    """One thing that must be so. `probe` raises NotYet (ask again) or NotReady (it never will)."""

    name: str
    title: str
    probe: Callable[[Climb], None]
    hint: str
    budget: float


def machine_runs(climb: Climb) -> None:
    """It runs and can be reached; where, is kept for the rungs above."""
    server = _existing(climb)
    if server.state is ServerState.PENDING or not server.address:
        raise NotYet("the machine is on its way")
    climb.server = server


def still_alive(climb: Climb) -> None:
    """Raises NotReady when waiting has become pointless. Asks at most every ALIVE_EVERY seconds."""
    now = climb.tools.clock.monotonic()
    if now - climb.seen_alive >= ALIVE_EVERY:
        _existing(climb)
        climb.seen_alive = now


def _existing(climb: Climb) -> Server:
    server = climb.tools.provider.find(climb.record.id)
    if server is None:
        raise NotReady("The machine is gone", hint=f"provision launch {climb.record.name}")
    if server.state is ServerState.STOPPED:
        how = "ended" if server.ended else "powered itself off"
        raise NotReady(f"The machine has {how}{server.why and f': {server.why}'}")
    return server


def ssh_answers(climb: Climb) -> None:
    try:
        climb.remote.run("true", timeout=30)
    except NotYet:
        climb.reconnect()
        raise


def cloud_init_done(climb: Climb) -> None:
    status = parse_cloud_init(_ask(climb, commands.CLOUD_INIT_STATUS).out)
    if status.state == "error":
        raise NotReady(
            f"cloud-init failed in {status.stage or 'an unknown stage'}", details=status.errors
        )
    if status.state not in {"done", "disabled"}:
        raise NotYet(f"cloud-init is in {status.stage or 'its first stage'}")
    for warning in status.warnings:
        climb.tools.reporter.warn(f"cloud-init: {warning}")


def bootstrap_done(climb: Climb) -> None:
    """An image that is large may take long; one that stands still is not waited for as long."""
    provider = climb.tools.provider
    try:
        if isinstance(provider, Bootstraps):
            provider.bootstrapped(climb.record.id)
        elif not (seen := look_at_bootstrap(climb)).missing:  # an earlier version's machine
            seen.must_be_done(climb.record.name)
    except NotYet as error:
        _refuse_standstill(climb, error)
        raise


def look_at_bootstrap(climb: Climb) -> Bootstrap:
    return parse_state(_ask(climb, STATE).out)


def _refuse_standstill(climb: Climb, error: NotYet) -> None:
    now, says = climb.tools.clock.monotonic(), (error.message, error.details)
    if climb.moved[1] != says:
        climb.moved = (now, says)
    quiet = STANDSTILL * (SLOW_FACTOR if climb.server.slow else 1)
    if now - climb.moved[0] >= quiet:
        raise NotReady(
            f"nothing new for {quiet / 60:.0f} min: {error.message}", details=error.details
        )


def docker_answers(climb: Climb) -> None:
    result = _ask(climb, commands.DOCKER_VERSION)
    if not result.ok:
        raise NotYet("the Docker engine does not answer")


def images_present(climb: Climb) -> None:
    if not _ask(climb, commands.have_images()).ok:
        raise NotYet("the container images are not there")


def name_leads_here(climb: Climb) -> None:
    if climb.tools.dns is not None and climb.hostname:
        climb.tools.dns.settled(climb.hostname, climb.server.address)


def services_run(climb: Climb) -> None:
    result = _ask(climb, commands.service_states())
    states = parse_services(result.out)
    wanted = {"caddy", "proxy", "hub"}
    if missing := wanted - states.keys():
        raise NotYet(f"waiting for {', '.join(sorted(missing))}")
    for name in sorted(wanted):
        if states[name] != "running":
            raise NotYet(f"{name} is {states[name]}")


def chain_is_known(climb: Climb) -> None:
    """Fetch the workshop's own CA over the pinned connection: what HTTPS is verified against."""
    result = _ask(climb, commands.read_ca())
    if not result.ok or "BEGIN CERTIFICATE" not in result.out:
        raise NotYet("Caddy has not made its certificate yet")
    write_private(climb.folder.ca, result.out)


def https_answers(climb: Climb) -> None:
    ca = climb.folder.ca if climb.folder.ca.exists() else None
    climb.tools.web.healthy(climb.record.url, ca)


def participant_enters(climb: Climb) -> None:
    climb.visitor.login()


def participant_has_server(climb: Climb) -> None:
    if not climb.visitor.server_ready():
        raise NotYet("the hub is starting the server")


def participant_runs_cell(climb: Climb) -> None:
    checks = "".join(f"import os; os.listdir({path!r})\n" for path in climb.data_paths)
    answer = climb.visitor.run(checks + PARTICIPANT_CELL, timeout=240).strip()
    if answer != PARTICIPANT_ANSWER:
        raise NotReady(f"A cell that prints {PARTICIPANT_ANSWER} printed {answer!r}")


MACHINE = (
    Rung("machine", "The machine runs", machine_runs, "provision logs {name} --console", 300),
)

SSH = (
    Rung(
        "ssh",
        "SSH answers with the pinned key",
        ssh_answers,
        "the machine's console says how far it came: provision logs {name} --console",
        120,
    ),
)

CLOUD_INIT = (
    Rung(
        "cloud-init",
        "cloud-init has finished",
        cloud_init_done,
        "provision ssh {name} -- sudo cat /var/log/cloud-init-output.log",
        900,
    ),
)

BOOTSTRAP = (
    Rung(
        "bootstrap",
        "The machine is prepared",
        bootstrap_done,
        "provision ssh {name} -- sudo cat /var/log/provision-bootstrap.log",
        2700,
    ),
)
"""Docker, and the container images; the budget is of all of it, STANDSTILL of each part."""

ENGINE = (
    Rung(
        "docker",
        "The Docker engine answers",
        docker_answers,
        "provision ssh {name} -- sudo journalctl -u docker",
        120,
    ),
    Rung(
        "images",
        "The container images are there",
        images_present,
        "provision ssh {name} -- sudo docker images; to have them made again: "
        f"provision ssh {{name}} -- sudo rm {MARK}, and provision launch {{name}}",
        60,
    ),
)

NAME = (
    Rung(
        "dns",
        "Every authoritative name server knows the address",
        name_leads_here,
        "provision plan {name} shows what the name servers say",
        600,
    ),
)

SERVICES = (
    Rung(
        "services",
        "Caddy, proxy and hub run",
        services_run,
        "provision logs {name} shows what they say",
        120,
    ),
)

OWN_AUTHORITY = (
    Rung(
        "certificate",
        "The certificate authority is known",
        chain_is_known,
        "provision logs {name} caddy",
        60,
    ),
)
"""Only where the workshop is its own authority."""

WEB = (
    Rung(
        "https",
        "The hub answers over verified HTTPS",
        https_answers,
        "provision logs {name} hub, and provision logs {name} caddy for the certificate",
        180,
    ),
)

PARTICIPANT = (
    Rung(
        "login",
        "A participant logs in",
        participant_enters,
        "provision logs {name} hub",
        60,
    ),
    Rung(
        "server",
        "The participant's server has started",
        participant_has_server,
        "provision logs {name} hub; too little memory per participant is a common cause",
        120,
    ),
    Rung(
        "cell",
        "The participant has run a cell",
        participant_runs_cell,
        "websockets must pass: provision logs {name} proxy",
        60,
    ),
)


@dataclass(frozen=True, slots=True)
class CloudInit:
    state: str
    stage: str
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def parse_cloud_init(text: str) -> CloudInit:
    """`cloud-init status --format json` of any version; not JSON means that it has not begun.

    Loop on `status`, never on the exit code: code 2 ("recoverable errors") comes while running,
    too, and versions before 23.4 don't have it.
    """
    try:
        values = json.loads(text)
    except ValueError:
        return CloudInit("not started", "")
    stage = str(values.get("stage") or "")
    errors = tuple(str(item) for item in values.get("errors") or ())
    for name in ("init-local", "init", "modules-config", "modules-final"):
        part = values.get(name) or {}
        if not stage and part.get("errors"):
            stage = name
    warnings = tuple(
        str(item) for level in (values.get("recoverable_errors") or {}).values() for item in level
    )
    return CloudInit(str(values.get("status", "")), stage, errors, warnings)


def parse_services(text: str) -> dict[str, str]:
    """`docker compose ps --format json`: a service → running, restarting, exited, unhealthy…

    Compose 2.21 and later print an object a line, earlier ones a list.
    """
    text = text.strip()
    try:
        items = (
            json.loads(text)
            if text.startswith("[")
            else [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        )
    except ValueError:
        return {}
    return {
        str(item.get("Service")): (
            "unhealthy" if item.get("Health") == "unhealthy" else str(item.get("State"))
        )
        for item in items
    }


def _ask(climb: Climb, command: str) -> Result:
    """Run a command; a lost connection is opened anew for the next asking."""
    try:
        return climb.remote.run(command, timeout=60)
    except NotYet:
        climb.reconnect()
        raise
