from __future__ import annotations

import io
import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

from provisioner.errors import NotYet
from provisioner.models import Result, TlsOptions
from provisioner.workflow.certificates import restore, save
from provisioner.workflow.tools import Tools
from tests.authority import DAY, Authority, key_pem, pem
from tests.doubles import Listener, fake_tools
from tests.server_folder import ServerFolder

SITE = "workshop.example.org"
ACME = TlsOptions(mode="acme", email="ann@example.org")
ISSUER = "acme-v02.api.letsencrypt.org-directory"
CERTIFICATE = f"caddy/certificates/{ISSUER}/{SITE}/{SITE}.crt"
ACCOUNT = f"caddy/acme/{ISSUER}/users/ann@example.org/ann.key"
AUTHORITY = Authority("A public authority")


@pytest.fixture
def tools(own_home: Path) -> Tools:
    return fake_tools(own_home)


@pytest.fixture
def server(tmp_path: Path) -> ServerFolder:
    """Where Caddy has got a certificate."""
    made = ServerFolder(tmp_path / "server")
    fill(made)
    return made


@pytest.fixture
def fresh(tmp_path: Path) -> ServerFolder:
    """Where nothing was started yet."""
    return ServerFolder(tmp_path / "fresh")


def fill(server: ServerFolder, *, end: datetime | None = None) -> None:
    """As Caddy would, its own authority included."""
    certificate, key = AUTHORITY.issue(SITE, end=end)
    files = {
        CERTIFICATE: pem(certificate),
        CERTIFICATE.replace(".crt", ".key"): key_pem(key),
        CERTIFICATE.replace(".crt", ".json"): b"{}",
        ACCOUNT: b"account",
        "caddy/pki/authorities/local/root.key": b"the authority's key",
        "caddy/locks/x.lock": b"{}",
    }
    for path, content in files.items():
        target = server.caddy / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def files_of(server: ServerFolder) -> dict[str, bytes]:
    root = server.caddy
    found = {item.relative_to(root).as_posix(): item for item in root.rglob("*") if item.is_file()}
    return {path: item.read_bytes() for path, item in sorted(found.items())}


def archive(tools: Tools) -> Path:
    return tools.store.home / "certificates" / "tessera.tar"


def words(tools: Tools) -> list[str]:
    assert isinstance(tools.reporter, Listener)
    return tools.reporter.words


def test_what_was_kept_comes_back_for_root_alone(
    tools: Tools, server: ServerFolder, fresh: ServerFolder
) -> None:
    assert save(tools, "tessera", SITE, ACME, server)
    assert restore(tools, "tessera", SITE, ACME, fresh)
    kept = {path for path in files_of(server) if path.split("/")[1] in {"acme", "certificates"}}
    assert files_of(fresh) == {path: files_of(server)[path] for path in kept}
    assert (fresh.caddy / ACCOUNT).stat().st_mode & 0o077 == 0
    assert (fresh.caddy / ACCOUNT).parent.stat().st_mode & 0o077 == 0


def test_the_key_of_the_workshops_own_authority_stays_on_the_server(
    tools: Tools, server: ServerFolder
) -> None:
    save(tools, "tessera", SITE, ACME, server)
    assert b"the authority's key" not in archive(tools).read_bytes()
    assert not save(tools, "other", SITE, TlsOptions(mode="internal"), server)
    assert not (tools.store.home / "certificates" / "other.tar").exists()


def test_the_archive_is_its_owners_alone_and_says_what_it_is(
    tools: Tools, server: ServerFolder
) -> None:
    save(tools, "tessera", SITE, ACME, server)
    assert archive(tools).stat().st_mode & 0o777 == 0o600
    assert [item.name for item in archive(tools).parent.iterdir()] == ["tessera.tar"]
    with tarfile.open(archive(tools)) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert manifest["site"] == SITE
    assert manifest["directory"] == "https://acme-v02.api.letsencrypt.org/directory"
    assert datetime.fromisoformat(manifest["saved_at"]) <= datetime.now(UTC)


def test_the_volume_is_made_as_compose_would_make_it(
    tools: Tools, server: ServerFolder, fresh: ServerFolder
) -> None:
    save(tools, "tessera", SITE, ACME, server)
    restore(tools, "tessera", SITE, ACME, fresh)
    (asked,) = fresh.asked_of_docker()
    assert asked.startswith("volume create ")
    assert "com.docker.compose.project=provision" in asked
    assert "com.docker.compose.volume=caddy-data" in asked


STRANGERS = {
    "site": ("tessera", "other.example.org", ACME),
    "name": ("other", SITE, ACME),
    "directory": ("tessera", SITE, TlsOptions(mode="acme", staging=True)),
    "mode": ("tessera", SITE, TlsOptions(mode="internal")),
}


@pytest.mark.parametrize("what", STRANGERS)
def test_another_workshop_gets_nothing(
    tools: Tools, server: ServerFolder, fresh: ServerFolder, what: str
) -> None:
    save(tools, "tessera", SITE, ACME, server)
    name, site, tls = STRANGERS[what]
    assert not restore(tools, name, site, tls, fresh)
    assert files_of(fresh) == {}
    assert words(tools) == []


def test_what_the_server_has_is_newer(
    tools: Tools, server: ServerFolder, fresh: ServerFolder
) -> None:
    save(tools, "tessera", SITE, ACME, server)
    fill(fresh)
    before = files_of(fresh)
    assert restore(tools, "tessera", SITE, ACME, fresh)
    assert files_of(fresh) == before


def test_an_expired_certificate_stays_away_but_its_account_comes(
    tools: Tools, server: ServerFolder, fresh: ServerFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tools, "tessera", SITE, ACME, server)
    later = datetime.now(UTC) + 40 * DAY

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return later

    monkeypatch.setattr("provisioner.workflow.certificates.datetime", Later)
    assert not restore(tools, "tessera", SITE, ACME, fresh)
    assert files_of(fresh) == {ACCOUNT: b"account"}


def test_an_expired_or_missing_certificate_does_not_replace_a_good_one(
    tools: Tools, server: ServerFolder, fresh: ServerFolder
) -> None:
    save(tools, "tessera", SITE, ACME, server)
    good = archive(tools).read_bytes()
    assert not save(tools, "tessera", SITE, ACME, fresh)
    fill(fresh, end=datetime.now(UTC) - DAY / 24)
    assert not save(tools, "tessera", SITE, ACME, fresh)
    assert archive(tools).read_bytes() == good
    assert words(tools) == []


def test_a_key_that_does_not_fit_is_not_worth_keeping(tools: Tools, server: ServerFolder) -> None:
    _, other = AUTHORITY.issue(SITE)
    (server.caddy / CERTIFICATE.replace(".crt", ".key")).write_bytes(key_pem(other))
    assert not save(tools, "tessera", SITE, ACME, server)


def test_any_damage_to_the_archive_is_a_warning(
    tools: Tools, server: ServerFolder, fresh: ServerFolder
) -> None:
    save(tools, "tessera", SITE, ACME, server)
    whole = archive(tools).read_bytes()
    place = whole.index(b"account")  # inside the account's key
    damaged = [
        b"",
        b"not a tar",
        whole[: len(whole) // 2],
        whole[:place] + b"A" + whole[place + 1 :],
    ]
    for content in damaged:
        archive(tools).write_bytes(content)
        assert not restore(tools, "tessera", SITE, ACME, fresh)
    assert files_of(fresh) == {}
    assert len(words(tools)) == len(damaged)
    assert all(str(archive(tools)) in line for line in words(tools))


UNSAFE = [
    "../../etc/cron.d/x",
    "/etc/cron.d/x",
    "caddy/certificates/../../../x",
    "caddy/pki/authorities/local/root.key",
    "caddy/certificates",
    "elsewhere/x/y",
]


class Hostile(ServerFolder):
    """A server that answers with an archive of its own making."""

    archive = b""

    def receive(self, command: str, sink: BinaryIO, *, timeout: float = 60) -> Result:
        sink.write(self.archive)
        return Result(0, "", "")


@pytest.mark.parametrize("path", UNSAFE)
def test_a_path_that_leads_elsewhere_is_never_kept_or_put_back(
    tools: Tools, server: ServerFolder, tmp_path: Path, path: str
) -> None:
    hostile = Hostile(tmp_path / "hostile")
    hostile.archive = with_member(b"", tarfile.TarInfo(path))
    assert not save(tools, "tessera", SITE, ACME, hostile)
    assert "has no place in it" in words(tools)[0]
    save(tools, "tessera", SITE, ACME, server)
    archive(tools).write_bytes(with_member(archive(tools).read_bytes(), tarfile.TarInfo(path)))
    assert not restore(tools, "tessera", SITE, ACME, hostile)
    assert "has no place in it" in words(tools)[1]


def test_a_link_is_never_kept(tools: Tools, tmp_path: Path) -> None:
    hostile = Hostile(tmp_path / "hostile")
    link = tarfile.TarInfo(ACCOUNT)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hostile.archive = with_member(b"", link)
    assert not save(tools, "tessera", SITE, ACME, hostile)
    assert "has no place in it" in words(tools)[0]


def with_member(archive: bytes, member: tarfile.TarInfo) -> bytes:
    made = io.BytesIO(archive)
    with tarfile.open(fileobj=made, mode="a" if archive else "w") as tar:
        tar.addfile(member, io.BytesIO())
    return made.getvalue()


class Silent(ServerFolder):
    def receive(self, command: str, sink: BinaryIO, *, timeout: float = 60) -> Result:
        raise NotYet("the SSH connection was lost")


def test_a_lost_connection_costs_no_more_than_a_warning(tools: Tools, tmp_path: Path) -> None:
    assert not save(tools, "tessera", SITE, ACME, Silent(tmp_path / "silent"))
    assert "the SSH connection was lost" in words(tools)[0]
