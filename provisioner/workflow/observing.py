"""`status`: look at everything that can be seen from here, once or again and again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from provisioner.errors import NotYet, ProvisionError
from provisioner.models import Server, ServerState
from provisioner.protocols import Remote
from provisioner.settings import recorded
from provisioner.sizing import format_size
from provisioner.store import Record
from provisioner.workflow import health
from provisioner.workflow.cost import cost_of
from provisioner.workflow.health import Health, Machine
from provisioner.workflow.launch import local_time
from provisioner.workflow.seats import Seat, percent, seats
from provisioner.workflow.status import Check, Status, phase_of
from provisioner.workflow.tools import Tools, quietly

SERVICES = ("caddy", "hub", "proxy")
SLOW_PATIENCE = 120.0

LEAST_FREE = 1024**3
"""Bytes below which a disk is called full, unless it is a small one."""
LEAST_SHARE = 2.0  # per cent of a small disk
MEMORY_FULL = 95.0  # per cent of the machine's

RENEWED_BY = 3600.0
"""Seconds before its end by which any certificate that is renewed has been."""


def status(tools: Tools, record: Record) -> Status:
    """Look at everything that can be seen from here. Never raises for what is not reachable."""
    with Observer(tools, record) as observer:
        return observer.look()


class Observer:
    """Looks again and again over one connection, which it opens anew when it is lost."""

    def __init__(self, tools: Tools, record: Record) -> None:
        self._tools, self._record = tools, record
        self._remote: Remote | None = None
        self._seen: dict[str, str] = {}  # whose start failed or not is known: their last activity
        self._reasons: dict[str, str] = {}
        self._last: Status | None = None  # when the server could be asked

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._remote is not None:
            quietly(self._remote.close)
            self._remote = None

    def look(self) -> Status:
        """See `status`. What the server can't be asked now is as it was, see Status.at.

        Raises UsageError when the workshop's record can't be read, NotYet when it is gone.
        """
        tools = self._tools
        record = tools.store.load(self._record.name)
        if record is None or record.id != self._record.id:
            raise NotYet(f"Workshop {self._record.name!r} is not there any more")
        self._record = record
        try:
            server = tools.provider.find(record.id)
        except ProvisionError as error:
            return self._made(None, (Check("machine", False, error.message),))
        checks = [_machine(server)]
        if server is None or server.state is not ServerState.RUNNING:
            self.close()
            return self._made(server, tuple(checks))
        seen: Health | None = None
        try:
            seen = self._ask(server)
        except ProvisionError as error:
            self.close()
            checks.append(Check("ssh", False, error.message))
        else:
            checks.append(Check("ssh", True, "answers with the pinned key"))
            checks += _services(seen)
            checks += _room(seen.machine)
            hub = seen.services.get("hub")
            if seen.hub_error and hub is not None and hub.state == "running":
                checks.append(Check("people", False, f"the hub can't be asked: {seen.hub_error}"))
        until = None
        if seen is not None or self._last is None:  # else the network's trouble is known
            https, until = self._https(record)
            checks.insert(1, https)
        return self._made(server, tuple(checks), seen, until)

    def _ask(self, server: Server) -> Health:
        if self._remote is None:
            self._remote = self._tools.connect(server, self._tools.store.folder(self._record.name))
        timeout = SLOW_PATIENCE if server.slow else health.PATIENCE
        seen = health.ask(self._remote, self._seen, timeout=timeout)
        if seen.people is not None:
            idle = {name: item for name, item in seen.people.items() if not item.serving}
            self._reasons = {
                name: item.why if item.why is not None else self._reasons.get(name, "")
                for name, item in idle.items()
            }
            self._seen = {name: item.activity for name, item in idle.items()}
        return seen

    def _https(self, record: Record) -> tuple[Check, datetime | None]:
        if not record.url:
            return Check("https", False, "there is no address yet"), None
        ca = self._tools.store.folder(record.name).ca
        authority = ca if ca.exists() else None
        try:
            self._tools.web.healthy(record.url, authority)
            until = self._tools.web.certificate_until(record.url, authority)
        except ProvisionError as error:
            return Check("https", False, error.message), None
        left = (until - datetime.now(UTC)).total_seconds()
        late = left < RENEWED_BY or (until < record.expires_at and not _renewed(record))
        says = f"{record.url} answers with a verified chain, until {local_time(until)}"
        if late:
            says += ": that is before the workshop ends" if left > 0 else ""
        return Check("https", not late, says), until

    def _made(
        self,
        server: Server | None,
        checks: tuple[Check, ...],
        seen: Health | None = None,
        until: datetime | None = None,
    ) -> Status:
        record, store = self._record, self._tools.store
        made = Status(
            record,
            phase_of(record, server),
            checks,
            certificate_until=until,
            cost=cost_of(store, record),
            cost_at_end=cost_of(store, record, record.expires_at),
        )
        if seen is not None:
            self._last = made = replace(
                made,
                seats=self._seats(seen),
                machine=seen.machine,
                services=seen.services,
                at=seen.at,
            )
        elif (last := self._last) is not None:
            made = replace(
                made,
                seats=last.seats,
                machine=last.machine,
                services=last.services,
                at=last.at,
            )
        return made

    def _seats(self, seen: Health) -> tuple[Seat, ...]:
        record = self._record
        try:
            limits = recorded(record.settings).limits()
        except ProvisionError:  # settings that this version can't read
            limits = None
        tried = [at for at in (record.ready_at, record.rehearsed_at) if at is not None]
        since = max(tried, default=None)
        return seats(record.people, seen, limits=limits, since=since, reasons=self._reasons)


def _machine(server: Server | None) -> Check:
    if server is None:
        return Check("machine", False, "does not exist")
    about = ", ".join(value for _, value in server.about[:1])
    return Check(
        "machine",
        server.state is ServerState.RUNNING,
        f"{server.state}{f' ({about})' if about else ''}",
    )


def _services(seen: Health) -> Iterator[Check]:
    if seen.docker_silent:
        yield Check("docker", False, "it does not answer: provision ssh -- systemctl status docker")
        if not seen.services:
            return
    for name in sorted({*SERVICES, *seen.services}):
        service = seen.services.get(name)
        if service is None:
            yield Check(name, False, "is not there")
            continue
        says = service.state
        if service.state == "exited":
            says += f" with code {service.code}"
            says += ", for want of memory" if service.out_of_memory else ""
        elif service.health:
            says += f", {service.health}"
        if service.restarts:
            times = "once" if service.restarts == 1 else f"{service.restarts} times"
            says += f", restarted {times}"
        yield Check(name, service.state == "running" and service.health != "unhealthy", says)


def _room(machine: Machine) -> Iterator[Check]:
    """Only what is short is a check: the numbers are in Status.machine."""
    full = percent(machine.memory_used, machine.memory)
    if full is not None and full > MEMORY_FULL:
        yield Check("memory", False, f"{full:.0f} % of the machine's is in use")
    for disk in machine.disks:
        if disk.free < min(LEAST_FREE, disk.size * LEAST_SHARE / 100):
            yield Check("disk", False, f"{format_size(disk.free)} are free on {disk.target}")


def _renewed(record: Record) -> bool:
    """Whether somebody sees to it that the certificate never ends: not for the operator's own."""
    try:
        return recorded(record.settings).tls_options().mode != "files"
    except ProvisionError:
        return True
