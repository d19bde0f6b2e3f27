from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.errors import NotYet
from provisioner.remote.certificate import shown_until
from tests.authority import Authority, key_pem, pem


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("Workshops")


@pytest.fixture
def ca(authority: Authority, tmp_path: Path) -> Path:
    path = tmp_path / "ca.crt"
    path.write_bytes(pem(authority.certificate))
    return path


@contextmanager
def site(authority: Authority, folder: Path, end: datetime | None = None) -> Iterator[str]:
    """The address of somebody who shows a certificate for localhost."""
    certificate, key = authority.issue("localhost", end=end)
    (folder / "shown.pem").write_bytes(pem(certificate) + key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "shown.pem")
    with socket.create_server(("localhost", 0)) as server:

        def serve() -> None:
            try:
                peer, _ = server.accept()
                with peer, context.wrap_socket(peer, server_side=True) as secured:
                    secured.recv(1)
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{server.getsockname()[1]}"
    thread.join(5)


def test_until_when_it_is_good(authority: Authority, ca: Path, tmp_path: Path) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=11)
    with site(authority, tmp_path, end) as url:
        assert shown_until(url, ca) == end


def test_another_authoritys_is_no_answer(authority: Authority, ca: Path, tmp_path: Path) -> None:
    with site(Authority("Somebody"), tmp_path) as url, pytest.raises(NotYet, match="verif"):
        shown_until(url, ca)


def test_one_that_has_ended_is_no_answer(authority: Authority, ca: Path, tmp_path: Path) -> None:
    end = datetime.now(UTC) - timedelta(minutes=1)
    with site(authority, tmp_path, end) as url, pytest.raises(NotYet, match="expired"):
        shown_until(url, ca)


def test_nobody_there(ca: Path) -> None:
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotYet, match=str(port)):
        shown_until(f"https://localhost:{port}", ca)
