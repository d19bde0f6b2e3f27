from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.x509.oid import NameOID

from provisioner.errors import UsageError
from provisioner.models import Network
from provisioner.providers.local import trust


def authority(name: str) -> str:
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = x509.CertificateBuilder(
        subject, subject, key.public_key(), 1, now, now + timedelta(1)
    ).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What this machine trusts: everything public, and two authorities of its own."""
    file = tmp_path / "ca-certificates.crt"
    file.write_text(authority("Hospital") + Path(certifi.where()).read_text() + authority("Lab"))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


@pytest.mark.usefixtures("bundle")
def test_auto_finds_what_the_public_set_lacks() -> None:
    found = trust.private_authorities(Network())
    assert len(found) == 2
    names = {x509.load_pem_x509_certificate(pem).subject.rfc4514_string() for pem in found.values()}
    assert names == {"CN=Hospital", "CN=Lab"}
    assert all(name.startswith("provision-") and name.endswith(".crt") for name in found)
    assert trust.private_authorities(Network()) == found


@pytest.mark.usefixtures("bundle")
def test_none_are_wanted() -> None:
    assert trust.private_authorities(Network(ca_bundle="")) == {}


def test_what_the_distribution_brings_is_not_private(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = tmp_path / "share/mozilla"
    brought.mkdir(parents=True)
    (brought / "Old_Root.crt").write_text(bundle.read_text())
    monkeypatch.setattr(trust, "DISTRIBUTED", tmp_path / "share")
    assert trust.private_authorities(Network()) == {}


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("our authority:\n" + authority("Ours"))
    assert len(trust.private_authorities(Network(ca_bundle=str(file)))) == 1


@pytest.mark.parametrize("content", [None, "no certificate here"])
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match=r"ca\.pem"):
        trust.private_authorities(Network(ca_bundle=str(file)))
