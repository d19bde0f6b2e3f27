"""The certificate that a site really shows, which may be another than the one in its files."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from provisioner.errors import NotYet

TIMEOUT = 20.0  # seconds


def shown_until(url: str, ca: Path | None) -> datetime:
    """When the certificate at `url` expires. `ca`: its authority; None is what this system trusts.

    Raises NotYet when nobody answers, and for a chain that can't be verified.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    try:
        with (
            socket.create_connection((host, port), timeout=TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert() or {}
    except OSError as error:  # ssl's own are among them
        raise NotYet(f"no certificate can be verified at {url}: {error}") from None
    until = str(shown.get("notAfter", ""))
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC)
