"""The only place where edges are joined to the order of events."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import platformdirs

from provisioner.errors import ProvisionError, UsageError
from provisioner.models import Credential, DnsOptions, HostOptions, Server
from provisioner.protocols import Crowd, Dns, Provider, Reporter
from provisioner.render.known_hosts import pinned_keys
from provisioner.settings import (
    NAME,
    QUAY_NOTEBOOK,
    Settings,
    load,
    recorded_place,
)
from provisioner.sources import Sources
from provisioner.sources.git import Git
from provisioner.store import CorruptRecord, Folder, Record, Store
from provisioner.workflow.tools import Connect, Tools, Web


def home() -> Path:
    """$PROVISION_HOME, or the platform's user data folder."""
    return Path(os.environ.get("PROVISION_HOME") or platformdirs.user_data_dir("provision"))


def image_folder() -> Path:
    """$PROVISION_CACHE/images, or the platform's cache folder: golden images, shared by all."""
    cache = os.environ.get("PROVISION_CACHE") or platformdirs.user_cache_dir("provision")
    return Path(cache) / "images"


@dataclass(frozen=True, slots=True)
class Edges:
    provider: Provider
    connect: Connect
    web: Web


class _HttpWeb:
    def healthy(self, url: str, ca: Path | None) -> None:
        from provisioner.remote.hub import Site, healthy

        healthy(Site(url, ca))

    def certificate_until(self, url: str, ca: Path | None) -> datetime:
        from provisioner.remote.certificate import shown_until

        return shown_until(url, ca)

    def visitor(self, url: str, ca: Path | None, credential: Credential) -> Any:
        from provisioner.remote.hub import Participant, Site

        return Participant(Site(url, ca), credential.person.username, str(credential.password))


def _ssh(server: Server, folder: Folder) -> Any:
    from provisioner.remote.ssh import Shell

    pins = pinned_keys(folder.known_hosts.read_text(encoding="utf-8"))
    return Shell.connect(server.ssh_host, server.ssh_port, key=folder.ssh_key, pins=pins)


def _local(asked: Settings, reporter: Reporter) -> Edges:
    from provisioner.providers.local import LocalProvider

    return Edges(LocalProvider(home=home(), images=image_folder()), _ssh, _HttpWeb())


def _aws(asked: Settings, reporter: Reporter) -> Edges:
    from provisioner.providers.aws import AwsProvider

    provider = AwsProvider(home(), asked.aws_options(), tell=reporter.note)

    def connect(server: Server, folder: Folder) -> Any:
        if record := record_of(folder.path.name):
            with suppress(ProvisionError):  # SSH itself says what is wrong
                provider.admit(record.id)
        return _ssh(server, folder)

    return Edges(provider, connect, _HttpWeb())


def _host(asked: Settings, reporter: Reporter) -> Edges:
    from provisioner.providers.host import HostProvider
    from provisioner.remote.own import connect_own, own_target

    def connect(machine: HostOptions) -> Any:
        return connect_own(machine.address, machine.port)

    def locate(machine: HostOptions) -> str:
        host = own_target(machine.address, machine.port).host
        try:
            return socket.gethostbyname(host)
        except OSError:
            return host

    provider = HostProvider(
        connect=connect, machines=lambda: _machines(asked.host_options()), locate=locate
    )
    return Edges(provider, lambda server, folder: connect(asked.host_options()), _HttpWeb())


def _machines(named: HostOptions) -> list[HostOptions]:
    """The one that was named, else those of all records."""
    if named.address:
        return [named]
    records = [record for name in Store(home()).names() if (record := record_of(name))]
    machines = []
    for record in records:
        if record.provider == "host":
            with suppress(ProvisionError):  # one that can't be read must not hide the others
                machines.append(recorded_place(record.settings).host_options())
    return machines


def _fake(asked: Settings, reporter: Reporter) -> Edges:
    from provisioner.providers.fake import FakeCloud

    cloud = FakeCloud(Path(os.environ.get("PROVISION_FAKE_CLOUD") or home() / ".fake"))
    return Edges(cloud.provider, cloud.connect, cloud)


PROVIDERS: Mapping[str, Callable[[Settings, Reporter], Edges]] = {
    "local": _local,
    "aws": _aws,
    "host": _host,
    "fake": _fake,
}
OFFERED = ("local", "aws", "host")  # fake is for tests


PATIENCE = 30.0
"""Seconds that a command waits for another one on the same workshop."""


def tools(asked: Settings, reporter: Reporter) -> Tools:
    """The edges that `asked` names. Raises UsageError for a name that is none."""
    if asked.provider not in PROVIDERS:
        raise UsageError(
            f"{asked.provider!r} is not a provider of this version",
            hint=f"--provider {', '.join(OFFERED)}",
        )
    edges = PROVIDERS[asked.provider](asked, reporter)
    store = Store(home(), patience=PATIENCE, tell=reporter.note)
    downloads = Sources(profile=asked.aws.profile)
    return Tools(
        store,
        edges.provider,
        edges.connect,
        edges.web,
        reporter,
        dns_of(asked),
        downloads,
        repositories=Git(),
    )


def crowd() -> Crowd:
    """Many participants, played by this computer."""
    from provisioner.remote.crowd import attend

    return attend


def dns_of(asked: Settings) -> Dns | None:
    """Who keeps the workshop's name; None where nobody does."""
    options = asked.dns_options()
    if options.provider == "none":
        return None
    from provisioner import dns

    return dns.make(options, profile=asked.aws.profile)


def with_names(made: Tools, asked: Settings) -> Tools:
    """For looking after a whole account: where it keeps names too, they are looked at as well."""
    if made.dns is not None or asked.provider != "aws":
        return made
    from provisioner import dns

    keeper = dns.make(DnsOptions(provider="route53"), profile=asked.aws.profile)
    return replace(made, dns=keeper)


def settings(
    config: Path | None, flags: Mapping[str, Any], *, only: Collection[str] | None = None
) -> Settings:
    """`only` these keys matter; see `load`."""
    return load(flags, file=config, environ=os.environ, only=only, tell=warn)


def warn(text: str) -> None:
    """To the human, where no tools have been made yet."""
    from provisioner.cli.output import ConsoleReporter

    ConsoleReporter().warn(text)


def has_record(name: str) -> bool:
    """Whether this computer knows a workshop of this name, readable or not."""
    return NAME.fullmatch(name) is not None and record_file(name).exists()


def record_file(name: str) -> Path:
    return Store(home()).folder(name).record


def record_of(name: str) -> Record | None:
    """The record, if it can be read; a verb that needs more asks the store itself."""
    try:
        return Store(home()).load(name)
    except CorruptRecord:
        return None


ELSEWHERE = frozenset({"aws"})
"""Providers whose machines reach the world by themselves: this network says nothing of theirs."""


def base_image(asked: Settings, reporter: Reporter) -> str:
    """What `environment.base_image` comes to: "auto" asks whether the registry answers."""
    wanted = asked.environment.base_image
    if wanted != "auto":
        return "" if wanted == "debian" else wanted
    registry = QUAY_NOTEBOOK.split("/", 1)[0]
    if asked.provider in ELSEWHERE or registry_answers(registry):
        return QUAY_NOTEBOOK
    reporter.note(f"{registry} does not answer from here: building the notebook image from Debian")
    return ""


def registry_answers(host: str) -> bool:
    import ssl

    import httpx

    try:
        with httpx.Client(verify=ssl.create_default_context(), timeout=5) as client:
            return client.get(f"https://{host}/v2/").status_code in {200, 401}
    except (httpx.HTTPError, OSError):
        return False


def private_authorities(asked: Settings) -> int:
    """How many this computer trusts that nobody else does. Raises UsageError."""
    from provisioner.providers.local import trust

    return len(trust.private_authorities(asked.network_options()))


@dataclass(frozen=True, slots=True)
class Account:
    """What AWS says of the operator's account; empty where nobody is signed in, or it is slow."""

    who: str = ""
    region: str = ""
    regions: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    trouble: str = ""  # why there is nothing


LOOK_SECONDS = 10.0


def aws_account(profile: str = "") -> Account:
    """For questions: answers within LOOK_SECONDS, and never fails."""
    from provisioner.dns.route53 import Route53Dns
    from provisioner.providers.aws import account
    from provisioner.providers.aws.clients import Clients

    clients = Clients(profile=profile)
    keeper = Route53Dns(DnsOptions(provider="route53"), profile=profile)
    found: dict[str, Any] = {}

    def look() -> None:
        try:
            found["who"] = account.who(clients)
        except Exception as error:  # whatever it is, there are questions to go on with
            found["trouble"] = getattr(error, "message", str(error))
            return
        with suppress(Exception):
            found["region"] = account.usual_region(clients)
            found["regions"] = tuple(account.regions(clients))
        with suppress(Exception):
            found["zones"] = tuple(keeper.zones())

    answered = threading.Thread(target=look, daemon=True)
    answered.start()
    answered.join(LOOK_SECONDS)
    if not found:
        found["trouble"] = f"AWS did not answer within {LOOK_SECONDS:.0f} s"
    return Account(**dict(found))
