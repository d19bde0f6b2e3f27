"""`doctor` finds what a launch would stumble over, on this computer and around it."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from provisioner.cli import before, keeping, surroundings, workshop
from provisioner.cli.funnel import verb
from provisioner.models import Finding, Severity
from provisioner.settings import Settings

app = typer.Typer()
app.command("doctor")(verb(before.doctor))
app.command("launch")(verb(workshop.launch))
app.command("extend")(verb(keeping.extend))


def provision(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, words)


@pytest.fixture(autouse=True)
def nobody_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network says nothing, and names are known."""
    monkeypatch.setattr(surroundings, "listen", lambda url: surroundings.Heard(trouble="silence"))
    monkeypatch.setattr(surroundings, "resolves", lambda host: True)


def doctor(*words: str, code: int = 0) -> Any:
    done = provision("doctor", "--provider", "fake", "--json", *words)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def about(subject: str, found: Any) -> list[dict[str, str]]:
    return [item for item in found["findings"] if item["subject"] == subject]


def test_a_computer_that_is_right(own_home: Path) -> None:
    found = doctor()
    assert found["ok"]
    assert not [item for item in found["findings"] if item["severity"] == "error"]
    assert about("home", found)[0]["message"] == str(own_home)


def test_a_home_that_others_may_read_is_mended(own_home: Path) -> None:
    own_home.mkdir(mode=0o755)
    (said,) = about("home", doctor())
    assert said["severity"] == "warning"
    assert f"chmod 700 {own_home}" in said["hint"]
    assert doctor("--fix")["mended"] == [f"{own_home} is yours alone now"]
    assert own_home.stat().st_mode & 0o777 == 0o700
    assert about("home", doctor())[0]["severity"] == "info"


def test_a_home_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PROVISION_HOME", str(tmp_path / "file"))
    found = doctor(code=3)
    assert not found["ok"]
    assert "set PROVISION_HOME" in about("home", found)[0]["hint"]


def test_workshops_that_were_forgotten(own_home: Path) -> None:
    for name in ("over", "broken", "torn"):
        assert provision("launch", name, "--provider", "fake", "--users", "1").exit_code == 0
    record = own_home / "over" / "record.json"
    past = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    record.write_text(json.dumps(json.loads(record.read_text()) | {"expires_at": past}))
    (own_home / "broken" / "record.json").write_text("{")
    (own_home / "torn" / "record.json").unlink()
    hints = " ".join(item["hint"] for item in about("workshops", doctor()))
    for name in ("over", "broken", "torn"):
        assert f"provision teardown {name}" in hints
    assert record.exists()  # looking changes nothing


def test_what_killed_commands_left_goes_when_it_is_old(own_home: Path) -> None:
    old, new = own_home / ".gone-tessera-1", own_home / ".new-tessera-2"
    for path in (old, new):
        path.mkdir(parents=True)
    own_home.chmod(0o700)
    os.utime(old, (0, 0))
    assert "1 half-made" in about("home", doctor())[1]["message"]
    doctor("--fix")
    assert not old.exists()
    assert new.exists()


def test_git_is_needed_for_a_repository_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = shutil.which
    monkeypatch.setattr(
        "shutil.which", lambda name, **more: None if name == "git" else real(name, **more)
    )
    assert about("git", doctor())[0]["severity"] == "info"
    monkeypatch.setenv("PROVISION_MATERIALS__SOURCE", "https://example.org/n.git")
    assert about("git", doctor(code=3))[0]["severity"] == "error"
    monkeypatch.setenv("PROVISION_MATERIALS__SOURCE", str(tmp_path))
    assert about("git", doctor())[0]["severity"] == "info"


def test_a_bundle_of_authorities_that_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    monkeypatch.setenv("PROVISION_NETWORK__CA_BUNDLE", str(tmp_path / "ca.pem"))
    assert "holds no certificate" in about("authorities", doctor(code=3))[0]["message"]


def test_people_read_what_is_wrong_and_what_to_type(own_home: Path) -> None:
    own_home.mkdir(mode=0o755)
    done = provision("doctor", "--provider", "fake")
    assert "may be read by others" in done.stdout
    assert "→ chmod 700" in done.stdout
    assert "This machine can launch workshops." in done.stdout


def network(monkeypatch: pytest.MonkeyPatch, heard: surroundings.Heard) -> dict[str, Finding]:
    monkeypatch.setattr(surroundings, "listen", lambda url: heard)
    return {item.subject: item for item in surroundings.network(Settings())}


@pytest.mark.parametrize(("ahead", "words"), [(3600, "3600 s ahead"), (-90, "90 s behind")])
def test_a_clock_that_is_wrong(monkeypatch: pytest.MonkeyPatch, ahead: int, words: str) -> None:
    theirs = datetime.now(UTC) - timedelta(seconds=ahead)
    clock = network(monkeypatch, surroundings.Heard(date=theirs))["clock"]
    assert clock.severity is Severity.WARNING
    assert clock.message.removeprefix("is ")[:2] == words[:2]
    assert words.split()[-1] in clock.message
    right = network(monkeypatch, surroundings.Heard(date=datetime.now(UTC)))["clock"]
    assert right.severity is Severity.INFO


def test_a_certificate_that_nobody_vouches_for(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = surroundings.Heard(trouble="certificate verify failed", certificate=True)
    assert "SSL_CERT_FILE" in network(monkeypatch, heard)["certificates"].hint


def test_no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "resolves", lambda host: False)
    found = network(monkeypatch, surroundings.Heard(trouble="no route"))
    assert found["names"].severity is Severity.WARNING
    assert "does not answer" in found["registry"].message


@contextmanager
def web(date: str) -> Iterator[str]:
    class Says(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            if date:
                self.send_header("Date", date)
            self.end_headers()

        def log_message(self, *words: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Says) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(
    ("date", "year"), [("Tue, 24 Nov 2026 10:00:00 GMT", 2026), ("soon", None), ("", None)]
)
def test_what_a_web_server_says_of_the_time(
    monkeypatch: pytest.MonkeyPatch, date: str, year: int | None
) -> None:
    monkeypatch.undo()
    with web(date) as url:
        heard = surroundings.listen(url)
    assert not heard.trouble
    assert (heard.date.year if heard.date else None) == year
    assert surroundings.listen(url).trouble
