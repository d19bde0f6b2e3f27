"""Certificates outlive their workshop: the next launch of the same name puts them back.

Public authorities give out few certificates for the same name a week. What is kept is what Caddy
got by ACME: certificates with their keys, and the account. A workshop's own authority is not: it
is made anew for every workshop, and its key never leaves the server.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from provisioner.certificate import covers, owned_by, owner, read_chain, valid_at
from provisioner.errors import ProvisionError
from provisioner.models import TlsOptions
from provisioner.protocols import Remote
from provisioner.render import commands
from provisioner.render.site import directory
from provisioner.store import write_private
from provisioner.workflow.tools import Tools

KEPT = ("acme", "certificates")
"""Folders of Caddy's that may come and go; its `pki` with the authority's key may not."""

MANIFEST = "manifest.json"
VERSION = 1

Files = Mapping[str, bytes]
"""Path such as caddy/certificates/<issuer>/<site>/<site>.crt → content."""


@dataclass(frozen=True, slots=True)
class Saved:
    """One site's certificates and account at one ACME directory."""

    site: str
    directory: str
    files: Files


def save(tools: Tools, name: str, site: str, tls: TlsOptions, remote: Remote) -> bool:
    """Keep the certificate that `site` has now; whether there was a good one to be kept.

    An archive is replaced only by a better one. Failing is a warning: no workshop depends on it.
    """
    if tls.mode != "acme":
        return False
    sink = io.BytesIO()
    try:
        result = remote.receive(commands.archive_certificates(), sink)
        if not result.ok:
            raise ValueError(result.err.strip() or f"tar ended with {result.code}")
        files = _unpack(sink.getvalue()) if sink.getvalue() else {}
        if not _good(files, site):
            return False
        tools.store.certificates.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(_archive(tools, name), _pack(Saved(site, directory(tls), files)))
    except (ProvisionError, ValueError, OSError) as error:
        tools.reporter.warn(f"The certificate of {site} could not be kept for next time: {error}")
        return False
    return True


def restore(tools: Tools, name: str, site: str, tls: TlsOptions, remote: Remote) -> bool:
    """Give Caddy, before its first start, what an earlier launch got; whether a certificate was.

    Only for the same site from the same directory. An expired certificate stays away, the account
    comes in any case: some authorities let a key bind an account only once.
    """
    saved = _load(tools, name) if tls.mode == "acme" else None
    if saved is None or (saved.site, saved.directory) != (site, directory(tls)):
        return False
    good = _good(saved.files, site)
    files = {
        path: content
        for path, content in saved.files.items()
        if good or PurePosixPath(path).parts[1] == "acme"
    }
    archive = _tar(files)
    result = remote.run(commands.put_certificates(len(archive)), stdin=archive)
    if not result.ok:
        tools.reporter.warn(f"The kept certificate was not put back: {result.err.strip()}")
    return good and result.ok


def _archive(tools: Tools, name: str) -> Path:
    return tools.store.certificates / f"{name}.tar"


def _load(tools: Tools, name: str) -> Saved | None:
    path = _archive(tools, name)
    try:
        return _read(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        tools.reporter.warn(f"{path} can't be used, so a new certificate is asked for: {error}")
        return None


def _good(files: Files, site: str) -> bool:
    """Whether there is a certificate for `site` that is valid now, with its key."""
    now = datetime.now(UTC)
    for path in files:
        if not path.endswith(f"/{site}/{site}.crt"):
            continue
        try:
            leaf = read_chain(files[path])[0]
            key = owned_by(files.get(path.removesuffix(".crt") + ".key", b""))
        except ValueError:
            continue
        if key == owner(leaf) and covers(leaf, site) and valid_at(leaf, now):
            return True
    return False


def _pack(saved: Saved) -> bytes:
    manifest = {
        "version": VERSION,
        "site": saved.site,
        "directory": saved.directory,
        "saved_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": {path: _digest(content) for path, content in sorted(saved.files.items())},
    }
    return _tar({MANIFEST: json.dumps(manifest, indent=1).encode(), **saved.files})


def _read(archive: bytes) -> Saved:
    """Raises ValueError for anything that was not written by `_pack`, whole."""
    files = _unpack(archive, also=MANIFEST)
    try:
        manifest = json.loads(files.pop(MANIFEST))
        digests = {path: _digest(content) for path, content in files.items()}
        if manifest["version"] != VERSION or manifest["sha256"] != digests:
            raise ValueError("it is damaged")
        return Saved(str(manifest["site"]), str(manifest["directory"]), files)
    except (KeyError, TypeError):
        raise ValueError("it is damaged") from None


def _unpack(archive: bytes, *, also: str = "") -> dict[str, bytes]:
    """The files of a tar. Raises ValueError if it is damaged or holds what has no place in it."""
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or not (member.name == also or _belongs(member.name)):
                    raise ValueError(f"{member.name!r} has no place in it")
                files[member.name] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"it is damaged: {error}") from None
    return files


def _belongs(path: str) -> bool:
    """Whether a file of this name may be written into Caddy's volume."""
    parts = path.split("/")
    return (
        len(parts) > 2
        and parts[0] == "caddy"
        and parts[1] in KEPT
        and not {"", ".", ".."} & set(parts)
    )


def _tar(files: Files) -> bytes:
    """A plain tar: regular files, readable by their owner alone; equal files give equal bytes."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
