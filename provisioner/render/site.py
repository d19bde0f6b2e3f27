"""What makes a bundle this workshop's site: its name, and where its certificate comes from.

These files are pushed below `commands.SECRETS` once the machine's address is known, before Caddy
starts. stack/Caddyfile reads them. Values stand in them as plain words, so what is not a plain
word is refused: nothing can break out of its place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from provisioner.errors import NotReady, UsageError
from provisioner.models import TlsOptions

SITE_ENV = "site.env"
LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"

Read = Callable[[str], bytes]
"""The content of one of the operator's files. Raises OSError."""

SITE = r"[A-Za-z0-9.:-]+"
DIRECTORY = r"https://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~:/?@!$&()*+,;=%-]*)?"
EMAIL = r"[A-Za-z0-9_][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+"
KEY_ID = r"[A-Za-z0-9._~-]+"


def site_files(site: str, tls: TlsOptions, *, read: Read) -> dict[str, bytes]:
    """Path below `commands.SECRETS` → content; every one of them is for root alone (0600).

    `site` is the host name or address that participants type. Raises UsageError for a value that
    is not what it should be, NotReady when a file of the operator's can't be read.
    """
    files = _FILES[tls.mode](tls, read)
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    values = {
        "PROVISION_SITE": _word("the site", site, SITE),
        "PROVISION_TLS": tls.mode,
        # Compose starts a service anew when its environment changes, not when a mounted file does.
        "PROVISION_TLS_FILES": digest.hexdigest()[:16],
    }
    lines = "".join(f"{key}={value}\n" for key, value in values.items())
    return {SITE_ENV: lines.encode()} | files


def directory(tls: TlsOptions) -> str:
    """The address of the ACME directory that certificates are asked from."""
    return tls.ca or (LETS_ENCRYPT_STAGING if tls.staging else LETS_ENCRYPT)


def mac_key(text: bytes) -> str:
    """An external account's HMAC key as Caddy wants it: base64url, unpadded. Raises ValueError."""
    key = text.strip().rstrip(b"=").translate(bytes.maketrans(b"+/", b"-_"))
    if not re.fullmatch(rb"[A-Za-z0-9_-]+", key):
        raise ValueError("it is not one key in base64")
    return key.decode()


def _internal(tls: TlsOptions, read: Read) -> dict[str, bytes]:
    return {}


def _acme(tls: TlsOptions, read: Read) -> dict[str, bytes]:
    """Lines for inside `issuer acme { … }`. Let's Encrypt's own directory needs no root of ours."""
    options = [("dir", _word("tls.ca", directory(tls), DIRECTORY))]
    files = {}
    if tls.email:
        options.append(("email", _word("tls.email", tls.email, EMAIL)))
    if tls.ca and tls.ca_root:
        files["tls/acme-root.pem"] = _content("tls.ca_root", tls.ca_root, read)
        options.append(("trusted_roots", "tls/acme-root.pem"))
    if tls.eab_key_id:
        key_id = _word("tls.eab_key_id", tls.eab_key_id, KEY_ID)
        options.append(("eab", f"{key_id} {_mac_key(tls.eab_key_file, read)}"))
    lines = "".join(f"{name} {value}\n" for name, value in options)
    return files | {"tls/acme.options": lines.encode()}


def _own(tls: TlsOptions, read: Read) -> dict[str, bytes]:
    return {
        "tls/certificate.pem": _content("tls.certificate", tls.certificate, read),
        "tls/key.pem": _content("tls.key", tls.key, read),
    }


_FILES = {"internal": _internal, "acme": _acme, "files": _own}


def _word(what: str, value: str, pattern: str) -> str:
    if not re.fullmatch(pattern, value):
        raise UsageError(f"{what} can't be {value!r}: it would not stay one plain word")
    return value


def _content(what: str, path: str, read: Read) -> bytes:
    try:
        return read(path)
    except OSError as error:
        raise NotReady(
            f"{what}: {path} can't be read: {error.strerror}",
            hint="put the file there, then launch again",
        ) from None


def _mac_key(path: str, read: Read) -> str:
    try:
        return mac_key(_content("tls.eab_key_file", path, read))
    except ValueError as error:
        raise UsageError(f"tls.eab_key_file: {path} can't be used: {error}") from None
