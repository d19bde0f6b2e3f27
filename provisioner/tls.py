"""Whether the site's certificate can come to be, found out before anything costs money.

Every finding that a file alone can show; whether the ACME server agrees is known only later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from ipaddress import ip_address
from typing import TypeVar

from provisioner.certificate import (
    Chain,
    covers,
    in_order,
    names_of,
    owned_by,
    owner,
    read_chain,
    signed_by,
    valid_at,
)
from provisioner.models import Finding, Findings, Severity, TlsOptions
from provisioner.render.site import Read, mac_key

STAGING_ROOTS = "https://letsencrypt.org/docs/staging-environment/"
T = TypeVar("T")


def check_tls(
    tls: TlsOptions, hostname: str, now: datetime, read: Read, *, until: datetime
) -> Findings:
    """All findings. `hostname` is what participants will type, "" while that is not known.

    `until` is the workshop's deadline, which the certificate must outlive.
    """
    return tuple(_CHECKS[tls.mode](tls, hostname, now, until, read))


def _check_nothing(*_: object) -> Iterator[Finding]:
    yield from ()


def _check_acme(
    tls: TlsOptions, hostname: str, now: datetime, until: datetime, read: Read
) -> Iterator[Finding]:
    if not _can_be_looked_up(hostname):
        yield _error(
            "tls.mode",
            f"acme needs a host name that leads here; participants would type "
            f"{hostname or 'an address'}",
            'set dns.hostname and dns.provider in workshop.toml, or tls.mode = "internal"',
        )
    if tls.staging and not tls.ca_root:
        yield _error(
            "tls.staging",
            "nothing trusts Let's Encrypt's staging certificates, so HTTPS could not be verified",
            f"download its roots from {STAGING_ROOTS} into one PEM file and name it as tls.ca_root",
        )
    if tls.ca_root:
        _, findings = _load("tls.ca_root", tls.ca_root, read, read_chain)
        yield from findings
    if tls.eab_key_file:
        _, findings = _load("tls.eab_key_file", tls.eab_key_file, read, mac_key)
        yield from findings


def _check_files(
    tls: TlsOptions, hostname: str, now: datetime, until: datetime, read: Read
) -> Iterator[Finding]:
    chain, bad_chain = _load("tls.certificate", tls.certificate, read, read_chain)
    key, bad_key = _load("tls.key", tls.key, read, owned_by)
    roots, bad_roots = (
        _load("tls.ca_root", tls.ca_root, read, read_chain) if tls.ca_root else ((), ())
    )
    yield from (*bad_chain, *bad_key, *bad_roots)
    if chain is None:
        return
    if key is not None and key != owner(chain[0]):
        yield from _wrong_key(chain, key)
    yield from _wrong_chain(chain, roots or ())
    yield from _wrong_name(chain, hostname)
    yield from _wrong_time(chain, now, until)


def _wrong_key(chain: Chain, key: bytes) -> Iterator[Finding]:
    if any(key == owner(item) for item in chain):
        yield _error(
            "tls.certificate",
            "the key's own certificate is not the first in the file",
            "reorder it: first your certificate, then the one that signed it, and so on",
        )
    else:
        yield _error(
            "tls.key",
            "the key does not belong to the certificate",
            "name the key that the certificate was asked for with",
        )


def _wrong_chain(chain: Chain, roots: Chain) -> Iterator[Finding]:
    last = chain[-1]
    if not in_order(chain):
        yield _error(
            "tls.certificate",
            "the certificates of the file are not each signed by the one after",
            "reorder it: first your certificate, then the one that signed it, and so on",
        )
    elif roots and last not in roots and not any(signed_by(last, root) for root in roots):
        yield _error(
            "tls.ca_root",
            "it did not sign the last certificate of tls.certificate",
            "add the certificates in between to tls.certificate, or name the right ca_root",
        )
    elif len(chain) == 1 and not roots and not signed_by(last, last):
        yield Finding(
            Severity.WARNING,
            "tls.certificate",
            "it stands alone; browsers refuse it unless a root that they know signed it directly",
            "append the authority's intermediate certificate (often called chain or fullchain)",
        )
    elif not roots and signed_by(last, last):
        yield Finding(
            Severity.WARNING,
            "tls.certificate",
            "its authority is its own; verified only where this system trusts it",
            "name the authority's certificate as tls.ca_root",
        )


def _wrong_name(chain: Chain, hostname: str) -> Iterator[Finding]:
    if not hostname:
        yield _error(
            "tls.certificate",
            "it is for a name, and participants would type an address that is not known yet",
            "set dns.hostname in workshop.toml",
        )
    elif not covers(chain[0], hostname):
        names = ", ".join(names_of(chain[0])) or "nothing"
        yield _error(
            "tls.certificate",
            f"it is for {names}, and not for {hostname}",
            "set dns.hostname to a name that it covers, or get another certificate",
        )


def _wrong_time(chain: Chain, now: datetime, until: datetime) -> Iterator[Finding]:
    begin, end = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
    if end <= now:
        yield _error("tls.certificate", f"it expired on {end:%d %b %Y %H:%M} UTC", _RENEW)
    elif begin > now:
        yield _error(
            "tls.certificate", f"it is not valid before {begin:%d %b %Y %H:%M} UTC", _RENEW
        )
    elif not valid_at(chain[0], until):
        yield _error(
            "tls.certificate",
            f"it expires on {end:%d %b %Y %H:%M} UTC, before the workshop ends",
            f"{_RENEW}, or choose an earlier --expires",
        )


_CHECKS: dict[str, Callable[[TlsOptions, str, datetime, datetime, Read], Iterator[Finding]]] = {
    "internal": _check_nothing,
    "acme": _check_acme,
    "files": _check_files,
}
_RENEW = "renew the certificate"


def _load(
    subject: str, path: str, read: Read, parse: Callable[[bytes], T]
) -> tuple[T | None, Findings]:
    """What is in the file, or the finding that says why it can't be used."""
    try:
        return parse(read(path)), ()
    except OSError as error:
        why = f"{path} can't be read: {error.strerror}"
    except ValueError as error:
        why = f"{path} can't be used: {error}"
    return None, (_error(subject, why, f"put the right file there, or change {subject}"),)


def _error(subject: str, message: str, hint: str) -> Finding:
    return Finding(Severity.ERROR, subject, message, hint)


def _can_be_looked_up(hostname: str) -> bool:
    try:
        ip_address(hostname)
    except ValueError:
        return hostname not in {"", "localhost"}
    return False
