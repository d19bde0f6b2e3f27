"""Certificate authorities that only this institution trusts: they must be inside the machine too.

Networks that inspect TLS sign everything with a private authority. The operator's computer knows
it; pip and npm in a build do not, unless they are told.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path

import certifi

from provisioner.errors import UsageError
from provisioner.models import Network

SYSTEM_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Arch, openSUSE
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # Fedora
)
DISTRIBUTED = Path("/usr/share/ca-certificates")
"""What the distribution brings; anything an administrator adds lies elsewhere."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


def private_authorities(network: Network) -> dict[str, bytes]:
    """File name → PEM of each authority to add, in a fixed order.

    Raises UsageError when `network.ca_bundle` names a file that holds no certificates.
    """
    if not network.ca_bundle:
        return {}
    if network.ca_bundle == "auto":
        named = os.environ.get("SSL_CERT_FILE")
        bundles = [Path(named)] if named else SYSTEM_BUNDLES
        trusted = certificates([bundle for bundle in bundles if bundle.is_file()][:1])
    else:
        trusted = _given(Path(network.ca_bundle))
    public = certificates([Path(certifi.where()), *sorted(DISTRIBUTED.rglob("*.crt"))])
    return {
        f"provision-{fingerprint[:16]}.crt": pem.encode()
        for fingerprint, pem in sorted(trusted.items())
        if fingerprint not in public
    }


def context(network: Network) -> ssl.SSLContext:
    """What this computer believes when it downloads: its own store, the public ones, and yours."""
    made = ssl.create_default_context()  # minds SSL_CERT_FILE
    made.load_verify_locations(certifi.where())  # some Pythons come without a store
    if network.ca_bundle not in {"", "auto"}:
        given = "\n".join(_given(Path(network.ca_bundle)).values())
        made.load_verify_locations(cadata=given)
    return made


def certificates(files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each certificate in `files` → its PEM."""
    return {
        hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest(): pem + "\n"
        for pem in _blocks(files)
    }


def _blocks(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        yield from _CERTIFICATE.findall(file.read_text(encoding="utf-8", errors="replace"))


def _given(file: Path) -> dict[str, str]:
    try:
        found = certificates([file])
    except (OSError, ValueError) as error:
        raise UsageError(f"network.ca_bundle: {file} cannot be read: {error}") from None
    if not found:
        raise UsageError(
            f"network.ca_bundle: {file} holds no certificate", hint="PEM is what is needed"
        )
    return found
