"""From what was asked to what will be made: the draft of a workshop, before anything exists."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioner import keys, sizing
from provisioner.errors import ProvisionError, Refused
from provisioner.models import (
    Credential,
    Finding,
    Findings,
    Limits,
    Phase,
    Quote,
    Secret,
    Severity,
    Size,
    Spec,
)
from provisioner.protocols import HasCapacity, Provider, Quotes
from provisioner.render.bundle import render_bundle
from provisioner.render.known_hosts import pinned_keys
from provisioner.render.materials import about
from provisioner.render.userdata import render_user_data
from provisioner.settings import Settings, parse_expiry, recorded
from provisioner.store import Folder, Record, Store, credentials_csv, read_credentials
from provisioner.tls import check_tls
from provisioner.workflow import materials
from provisioner.workflow.measured import measure
from provisioner.workflow.tools import Tools

MANY_CORES = 64
NOT_RECORDED: Any = {"sheet": {"wifi_password"}}
"""A record holds no secret. Cards are printed where workshop.toml is, which has this one."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A workshop that exists on paper: its record, its secrets, and the machine's spec."""

    record: Record
    spec: Spec
    credentials: tuple[Credential, ...]
    files: dict[str, str]  # of the workshop's folder


def site_of(hostname: str, address: str) -> str:
    """What participants type, without the port: the name, or the machine's address."""
    if hostname:
        return hostname
    return "localhost" if address in {"127.0.0.1", "::1"} else address


def draft(
    store: Store, provider: Provider, settings: Settings, *, base_image: str, data: int = 0
) -> Draft:
    """Everything of a new workshop, made in memory; nothing is written.

    `data` is the size of what is shared, in bytes: see measured.py.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    people = settings.people()
    record = Record(
        id=keys.new_workshop_id(),
        name=settings.name,
        provider=provider.name,
        phase=Phase.PREPARING,
        created_at=now,
        expires_at=parse_expiry(settings.expires, now=now),
        people=people,
        site=settings.dns.hostname,
        settings=settings.model_dump(mode="json", exclude=NOT_RECORDED),
        base_image=base_image,
        data_bytes=data,
    )
    credentials = keys.new_credentials(people, shared=settings.login.mode == "shared")
    own, host = keys.new_key_pair(), keys.new_key_pair()
    folder = store.folder(settings.name)
    files = {
        folder.ssh_key.name: str(own.private),
        folder.ssh_key.name + ".pub": own.public + "\n",
        folder.host_key.name: str(host.private),
        folder.known_hosts.name: f"* {host.public}\n",
        folder.credentials.name: credentials_csv(credentials, ""),
    }
    spec = make_spec(record, settings, folder, provider, own.public, host)
    return Draft(record, spec, credentials, files)


def outline(
    store: Store, provider: Provider, settings: Settings, *, base_image: str, data: int = 0
) -> Draft:
    """What a launch would make, or go on with when there is a workshop of this name."""
    record = store.load(settings.name)
    if record is None:
        return draft(store, provider, settings, base_image=base_image, data=data)
    folder = store.folder(record.name)
    credentials = read_credentials(folder.credentials, record.people)
    spec = respec(record, recorded(record.settings), folder, provider)
    return Draft(record, spec, credentials, {})


def make_spec(
    record: Record,
    settings: Settings,
    folder: Folder,
    provider: Provider,
    ssh_public_key: str,
    host: keys.KeyPair,
) -> Spec:
    bundle = render_bundle(
        name=record.name,
        limits=settings.limits(),
        environment=settings.environment_for(record.base_image),
        network=settings.network_options(),
        data=settings.data_sources(),
        culling=settings.culling_options(),
        materials=about(settings.materials_source()),
        notices=settings.notice.before,
    )
    return Spec(
        id=record.id,
        name=record.name,
        folder=folder.path,
        size=machine_size(settings, provider, record.data_bytes),
        user_data=render_user_data(
            name=record.name,
            id=record.id,
            expires_at=record.expires_at,
            ssh_public_key=ssh_public_key,
            host_key_private=str(host.private),
            host_key_public=host.public,
        ),
        bundle=bundle,
        environment=settings.environment_for(record.base_image),
        network=settings.network_options(),
        expires_at=record.expires_at,
        owner=f"{getpass.getuser()}@{platform.node()}",
        hostname=settings.dns.hostname,
        local=settings.local_options(),
        aws=settings.aws_options(),
        host=settings.host_options(),
    )


def respec(record: Record, settings: Settings, folder: Folder, provider: Provider) -> Spec:
    """The spec of a workshop that has a folder; its keys are read, never made anew."""
    public = folder.path.joinpath(folder.ssh_key.name + ".pub").read_text(encoding="utf-8").strip()
    try:
        private = folder.host_key.read_text(encoding="utf-8")
        pinned = pinned_keys(folder.known_hosts.read_text(encoding="utf-8"))[0]
        host = keys.KeyPair(Secret(private), pinned)
    except FileNotFoundError:
        # Replaced on first contact, so the machine made its own: this one is never used again.
        host = keys.new_key_pair()
    return make_spec(record, settings, folder, provider, public, host)


def machine_size(settings: Settings, provider: Provider, data: int) -> Size:
    cores = provider.available().cores if isinstance(provider, HasCapacity) else MANY_CORES
    people, limits = len(settings.people()), settings.limits()
    return sizing.machine_for(people, limits, cores=cores, data=data)


def check(tools: Tools, settings: Settings, spec: Spec) -> Findings:
    """Every finding about this draft: ours about people and folders, then the edges'."""
    provider, dns, hostname = tools.provider, tools.dns, settings.dns.hostname
    tls, now = settings.tls_options(), datetime.now(UTC)
    site = site_of(hostname, settings.local.bind if settings.provider == "local" else "")
    return (
        *_check_data(tools, settings),
        *materials.check(tools, settings),
        *_check_capacity(settings, provider, spec),
        *provider.check(spec),
        *check_tls(tls, site, now, _read, until=spec.expires_at),
        *(dns.check(hostname, spec.id) if dns is not None and hostname else ()),
    )


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def quote(tools: Tools, spec: Spec) -> Quote | None:
    """What it would cost; None where nothing costs, or where a finding says why it can't be."""
    if not isinstance(tools.provider, Quotes):
        return None
    try:
        return tools.provider.quote(spec)
    except ProvisionError:
        return None


def errors(findings: Findings) -> list[Finding]:
    return [item for item in findings if item.severity is Severity.ERROR]


def refuse_errors(
    findings: Findings, *, name: str, warn: Callable[[str], None] = lambda _: None
) -> None:
    """Raises Refused with every error among `findings`, not just the first. Warnings are told."""
    for item in findings:
        if item.severity is Severity.WARNING:
            warn(f"{item.subject}: {item.message}")
    found = errors(findings)
    if not found:
        return
    hints = [item.hint for item in found if item.hint]
    raise Refused(
        f"Workshop {name!r} was not launched; nothing was created:",
        details=tuple(f"{item.subject}: {item.message}" for item in found),
        hint=hints[0] if hints else "",
    )


def _check_data(tools: Tools, settings: Settings) -> Findings:
    return tuple(
        finding for source in settings.data_sources() for finding in measure(tools, source).findings
    )


def _check_capacity(settings: Settings, provider: Provider, spec: Spec) -> Findings:
    if not isinstance(provider, HasCapacity) or provider.find(spec.id) is not None:
        return ()  # a machine that exists has its share already
    people, limits, free = len(settings.people()), settings.limits(), provider.available()
    findings = []
    if people * limits.memory + sizing.SYSTEM_MEMORY > free.memory:
        fit = sizing.people_that_fit(free.memory, share=limits.memory, system=sizing.SYSTEM_MEMORY)
        share = sizing.share_that_fits(free.memory, people, system=sizing.SYSTEM_MEMORY)
        findings.append(
            Finding(
                Severity.ERROR,
                "memory",
                f"{sizing.explain_memory(people, limits)}; this machine has "
                f"{sizing.format_size(free.memory)} free: {_fit(fit, settings)}",
                _ways_out(share, "--memory", "memory"),
            )
        )
    if spec.size.disk > free.disk:
        data = sizing.data_on(spec.size.disk, people, limits)
        fit = sizing.people_on_disk(free.disk, limits, data)
        share = sizing.share_on_disk(free.disk, people, limits, data)
        findings.append(
            Finding(
                Severity.ERROR,
                "disk",
                f"{sizing.explain_disk(people, limits, data)}; this machine has "
                f"{sizing.format_size(free.disk)} free: {_fit(fit, settings)}",
                _ways_out(share, "--disk", "disk"),
            )
        )
    return tuple(findings)


def _fit(people: int, settings: Settings) -> str:
    participants = max(0, people - len(settings.login.admins))
    admins = ", ".join(settings.login.admins)
    return f"{participants} people fit" + (f" beside {admins}" if admins else "")


MINIMUM = Limits(memory=256 * 1024**2, cpu=0.1, disk=256 * 1024**2)


def _ways_out(share: int, flag: str, what: str) -> str:
    if share >= getattr(MINIMUM, what):
        return f"fewer --users, or {flag} {sizing.flag_size(share)} for each, or --provider aws"
    return "fewer --users, or --provider aws"


def data_paths(settings: Settings) -> tuple[str, ...]:
    return tuple(folder.path for folder in settings.data_sources())
