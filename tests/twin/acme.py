"""Pebble, Let's Encrypt's own test server: it validates for real, over DNS and port 80 or 443."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.twin.network import AUTHORITY, CA
from tests.twin.zones import CA_HOST

DIRECTORY = f"https://{CA_HOST}:14000/dir"
ISSUER = f"https://{CA_HOST}:15000/roots/0"
ENVIRONMENT = {"PEBBLE_VA_NOSLEEP": "1"}


@dataclass(frozen=True, slots=True)
class Authority:
    """Its files. What it issues is under another root, which only the running server knows."""

    path: Path

    @property
    def directory_root(self) -> Path:
        """PEM: what the directory's own certificate is verified with."""
        return self.path / "directory-root.pem"

    @property
    def issuer_root(self) -> Path:
        """PEM: what participants' browsers have to trust."""
        return self.path / "issuer-root.pem"

    @property
    def roots(self) -> Path:
        """Both in one file: `tls.ca_root` of a workshop whose authority this is."""
        return self.path / "roots.pem"

    def write_issuer(self, pem: str) -> None:
        self.issuer_root.write_text(pem)
        self.roots.write_text(self.directory_root.read_text() + pem)

    def command(self) -> list[str]:
        """Make its files, and say how it is started."""
        self.path.mkdir()
        root_key, root = _certificate("The twin's root")
        key, leaf = _certificate(CA_HOST, signed_by=(root_key, root))
        self.directory_root.write_bytes(_pem(root))
        (self.path / "cert.pem").write_bytes(_pem(leaf))
        (self.path / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        config = {
            "listenAddress": f"{CA}:14000",
            "managementListenAddress": f"{CA}:15000",
            "certificate": str(self.path / "cert.pem"),
            "privateKey": str(self.path / "key.pem"),
            "httpPort": 80,
            "tlsPort": 443,
        }
        file = self.path / "pebble.json"
        file.write_text(json.dumps({"pebble": config}))
        return ["pebble", "-strict=false", "-config", str(file), "-dnsserver", f"{AUTHORITY}:53"]


Key = ec.EllipticCurvePrivateKey


def _certificate(
    name: str, signed_by: tuple[Key, x509.Certificate] | None = None
) -> tuple[Key, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signed_by[1].subject if signed_by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=signed_by is None, path_length=None), critical=True)
    )
    if signed_by:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return key, made.sign(signed_by[0] if signed_by else key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
