"""`launch`: from nothing, or from wherever an earlier launch stopped, to a workshop that is ready.

Every phase is written to the record before its act, so a launch that was killed anywhere is
repeated by launching again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provisioner import keys
from provisioner.errors import Interrupted, NotReady, NotYet, ProvisionError, Refused
from provisioner.models import (
    Credential,
    Phase,
    Server,
    ServerState,
    Spec,
    TlsOptions,
)
from provisioner.protocols import Bakes, Bootstraps, Discovers, Instructs, Remote
from provisioner.render import commands
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
from provisioner.workflow import certificates, planning, preparing
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
from provisioner.workflow.hashes import known_hashes
from provisioner.workflow.materials import gather_first, send_materials
from provisioner.workflow.measured import data_bytes
from provisioner.workflow.pinning import pin
from provisioner.workflow.preparing import must
from provisioner.workflow.prewarm import prewarm_launched
from provisioner.workflow.repeated import refuse_changes
from provisioner.workflow.teardown import TeardownOptions, tear_down_locked
from provisioner.workflow.tools import Tools
from provisioner.workflow.waiting import wait_for

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
        gather_first(tools, record, settings)  # what is wrong with them costs no machine
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
        except Interrupted:
            raise
        except ProvisionError as error:  # whatever its kind: a machine exists
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
        size = data_bytes(tools, settings)
        made = planning.draft(
            tools.store, tools.provider, settings, base_image=base_image, data=size
        )
        findings = planning.check(tools, settings, made.spec)
        planning.refuse_errors(findings, name=settings.name, warn=tools.reporter.warn)
        price = planning.quote(tools, made.spec)
        record = made.record.but(hourly=price.hourly if price else None)
        return tools.store.create(record, made.files), made.spec, settings
    refuse_changes(record, settings)
    asked, settings = settings, recorded(record.settings)
    tools.reporter.note(f"Workshop {record.name!r} exists ({record.phase}); going on from there")
    if "expires" in asked.model_fields_set and asked.expires != record.settings.get("expires"):
        tools.reporter.note(
            f"Its deadline stays {local_time(record.expires_at)}; to move it: "
            f"provision extend {record.name} {asked.expires}"
        )
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


def _create(tools: Tools, record: Record, spec: Spec) -> tuple[Record, Server]:
    """Raises Refused when the machine that this record tells of is gone: another one would have
    other keys, and none of what people made."""
    if record.phase in {Phase.PREPARING, Phase.CREATING}:
        if isinstance(tools.provider, Bakes):
            tools.provider.bake(spec, tools.reporter)
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
        bundle=spec.bundle,
        hostname=spec.hostname,
    )


def _make_ready(climb: Climb, settings: Settings) -> Launched:
    """The runbook, from a machine that was asked for to a participant's first cell."""
    tools, folder = climb.tools, climb.folder
    people_work = climb.record.phase is Phase.READY  # so it stays, whatever is found
    ascend(climb, MACHINE)
    _name(climb)
    ascend(climb, SSH)
    kind = kind_of(climb.record, climb.server)
    if not isinstance(tools.provider, Bootstraps):
        preparing.replace_host_key(climb, kind=kind)
        failed_before = preparing.bootstrap_failed(climb)
        preparing.send_bundle(climb, kind=kind)
        ascend(climb, CLOUD_INIT)
        preparing.begin_again(climb, failed_before=failed_before)
    ascend(climb, BOOTSTRAP)
    ascend(climb, ENGINE)
    if not people_work:
        climb.advance(phase=Phase.STARTING)
    send_data(climb, settings.data_sources(), kind=kind)
    send_materials(climb, settings, kind=kind)
    if tools.dns is not None and climb.hostname:
        ascend(climb, NAME)  # before Caddy asks for a certificate, or the first try is wasted
    credentials = _hand_over(climb, settings.tls_options())
    ascend(climb, SERVICES)
    _tell_of_homes(climb)
    _know_authority(climb, settings.tls_options())
    ascend(climb, WEB)
    _keep_certificates(climb, settings.tls_options())
    ascend(climb, PARTICIPANT)
    if not people_work:
        climb.advance(phase=Phase.READY, ready_at=datetime.now(UTC).replace(microsecond=0))
    if settings.prewarm and not people_work:
        prewarm_launched(tools, climb.record, climb.server, kind=kind)
    timings = step_seconds(read_events(folder.events))
    tools.store.event(climb.record.name, step="ready", event="end", outcome="ok")
    return Launched(climb.record, credentials, timings)


def _name(climb: Climb) -> None:
    """From now on the machine has an address: pin it, and make the host name lead to it."""
    record, server, dns = climb.record, climb.server, climb.tools.dns
    pin(climb.tools.provider, climb.folder, server)
    climb.advance(server=server, site=planning.site_of(climb.hostname, server.address))
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


def _tell_of_homes(climb: Climb) -> None:
    """Room that could not be reserved is worth a word now, not when the disk is full."""
    try:
        words = climb.remote.run(commands.HOMES_WARNING).out.strip()
    except NotYet:
        climb.reconnect()
        return
    if words:
        climb.tools.reporter.warn(words)


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
        hashed = keys.hashes(credentials, known_hashes(remote))
        _put(remote, commands.USERS_FILE, commands.users_json(hashed, credentials))
        must(remote.run(commands.RESTART_STACK), "the bundle could not be started")
    return credentials


def _keep_certificates(climb: Climb, tls: TlsOptions) -> None:
    """As soon as there is one: a public authority gives out few of them a week."""
    certificates.save(climb.tools, climb.record.name, climb.record.site, tls, climb.remote)


def _put(remote: Remote, path: str, content: bytes) -> None:
    sent = remote.run(commands.write_file(path, len(content)), stdin=content)
    must(sent, f"{path} could not be written")


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _failed(climb: Climb, error: ProvisionError) -> ProvisionError:
    """Save what explains the failure, and say where it is; the machine stays for inspection."""
    lines = collect(climb)
    if climb.record.phase is not Phase.READY:  # people work in one that was ready: see `users`
        climb.advance(phase=Phase.FAILED, failure=error.message)
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
