"""The only place where edges are joined to the order of events."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from provisioner.errors import UsageError
from provisioner.models import Credential, Server
from provisioner.protocols import Provider, Reporter
from provisioner.render.known_hosts import pinned_keys
from provisioner.settings import QUAY_NOTEBOOK, Settings, load
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

    def visitor(self, url: str, ca: Path | None, credential: Credential) -> Any:
        from provisioner.remote.hub import Participant, Site

        return Participant(Site(url, ca), credential.person.username, str(credential.password))


def _ssh(server: Server, folder: Folder) -> Any:
    from provisioner.remote.ssh import Shell

    pins = pinned_keys(folder.known_hosts.read_text(encoding="utf-8"))
    return Shell.connect(server.ssh_host, server.ssh_port, key=folder.ssh_key, pins=pins)


def _local() -> Edges:
    from provisioner.providers.local import LocalProvider

    return Edges(LocalProvider(home=home(), images=image_folder()), _ssh, _HttpWeb())


def _fake() -> Edges:
    from provisioner.providers.fake import FakeCloud

    cloud = FakeCloud(Path(os.environ.get("PROVISION_FAKE_CLOUD") or home() / ".fake"))
    return Edges(cloud.provider, cloud.connect, cloud)


PROVIDERS: Mapping[str, Callable[[], Edges]] = {"local": _local, "fake": _fake}
OFFERED = ("local",)  # fake is for tests


def tools(provider: str, reporter: Reporter) -> Tools:
    """The edges of one provider. Raises UsageError for a name that is none."""
    if provider not in PROVIDERS:
        raise UsageError(
            f"{provider!r} is not a provider of this version",
            hint=f"--provider {' or '.join(OFFERED)}",
        )
    edges = PROVIDERS[provider]()
    return Tools(Store(home()), edges.provider, edges.connect, edges.web, reporter)


def settings(config: Path | None, flags: Mapping[str, Any]) -> Settings:
    return load(flags, file=config, environ=os.environ)


def record_of(name: str) -> Record | None:
    """The record, if it can be read; a verb that needs more asks the store itself."""
    try:
        return Store(home()).load(name)
    except CorruptRecord:
        return None


def base_image(asked: str, reporter: Reporter) -> str:
    """What `environment.base_image` comes to: "auto" asks whether the registry answers."""
    if asked != "auto":
        return "" if asked == "debian" else asked
    registry = QUAY_NOTEBOOK.split("/", 1)[0]
    if registry_answers(registry):
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
