"""What `doctor` sees of this computer itself: folders, memory, programs, clock, names, records."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from provisioner import sizing
from provisioner.models import GIB, Finding, Findings, Phase, Severity
from provisioner.settings import QUAY_NOTEBOOK, Settings
from provisioner.store import CorruptRecord, Store
from provisioner.workflow.launch import is_over, local_time

SKEW = 60.0
"""Seconds that a clock may be wrong. Certificates that were just made are valid from now on."""

PATIENCE = 5.0  # seconds for each answer from the network
STALE = timedelta(hours=1)
"""Half a folder that is older than this belongs to no command that still runs."""


def home(store: Store) -> Iterator[Finding]:
    """Writable, and nobody else's to read: passwords and keys lie there."""
    path = store.home
    parent = next(folder for folder in (path, *path.parents) if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        yield Finding(
            Severity.ERROR,
            "home",
            f"{path} can't be written",
            "set PROVISION_HOME to a folder that you may write to",
        )
        return
    if parent == path and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
        yield Finding(
            Severity.WARNING,
            "home",
            f"{path} may be read by others (mode {mode:03o}); passwords and keys lie there",
            f"chmod 700 {path}\nor: provision doctor --fix",
        )
    else:
        yield Finding(Severity.INFO, "home", str(path))
    free = shutil.disk_usage(parent).free
    if free < GIB:
        yield Finding(
            Severity.WARNING,
            "disk",
            f"{parent} has {sizing.format_size(free)} free; participants' files come home to it",
            "make room, or set PROVISION_HOME to another disk",
        )
    else:
        yield Finding(Severity.INFO, "disk", f"{sizing.format_size(free)} free in {parent}")


def stray_folders(store: Store) -> list[Path]:
    """Half-made and half-deleted folders of workshops that a killed command left."""
    if not store.home.is_dir():
        return []
    old = time.time() - STALE.total_seconds()
    return sorted(
        path
        for pattern in (".new-*", ".gone-*")
        for path in store.home.glob(pattern)
        if path.is_dir() and path.stat().st_mtime < old
    )


def mend(store: Store) -> list[str]:
    """What may be mended without asking; says what was done."""
    done = []
    if store.home.is_dir() and stat.S_IMODE(store.home.stat().st_mode) & 0o077:
        store.home.chmod(0o700)
        done.append(f"{store.home} is yours alone now")
    for path in stray_folders(store):
        shutil.rmtree(path, ignore_errors=True)
        done.append(f"{path} is deleted")
    return done


def records(store: Store) -> Iterator[Finding]:
    """Workshops that need somebody: over, failed, or not to be understood."""
    for name in store.names():
        try:
            record = store.load(name)
        except CorruptRecord as error:
            yield Finding(Severity.WARNING, "workshops", error.message, error.hint)
            continue
        if record is None:
            message = f"the folder of {name!r} has no record"
            yield Finding(Severity.WARNING, "workshops", message, f"provision teardown {name}")
        elif is_over(record):
            yield Finding(
                Severity.WARNING,
                "workshops",
                f"{name!r} ended at its deadline, {local_time(record.expires_at)}, and was not "
                "torn down",
                f"provision teardown {name} brings what is left home",
            )
        elif record.phase is Phase.FAILED:
            message = f"{name!r} did not get ready, and is kept for a look"
            hint = f"provision status {name}\nor: provision teardown {name}"
            yield Finding(Severity.WARNING, "workshops", message, hint)
    if strays := stray_folders(store):
        yield Finding(
            Severity.WARNING,
            "home",
            f"killed commands left {len(strays)} half-made folders in {store.home}",
            "provision doctor --fix deletes them",
        )


def programs(settings: Settings) -> Iterator[Finding]:
    if shutil.which("ssh") is None:
        message = "there is no ssh command; launch works without, ssh, exec and logs -f do not"
        yield Finding(Severity.WARNING, "ssh", message, "install openssh-client")
    source = settings.materials.source
    if shutil.which("git") is None:
        needed = bool(source) and not Path(source).is_dir()
        yield Finding(
            Severity.ERROR if needed else Severity.INFO,
            "git",
            "there is no git command; materials that are a git repository need it",
            "install git" if needed else "",
        )


def memory(settings: Settings) -> Iterator[Finding]:
    """Whether that is enough is said where the machine is planned; this says what there is."""
    if settings.provider != "local":
        return
    free, share = psutil.virtual_memory().available, settings.limits().memory
    fit = sizing.people_that_fit(free, share=share, system=sizing.SYSTEM_MEMORY)
    yield Finding(
        Severity.INFO,
        "memory",
        f"{sizing.format_size(free)} free: room for {max(0, fit)} people with "
        f"{sizing.format_size(share)} each",
    )


def port(settings: Settings) -> Iterator[Finding]:
    """The one that participants type, where it is chosen for them."""
    if settings.provider != "local" or settings.local.https_port:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.local.bind, 8443))
        except OSError:
            yield Finding(
                Severity.INFO,
                "port",
                f"8443 on {settings.local.bind} is taken; the next free one will be used",
                "local.https_port chooses one",
            )
        else:
            yield Finding(Severity.INFO, "port", f"8443 on {settings.local.bind} is free")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a web server said, as far as it matters here."""

    date: datetime | None = None  # its clock
    trouble: str = ""
    certificate: bool = False  # the trouble is that it could not be verified


def listen(url: str) -> Heard:
    """Ask for the head of `url`, verified as always."""
    try:
        with httpx.Client(verify=ssl.create_default_context(), timeout=PATIENCE) as client:
            said = client.get(url).headers.get("date", "")
    except httpx.HTTPError as error:
        return Heard(trouble=str(error), certificate="CERTIFICATE_VERIFY_FAILED" in str(error))
    except OSError as error:
        return Heard(trouble=str(error))
    try:
        return Heard(parsedate_to_datetime(said))
    except ValueError:
        return Heard()


def network(settings: Settings, now: datetime | None = None) -> Findings:
    """Names, certificates and clock, told from the servers that a launch needs."""
    registry = f"https://{QUAY_NOTEBOOK.split('/', 1)[0]}/v2/"
    urls = [registry, *filter(None, [settings.network.pip_index or pip_default()])]
    heard = [listen(url) for url in urls]
    return (
        *_registry(registry, heard[0]),
        *_names(urls, heard),
        *_certificates(urls, heard),
        *_clock(heard, now or datetime.now(UTC)),
    )


def pip_default() -> str:
    """Where pip goes by itself, as its help says; "" where there is no pip."""
    words = [sys.executable, "-m", "pip", "install", "--help"]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    found = re.search(r"\(default\s+(https://[^\s)]+)\)", said)
    return found[1] if found else ""


def _registry(url: str, heard: Heard) -> Iterator[Finding]:
    host = urlsplit(url).hostname
    words = (
        f"{host} does not answer: notebook images are built from Debian packages"
        if heard.trouble
        else f"{host} answers: notebook images start from {QUAY_NOTEBOOK}"
    )
    yield Finding(Severity.INFO, "registry", words)


def _names(urls: list[str], heard: list[Heard]) -> Iterator[Finding]:
    """Only when nothing answers: through a web proxy names need not be known here."""
    if not all(item.trouble for item in heard):
        return
    hosts = [urlsplit(url).hostname or "" for url in urls]
    if any(resolves(host) for host in hosts):
        return
    yield Finding(
        Severity.WARNING,
        "names",
        f"no address is known of {' or '.join(hosts)}: this computer can't look up names, or has "
        "no way out",
        "check the network and /etc/resolv.conf; an institution's mirrors go into [network]",
    )


def resolves(host: str) -> bool:
    """Whether the system's own resolver knows an address, within PATIENCE."""
    found: list[object] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(host, 443))
        except OSError:
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return bool(found)


def _certificates(urls: list[str], heard: list[Heard]) -> Iterator[Finding]:
    for url, item in zip(urls, heard, strict=True):
        if item.certificate:
            yield Finding(
                Severity.WARNING,
                "certificates",
                f"{urlsplit(url).hostname} shows one that this computer can't verify: a network "
                "that inspects TLS, or a clock that is wrong",
                "have the institution's authority installed on this computer, or point "
                "SSL_CERT_FILE at a bundle that has it",
            )


def _clock(heard: list[Heard], now: datetime) -> Iterator[Finding]:
    dates = [item.date for item in heard if item.date]
    if not dates:
        yield Finding(Severity.INFO, "clock", "nobody answers to compare it with")
        return
    ahead = min(((now - date).total_seconds() for date in dates), key=abs)
    if abs(ahead) <= SKEW:
        yield Finding(Severity.INFO, "clock", "is right")
        return
    yield Finding(
        Severity.WARNING,
        "clock",
        f"is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}: certificates, AWS and the "
        "deadline go by it",
        "sudo timedatectl set-ntp true",
    )
