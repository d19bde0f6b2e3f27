"""A certificate authority of the tests' own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(item.public_bytes(serialization.Encoding.PEM) for item in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes = b"") -> bytes:
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else None
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        locked or serialization.NoEncryption(),
    )


class Authority:
    """Signs certificates; `above` makes it an intermediate of another authority."""

    def __init__(self, name: str, above: Authority | None = None) -> None:
        self.name, self.key = name, ec.generate_private_key(ec.SECP256R1())
        self._above = above or self
        begin = datetime.now(UTC) - 400 * DAY
        self.certificate = (
            _builder(name, self._above.name, self.key, begin, datetime.now(UTC) + 400 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._above.key, hashes.SHA256())
        )

    def issue(
        self, *sites: str, begin: datetime | None = None, end: datetime | None = None
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A certificate for host names and addresses, by default from yesterday for 30 days."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        names = x509.SubjectAlternativeName([_general_name(site) for site in sites])
        made = (
            _builder("", self.name, key, begin or now - DAY, end or now + 30 * DAY)
            .add_extension(names, critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        return made, key


def _builder(
    name: str, issuer: str, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def _general_name(site: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(site))
    except ValueError:
        return x509.DNSName(site)
