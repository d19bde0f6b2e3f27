"""`launch`: from nothing, or from wherever an earlier launch stopped, to a workshop that is ready.

Every phase is written to the record before its act, so a launch that was killed anywhere is
repeated by launching again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provisioner import keys
from provisioner.errors import NotReady, NotYet, ProvisionError, Refused, UsageError
from provisioner.models import (
    Credential,
    Phase,
    Result,
    Server,
    ServerState,
    Spec,
    TlsOptions,
)
from provisioner.protocols import Bakes, Bootstraps, Discovers, Instructs, Remote
from provisioner.render import commands
from provisioner.render.known_hosts import known_hosts_lines, pinned_keys
from provisioner.render.site import site_files
from provisioner.settings import Settings, recorded
from provisioner.store import (
    Folder,
    Record,
    credentials_csv,
    read_credentials,
    read_events,
    write_private,
)
from provisioner.workflow import certificates, planning
from provisioner.workflow.checks import (
    BOOTSTRAP,
    CLOUD_INIT,
    ENGINE,
    MACHINE,
    NAME,
    OWN_AUTHORITY,
    PARTICIPANT,
    SERVICES,
    SLOW_FACTOR,
    SSH,
    WEB,
    Climb,
    Rung,
    still_alive,
)
from provisioner.workflow.data import send_data
from provisioner.workflow.evidence import collect
from provisioner.workflow.pinning import pin
from provisioner.workflow.teardown import TeardownOptions, tear_down_locked
from provisioner.workflow.tools import Tools
from provisioner.workflow.waiting import wait_for

REPEATABLE = frozenset({"expires"})
"""Settings that may differ when a launch is repeated: the deadline stays as it was recorded."""


POINT_BUDGET = 60.0
"""Seconds for a keeper of names that is busy or away for a moment."""


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
        if isinstance(tools.provider, Bakes):
            tools.provider.bake(spec, tools.reporter)
        record, server = _create(tools, record, spec)
        return _ascend_all(tools, record, settings, spec, server)


def resume(tools: Tools, record: Record, server: Server) -> Launched:
    """Bring a workshop whose machine was started again to readiness. The caller has its lock."""
    settings = recorded(record.settings)
    spec = planning.respec(record, settings, tools.store.folder(record.name), tools.provider)
    return _ascend_all(tools, record, settings, spec, server)


def _ascend_all(
    tools: Tools, record: Record, settings: Settings, spec: Spec, server: Server
) -> Launched:
    folder = tools.store.folder(record.name)
    with _climb(tools, record, settings, spec, folder, server) as climb:
        try:
            return _make_ready(climb, settings)
        except (NotReady, Refused) as error:  # a refusal in mid-ladder: a machine exists
            raise _failed(climb, error) from None


def _begin(tools: Tools, settings: Settings, base_image: str) -> tuple[Record, Spec, Settings]:
    """The record to go on with: the one that exists, or a new one after every check passed."""
    record = tools.store.load(settings.name)
    if record is not None and is_over(record):
        _refuse_other_place(record, settings)
        tools.reporter.note(
            f"Workshop {record.name!r} ended at its deadline, {local_time(record.expires_at)}; "
            "tearing it down first"
        )
        tear_down_locked(tools, record.name, TeardownOptions())
        record = None
    if record is None:
        _refuse_strangers(tools, settings.name)
        made = planning.draft(tools.store, tools.provider, settings, base_image=base_image)
        planning.refuse_errors(planning.check(tools, settings, made.spec), name=settings.name)
        price = planning.quote(tools, made.spec)
        record = made.record.but(hourly=price.hourly if price else None)
        return tools.store.create(record, made.files), made.spec, settings
    _refuse_changes(record, settings)
    settings = recorded(record.settings)
    tools.reporter.note(f"Workshop {record.name!r} exists ({record.phase}); going on from there")
    folder = tools.store.folder(record.name)
    return record, planning.respec(record, settings, folder, tools.provider), settings


PLACE = ("provider", "local", "aws", "host", "dns")
"""Settings that say where a workshop is: its end must be looked for there."""


def _refuse_other_place(record: Record, asked: Settings) -> None:
    has = recorded(record.settings)
    if any(getattr(has, key) != getattr(asked, key) for key in PLACE):
        raise Refused(
            f"Workshop {record.name!r} ended at its deadline, and was made in another place or way",
            hint=f"provision teardown {record.name} brings its files home; then launch again",
        )


def _refuse_strangers(tools: Tools, name: str) -> None:
    """A machine or a folder of this name without a record: not ours to build upon."""
    seen = tools.provider.discover() if isinstance(tools.provider, Discovers) else []
    for found in seen:
        if found.name == name and found.state is ServerState.RUNNING:
            raise Refused(
                f"A workshop {name!r} runs already, and this computer has no record of it: "
                f"{found.details}",
                hint="launch under another name; or, if it is yours to end: "
                f"provision teardown {name}",
            )
    if any(found.name == name for found in seen) or tools.store.folder(name).path.exists():
        raise Refused(
            f"There are remains of a workshop {name!r} whose record is missing",
            hint=f"provision teardown {name}",
        )


def _refuse_changes(record: Record, asked: Settings) -> None:
    wanted = asked.model_dump(mode="json")
    has = recorded(record.settings).model_dump(mode="json")
    changed = [key for key, value in wanted.items() if key not in REPEATABLE and has[key] != value]
    if asked.provider != record.provider or changed:
        raise UsageError(
            f"Workshop {record.name!r} exists already, with other settings:",
            details=tuple(
                f"{key}: it has {has[key]!r}, you ask for {wanted[key]!r}" for key in changed
            ),
            hint=f"launch under another name, or first: provision teardown {record.name}",
        )


def _create(tools: Tools, record: Record, spec: Spec) -> tuple[Record, Server]:
    """Raises Refused when the machine that this record tells of is gone: another one would have
    other keys, and none of what people made."""
    if record.phase in {Phase.PREPARING, Phase.CREATING}:
        record = tools.store.save(record.but(phase=Phase.CREATING))
    elif (server := tools.provider.find(record.id)) is None or server.ended:
        why = f": {server.why}" if server and server.why else ""
        raise Refused(
            f"The machine of {record.name!r} is gone{why}",
            hint=f"provision teardown {record.name}, then launch again",
        )
    with tools.step(record.name, "create", "Creating the machine", kind=record.provider):
        server = tools.provider.create(spec)
    if record.phase in {Phase.CREATING, Phase.FAILED}:
        record = record.but(phase=Phase.BOOTING, failure="")
    return tools.store.save(record.but(server=server)), server


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
        hostname=spec.hostname,
    )


def _make_ready(climb: Climb, settings: Settings) -> Launched:
    """The runbook, from a machine that was asked for to a participant's first cell."""
    tools, folder = climb.tools, climb.folder
    ascend(climb, MACHINE)
    _name(climb)
    ascend(climb, SSH)
    if isinstance(tools.provider, Bootstraps):
        ascend(climb, BOOTSTRAP)
    else:
        _replace_host_key(climb)
        ascend(climb, CLOUD_INIT)
    ascend(climb, ENGINE)
    _advance(climb, phase=Phase.STARTING)
    send_data(climb, settings.data_folders(), kind=kind_of(climb.record, climb.server))
    if tools.dns is not None and climb.hostname:
        ascend(climb, NAME)  # before Caddy asks for a certificate, or the first try is wasted
    credentials = _hand_over(climb, settings.tls_options())
    ascend(climb, SERVICES)
    _know_authority(climb, settings.tls_options())
    ascend(climb, WEB)
    _keep_certificates(climb, settings.tls_options())
    ascend(climb, PARTICIPANT)
    _advance(climb, phase=Phase.READY, ready_at=datetime.now(UTC).replace(microsecond=0))
    timings = step_seconds(read_events(folder.events))
    tools.store.event(climb.record.name, step="ready", event="end", outcome="ok")
    return Launched(climb.record, credentials, timings)


def _name(climb: Climb) -> None:
    """From now on the machine has an address: pin it, and make the host name lead to it."""
    record, server, dns = climb.record, climb.server, climb.tools.dns
    pin(climb.tools.provider, climb.folder, server)
    _advance(climb, server=server, site=planning.site_of(climb.hostname, server.address))
    if dns is None or not climb.hostname:
        return
    title = f"{climb.hostname} leads to {server.address}"
    with climb.tools.step(record.name, "point", title, kind=kind_of(record, server)):
        try:
            wait_for(
                lambda: dns.point(climb.hostname, server.address, record.id),
                budget=POINT_BUDGET,
                clock=climb.tools.clock,
            )
        except Refused as error:  # found out too late to be a refusal: a machine exists
            raise NotReady(error.message, hint=error.hint, details=error.details) from None
    if isinstance(dns, Instructs):
        climb.tools.reporter.note(dns.instruction(climb.hostname, server.address))


def _know_authority(climb: Climb, tls: TlsOptions) -> None:
    """Have `ca.crt` when the site's chain does not end in what every browser trusts."""
    if tls.mode == "internal":
        ascend(climb, OWN_AUTHORITY)
    elif tls.ca_root:
        write_private(climb.folder.ca, Path(tls.ca_root).read_text(encoding="utf-8"))


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
                    alive=lambda: still_alive(climb),
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


def _hand_over(climb: Climb, tls: TlsOptions) -> tuple[Credential, ...]:
    """The full sheet to the operator's folder; hashes, site and certificates to the server.

    Only then may the bundle start: it finds its users, its name and its certificates in place.
    """
    folder, record, remote = climb.folder, climb.record, climb.remote
    credentials = read_credentials(folder.credentials, record.people)
    write_private(folder.credentials, credentials_csv(credentials, record.url))
    kind = kind_of(record, climb.server)
    with climb.tools.step(record.name, "secrets", "Handing over the password hashes", kind=kind):
        for path, content in site_files(record.site, tls, read=_read).items():
            _put(remote, f"{commands.SECRETS}/{path}", content)
        certificates.restore(climb.tools, record.name, record.site, tls, remote)
        hashed = {item.person.username: keys.hash_password(item.password) for item in credentials}
        _put(remote, commands.USERS_FILE, commands.users_json(hashed, credentials))
        _must(remote.run(commands.RESTART_STACK), "the bundle could not be started")
    return credentials


def _keep_certificates(climb: Climb, tls: TlsOptions) -> None:
    """As soon as there is one: a public authority gives out few of them a week."""
    certificates.save(climb.tools, climb.record.name, climb.record.site, tls, climb.remote)


def _put(remote: Remote, path: str, content: bytes) -> None:
    _must(remote.run(commands.write_file(path), stdin=content), f"{path} could not be written")


def _must(result: Result, words: str) -> None:
    if not result.ok:
        raise NotReady(words, details=(result.err.strip(),))


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _advance(climb: Climb, **changes: object) -> None:
    climb.record = climb.tools.store.save(climb.record.but(**changes))


def _failed(climb: Climb, error: ProvisionError) -> ProvisionError:
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
