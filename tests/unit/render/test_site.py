from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import NotReady, UsageError
from provisioner.models import TlsOptions
from provisioner.render.site import directory, site_files

SITE = "workshop.example.org"


def reading(**files: bytes) -> Callable[[str], bytes]:
    """A disk on which only these files are."""

    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path]

    return read


def env(files: dict[str, bytes]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in files["site.env"].decode().splitlines())


def test_the_own_authority_needs_no_files() -> None:
    files = site_files("192.168.1.5", TlsOptions(), read=reading())
    assert files.keys() == {"site.env"}
    assert env(files)["PROVISION_SITE"] == "192.168.1.5"
    assert env(files)["PROVISION_TLS"] == "internal"


def test_lets_encrypt_needs_no_root() -> None:
    tls = TlsOptions(mode="acme", ca_root="of-the-institution", email="ann@example.org")
    files = site_files(SITE, tls, read=reading())
    assert files.keys() == {"site.env", "tls/acme.options"}
    assert files["tls/acme.options"].decode().splitlines() == [
        "dir https://acme-v02.api.letsencrypt.org/directory",
        "email ann@example.org",
    ]


def test_staging_is_another_directory() -> None:
    assert "staging" in directory(TlsOptions(mode="acme", staging=True))


def test_a_directory_with_its_own_root_and_accounts() -> None:
    tls = TlsOptions(
        mode="acme",
        ca="https://acme.example.org/dir",
        ca_root="roots",
        eab_key_id="kid-1",
        eab_key_file="hmac",
    )
    files = site_files(SITE, tls, read=reading(roots=b"PEM", hmac=b" a+b/c==\n"))
    assert files["tls/acme-root.pem"] == b"PEM"
    assert files["tls/acme.options"].decode().splitlines() == [
        "dir https://acme.example.org/dir",
        "trusted_roots tls/acme-root.pem",
        "eab kid-1 a-b_c",
    ]


def test_ones_own_certificate_goes_as_it_is() -> None:
    tls = TlsOptions(mode="files", certificate="c", key="k")
    files = site_files(SITE, tls, read=reading(c=b"CHAIN", k=b"KEY"))
    assert files["tls/certificate.pem"] == b"CHAIN"
    assert files["tls/key.pem"] == b"KEY"


def test_a_renewed_certificate_changes_the_environment_so_that_compose_restarts_caddy() -> None:
    tls = TlsOptions(mode="files", certificate="c", key="k")
    old = site_files(SITE, tls, read=reading(c=b"CHAIN", k=b"KEY"))
    same = site_files(SITE, tls, read=reading(c=b"CHAIN", k=b"KEY"))
    new = site_files(SITE, tls, read=reading(c=b"RENEWED", k=b"KEY"))
    assert old == same
    assert old["site.env"] != new["site.env"]


def test_a_file_that_is_gone_says_which_and_what_to_do() -> None:
    tls = TlsOptions(mode="files", certificate="c", key="k")
    with pytest.raises(NotReady, match=r"tls\.key: k can't be read: No such file") as error:
        site_files(SITE, tls, read=reading(c=b"CHAIN"))
    assert error.value.hint


def test_a_key_that_is_not_one_word_is_refused() -> None:
    tls = TlsOptions(mode="acme", eab_key_id="kid-1", eab_key_file="hmac")
    with pytest.raises(UsageError, match="hmac can't be used"):
        site_files(SITE, tls, read=reading(hmac=b"abc\n}\ndir https://evil.example.org"))


FIELDS = ("ca", "email", "eab_key_id")
NASTY = st.text(alphabet="a.@:/ \n\r\t\0{}$\"'`\\#<;=é\u2028", max_size=12)
LIKELY = st.builds(
    "{}{}{}".format, st.sampled_from(["https://a.b/", "a@b.c", "a"]), NASTY, st.just("")
)


@given(field=st.sampled_from(FIELDS), value=NASTY | LIKELY | st.text())
def test_no_value_leaves_its_place_in_the_options(field: str, value: str) -> None:
    plain = {"ca": "https://a.b/c", "email": "a@b.c", "eab_key_id": "kid"}
    tls = TlsOptions(mode="acme", eab_key_file="hmac", **plain | {field: value})
    try:
        files = site_files(SITE, tls, read=reading(hmac=b"abc"))
    except UsageError:
        return
    lines = files["tls/acme.options"].decode().split("\n")
    names = [line.split(" ")[0] for line in lines if line]
    wanted = ["dir", *(["email"] if tls.email else []), *(["eab"] if tls.eab_key_id else [])]
    assert names == wanted
    words = " ".join(lines).split()
    assert value == "" or value in words
    assert not set(value) & set('{}"`\\#<')


@given(site=NASTY | st.text())
def test_no_site_leaves_its_place_in_the_environment(site: str) -> None:
    try:
        files = site_files(site, TlsOptions(), read=reading())
    except UsageError:
        return
    assert env(files)["PROVISION_SITE"] == site
    assert len(files["site.env"].splitlines()) == 3
    assert not set(site) & set("{}\"'`\\#$ ")
