"""`launch`: from nothing, or from wherever an earlier launch stopped, to a workshop that is ready.

Every phase is written to the record before its act, so a launch that was killed anywhere is
repeated by launching again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from provisioner import keys
from provisioner.errors import NotReady, NotYet, ProvisionError, Refused, UsageError
from provisioner.models import Credential, Phase, Server, Spec
from provisioner.protocols import Bakes, Discovers
from provisioner.render import commands
from provisioner.render.known_hosts import known_hosts_lines, pinned_keys
from provisioner.settings import Settings
from provisioner.store import (
    Folder,
    Record,
    credentials_csv,
    read_credentials,
    read_events,
    write_private,
)
from provisioner.workflow import planning
from provisioner.workflow.checks import (
    BOOT,
    SLOW_FACTOR,
    SYSTEM,
    WORKSHOP,
    Climb,
    Rung,
    machine_runs,
)
from provisioner.workflow.data import send_data
from provisioner.workflow.evidence import collect
from provisioner.workflow.teardown import TeardownOptions, tear_down_locked
from provisioner.workflow.tools import Tools
from provisioner.workflow.waiting import wait_for

REPEATABLE = frozenset({"expires"})
"""Settings that may differ when a launch is repeated: the deadline stays as it was recorded."""


@dataclass(frozen=True, slots=True)
class Launched:
    record: Record
    credentials: tuple[Credential, ...]
    timings: dict[str, float]  # seconds of each step that succeeded, the last time it ran


def launch(tools: Tools, settings: Settings, *, base_image: str) -> Launched:
    """Make the workshop, or bring the one that exists to readiness.

    Raises Refused (nothing created), NotReady (machine kept), Busy, UsageError.
    """
    with tools.store.lock(settings.name, "launch"):
        record, spec, settings = _begin(tools, settings, base_image)
        folder = tools.store.folder(record.name)
        if isinstance(tools.provider, Bakes):
            tools.provider.bake(spec, tools.reporter)
        record, server = _create(tools, record, spec)
        with _climb(tools, record, settings, spec, folder, server) as climb:
            try:
                return _make_ready(climb, settings)
            except NotReady as error:
                raise _failed(climb, error) from None


def _begin(tools: Tools, settings: Settings, base_image: str) -> tuple[Record, Spec, Settings]:
    """The record to go on with: the one that exists, or a new one after every check passed."""
    record = tools.store.load(settings.name)
    if record is not None and is_over(record):
        tools.reporter.note(
            f"Workshop {record.name!r} ended at its deadline, {local_time(record.expires_at)}; "
            "tearing it down first"
        )
        tear_down_locked(tools, record.name, TeardownOptions())
        record = None
    if record is None:
        _refuse_strangers(tools, settings.name)
        made = planning.draft(tools.store, tools.provider, settings, base_image=base_image)
        planning.refuse_errors(
            planning.check(settings, tools.provider, made.spec), name=settings.name
        )
        return tools.store.create(made.record, made.files), made.spec, settings
    _refuse_changes(record, settings)
    settings = Settings(**record.settings)
    tools.reporter.note(f"Workshop {record.name!r} exists ({record.phase}); going on from there")
    folder = tools.store.folder(record.name)
    return record, planning.respec(record, settings, folder, tools.provider), settings


def _refuse_strangers(tools: Tools, name: str) -> None:
    """A machine or a folder of this name without a record: not ours to build upon."""
    seen = tools.provider.discover() if isinstance(tools.provider, Discovers) else []
    if any(found.name == name for found in seen) or tools.store.folder(name).path.exists():
        raise Refused(
            f"There are remains of a workshop {name!r} whose record is missing",
            hint=f"provision teardown {name}",
        )


def _refuse_changes(record: Record, asked: Settings) -> None:
    wanted = asked.model_dump(mode="json")
    changed = [
        key
        for key, value in wanted.items()
        if key not in REPEATABLE and record.settings.get(key) != value
    ]
    if asked.provider != record.provider or changed:
        raise UsageError(
            f"Workshop {record.name!r} exists already, with other settings:",
            details=tuple(
                f"{key}: it has {record.settings.get(key)!r}, you ask for {wanted[key]!r}"
                for key in changed
            ),
            hint=f"launch under another name, or first: provision teardown {record.name}",
        )


def _create(tools: Tools, record: Record, spec: Spec) -> tuple[Record, Server]:
    if record.phase in {Phase.PREPARING, Phase.CREATING}:
        record = tools.store.save(record.but(phase=Phase.CREATING))
    with tools.step(record.name, "create", "Creating the machine", kind=record.provider):
        server = tools.provider.create(spec)
    if record.phase in {Phase.CREATING, Phase.FAILED}:
        record = record.but(phase=Phase.BOOTING, failure="")
    record = tools.store.save(record.but(server=server))
    _pin(tools.store.folder(record.name), server)
    return record, server


def _pin(folder: Folder, server: Server) -> None:
    """Name the machine's address in known_hosts, whatever it was called before."""
    pins = pinned_keys(folder.known_hosts.read_text(encoding="utf-8"))
    write_private(folder.known_hosts, known_hosts_lines(server.ssh_host, server.ssh_port, pins))


def _climb(
    tools: Tools, record: Record, settings: Settings, spec: Spec, folder: Folder, server: Server
) -> Climb:
    credentials = read_credentials(folder.credentials, record.people)
    first = next(item for item in credentials if not item.person.admin)
    return Climb(
        tools=tools,
        record=record,
        folder=folder,
        server=server,
        credential=first,
        data_paths=planning.data_paths(settings),
        image_key=spec.bundle.image_key,
    )


def _make_ready(climb: Climb, settings: Settings) -> Launched:
    """The runbook, from a machine that was asked for to a participant's first cell."""
    tools, folder = climb.tools, climb.folder
    ascend(climb, BOOT)
    _replace_host_key(climb)
    ascend(climb, SYSTEM)
    _advance(climb, phase=Phase.STARTING)
    send_data(climb, settings.data_folders(), kind=kind_of(climb.record, climb.server))
    credentials = _send_users(climb)
    ascend(climb, WORKSHOP)
    _advance(climb, phase=Phase.READY, ready_at=datetime.now(UTC).replace(microsecond=0))
    timings = step_seconds(read_events(folder.events))
    tools.store.event(climb.record.name, step="ready", event="end", outcome="ok")
    return Launched(climb.record, credentials, timings)


def ascend(climb: Climb, ladder: tuple[Rung, ...]) -> None:
    """Climb the rungs in order; each is waited for, and a dead machine ends the wait at once."""
    slow = climb.server.slow
    kind = kind_of(climb.record, climb.server)
    for rung in ladder:
        with climb.tools.step(climb.record.name, rung.name, rung.title, kind=kind) as shown:
            try:
                wait_for(
                    lambda rung=rung: rung.probe(climb),  # type: ignore[misc]
                    budget=rung.budget * (SLOW_FACTOR if slow else 1),
                    clock=climb.tools.clock,
                    alive=lambda: machine_runs(climb),
                    tell=shown.update,
                )
            except NotReady as error:
                hint = error.hint or rung.hint.format(name=climb.record.name)
                raise NotReady(
                    f"{rung.title}: {error.message}", hint=hint, details=error.details
                ) from None


def kind_of(record: Record, server: Server) -> str:
    """On what sort of machine a step's time was measured."""
    return f"{record.provider}{' (emulated)' if server.slow else ''}"


def _replace_host_key(climb: Climb) -> None:
    """Swap the key that rode in user-data for one that never left the machine.

    The new one is pinned before it is put to use, beside the old one, so that a kill between any
    two lines leaves a machine that can be reached.
    """
    if climb.record.host_key_replaced:
        return
    server, folder = climb.server, climb.folder
    kind = kind_of(climb.record, server)
    title = "The machine has its own host key"
    with climb.tools.step(climb.record.name, "host-key", title, kind=kind):
        prepared = climb.remote.run(commands.PREPARE_HOST_KEY)
        words = prepared.out.split()
        if not prepared.ok or len(words) < 2 or words[0] != "ssh-ed25519":
            raise NotReady("the machine could not make a host key", details=(prepared.err.strip(),))
        new = f"{words[0]} {words[1]}"
        pins = pinned_keys(folder.known_hosts.read_text(encoding="utf-8"))
        both = [new, *(pin for pin in pins if pin != new)]
        write_private(folder.known_hosts, known_hosts_lines(server.ssh_host, server.ssh_port, both))
        committed = climb.remote.run(commands.COMMIT_HOST_KEY)
        if not committed.ok:
            raise NotReady(
                "the machine could not take its new host key", details=(committed.err.strip(),)
            )
        climb.reconnect()
        wait_for(
            lambda: _proves(climb, new),
            budget=60 * (SLOW_FACTOR if server.slow else 1),
            clock=climb.tools.clock,
        )
        write_private(
            folder.known_hosts, known_hosts_lines(server.ssh_host, server.ssh_port, [new])
        )
        folder.host_key.unlink(missing_ok=True)
        _advance(climb, host_key_replaced=True)


def _proves(climb: Climb, key: str) -> None:
    if climb.remote.host_key() != key:
        climb.reconnect()
        raise NotYet("the machine still answers with its first host key")


def _send_users(climb: Climb) -> tuple[Credential, ...]:
    """Hashes to the server, the full sheet to the operator's folder; then the bundle may start."""
    folder, record = climb.folder, climb.record
    credentials = read_credentials(folder.credentials, record.people)
    write_private(folder.credentials, credentials_csv(credentials, record.url))
    kind = kind_of(record, climb.server)
    with climb.tools.step(record.name, "secrets", "Handing over the password hashes", kind=kind):
        hashed = {item.person.username: keys.hash_password(item.password) for item in credentials}
        sent = climb.remote.run(
            commands.write_file(commands.USERS_FILE),
            stdin=commands.users_json(hashed, credentials),
        )
        started = climb.remote.run(commands.START_STACK)
        for result in (sent, started):
            if not result.ok:
                raise NotReady("the bundle could not be started", details=(result.err.strip(),))
    return credentials


def _advance(climb: Climb, **changes: object) -> None:
    climb.record = climb.tools.store.save(climb.record.but(**changes))


def _failed(climb: Climb, error: NotReady) -> ProvisionError:
    """Save what explains the failure, and say where it is; the machine stays for inspection."""
    lines = collect(climb)
    _advance(climb, phase=Phase.FAILED, failure=error.message)
    return NotReady(
        f"{error.message}",
        details=(*error.details, *lines, f"logs are in {climb.folder.logs}"),
        hint=f"{error.hint}\nto look around: provision ssh {climb.record.name}"
        f"\nto try again: provision launch {climb.record.name}"
        f"\nto end it: provision teardown {climb.record.name}",
    )


def step_seconds(events: list[dict[str, object]]) -> dict[str, float]:
    """step → seconds, of steps that succeeded; a repeated step counts as it went last."""
    return {
        str(event["step"]): float(str(event["seconds"]))
        for event in events
        if event.get("event") == "end" and event.get("outcome") == "ok" and "seconds" in event
    }


def is_over(record: Record) -> bool:
    return datetime.now(UTC) >= record.expires_at


def local_time(when: datetime) -> str:
    """As the organiser's clock on the wall says it: Mon 23 Nov 20:17."""
    return when.astimezone().strftime("%a %d %b %H:%M")
