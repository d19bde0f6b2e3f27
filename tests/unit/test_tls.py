from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from provisioner.certificate import covers
from provisioner.models import Findings, Severity, TlsOptions
from provisioner.tls import check_tls
from tests.authority import DAY, Authority, key_pem, pem

NOW = datetime.now(UTC)
SITE = "workshop.example.org"
ROOT = Authority("A university")
MIDDLE = Authority("Its intermediate", ROOT)
LEAF, KEY = MIDDLE.issue(SITE, "*.teach.example.org", "192.0.2.7")
GOOD = {
    "certificate": pem(LEAF, MIDDLE.certificate),
    "key": key_pem(KEY),
    "root": pem(ROOT.certificate),
}
FILES = TlsOptions(mode="files", certificate="certificate", key="key", ca_root="root")


def check(
    tls: TlsOptions, site: str = SITE, until: datetime = NOW + DAY, **files: bytes
) -> Findings:
    return check_tls(tls, site, NOW, _reading(GOOD | files), until=until)


def _reading(files: dict[str, bytes]) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        if path not in files:
            raise PermissionError(13, "Permission denied", path)
        return files[path]

    return read


def only(findings: Findings, severity: Severity = Severity.ERROR) -> str:
    """The one finding, as a person reads it."""
    (finding,) = findings
    assert finding.severity is severity
    assert finding.hint
    return f"{finding.subject}: {finding.message}"


def test_nothing_is_wrong_with_the_own_authority() -> None:
    assert check(TlsOptions(), "localhost") == ()


def test_nothing_is_wrong_with_a_whole_chain() -> None:
    assert check(FILES) == ()
    assert check(TlsOptions(mode="files", certificate="certificate", key="key")) == ()


def test_the_root_may_stand_in_the_chain() -> None:
    assert check(FILES, certificate=GOOD["certificate"] + GOOD["root"]) == ()


@pytest.mark.parametrize("site", ["", "localhost", "192.0.2.7", "2001:db8::7"])
def test_acme_needs_a_name(site: str) -> None:
    assert only(check(TlsOptions(mode="acme"), site)).startswith("tls.mode: acme needs a host name")


def test_staging_without_its_roots_could_not_be_verified() -> None:
    assert "staging" in only(check(TlsOptions(mode="acme", staging=True)))
    assert check(TlsOptions(mode="acme", staging=True, ca_root="root")) == ()


def test_files_for_acme_are_read_before_they_are_needed() -> None:
    tls = TlsOptions(
        mode="acme", ca="https://ca/dir", ca_root="r", eab_key_id="k", eab_key_file="h"
    )
    missing = check(tls)
    assert [item.subject for item in missing] == ["tls.ca_root", "tls.eab_key_file"]
    assert all("Permission denied" in item.message for item in missing)
    wrong = check(tls, r=b"not PEM", h=b"two words")
    assert [item.subject for item in wrong] == ["tls.ca_root", "tls.eab_key_file"]
    assert check(tls, r=GOOD["root"], h=b"YWJj\n") == ()


def test_a_file_that_is_missing_is_named() -> None:
    tls = TlsOptions(mode="files", certificate="nowhere", key="key")
    assert only(check(tls)) == "tls.certificate: nowhere can't be read: Permission denied"


def test_the_key_of_another_certificate() -> None:
    _, other = MIDDLE.issue(SITE)
    assert "does not belong" in only(check(FILES, key=key_pem(other)))


def test_a_key_with_a_passphrase() -> None:
    assert "passphrase" in only(check(FILES, key=key_pem(KEY, b"secret")))


def test_a_key_that_is_a_certificate() -> None:
    assert "not a private key" in only(check(FILES, key=GOOD["certificate"]))


def test_a_chain_that_stands_on_its_head() -> None:
    findings = check(FILES, certificate=pem(MIDDLE.certificate, LEAF))
    assert "not the first" in findings[0].message


def test_a_chain_with_a_stranger_in_it() -> None:
    stranger = Authority("Somebody else")
    findings = check(FILES, certificate=pem(LEAF, stranger.certificate))
    assert "not each signed by the one after" in only(findings)


def test_a_chain_whose_root_is_another() -> None:
    stranger = Authority("Somebody else")
    assert only(check(FILES, root=pem(stranger.certificate))).startswith("tls.ca_root: it did not")


def test_a_certificate_without_its_intermediate() -> None:
    alone = TlsOptions(mode="files", certificate="certificate", key="key")
    assert "stands alone" in only(check(alone, certificate=pem(LEAF)), Severity.WARNING)


@pytest.mark.parametrize(
    ("site", "covered"),
    [
        (SITE, True),
        ("spring.teach.example.org", True),
        ("192.0.2.7", True),
        ("teach.example.org", False),
        ("a.spring.teach.example.org", False),
        ("192.0.2.8", False),
        ("example.org", False),
    ],
)
def test_which_names_a_certificate_is_for(site: str, covered: bool) -> None:
    assert covers(LEAF, site) is covered


def test_a_certificate_for_another_name_says_for_which() -> None:
    words = only(check(FILES, "lab.example.org"))
    assert SITE in words
    assert "not for lab.example.org" in words


def test_no_certificate_is_for_an_address_that_is_not_known_yet() -> None:
    assert "address" in only(check(FILES, ""))


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        (-2 * DAY, -DAY, "it expired"),
        (DAY, 2 * DAY, "not valid before"),
        (-DAY, timedelta(hours=3), "before the workshop ends"),
    ],
)
def test_a_certificate_must_outlive_the_workshop(
    begin: timedelta, end: timedelta, words: str
) -> None:
    leaf, key = MIDDLE.issue(SITE, begin=NOW + begin, end=NOW + end)
    chain = pem(leaf, MIDDLE.certificate)
    assert words in only(check(FILES, certificate=chain, key=key_pem(key)))
