"""Certificates as browsers judge them: whose they are, until when, and in which order they stand.

Pure reading of PEM; nothing here makes or fetches one.
"""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Chain = tuple[x509.Certificate, ...]


def read_chain(pem: bytes) -> Chain:
    """The certificates of a PEM file in its order, at least one. Raises ValueError."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise ValueError(f"it is not a certificate in PEM ({error})") from None


def owned_by(key: bytes) -> bytes:
    """The public half of a private key in PEM, comparable with `owner`. Raises ValueError."""
    try:
        private = serialization.load_pem_private_key(key, None)
    except TypeError:
        raise ValueError("it is locked with a passphrase") from None
    except ValueError:
        raise ValueError("it is not a private key in PEM") from None
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def owner(certificate: x509.Certificate) -> bytes:
    """The public key that a certificate speaks for."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Host names and addresses it is for. Browsers look at nothing but these (RFC 9525)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*(host.lower() for host in hosts), *(str(address) for address in addresses))


def covers(certificate: x509.Certificate, site: str) -> bool:
    """Whether it is for `site`, a host name or an address; `*` stands for one label."""
    try:
        wanted = {str(ip_address(site))}
    except ValueError:
        _, _, domain = site.lower().partition(".")
        wanted = {site.lower(), f"*.{domain}"}
    return not wanted.isdisjoint(names_of(certificate))


def valid_at(certificate: x509.Certificate, when: datetime) -> bool:
    return certificate.not_valid_before_utc <= when < certificate.not_valid_after_utc


def in_order(chain: Chain) -> bool:
    """Whether each certificate is signed by the one after it."""
    return all(signed_by(lower, upper) for lower, upper in pairwise(chain))


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
