"""`open`: the address in a browser where there is one, and on paper where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from provisioner.cli import during, workshop
from provisioner.cli.browser import has_display
from provisioner.cli.funnel import verb

app = typer.Typer()
app.command("launch")(verb(workshop.launch))
app.command("open")(verb(during.open_))


def provision(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, words)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the browser was given; there is no display unless a test says so."""
    for key in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    seen: list[str] = []

    def show(url: str) -> bool:
        seen.append(url)
        return True

    monkeypatch.setattr("webbrowser.open", show)
    return seen


@pytest.fixture
def url(own_home: Path, opened: list[str]) -> str:
    done = provision("launch", "--provider", "fake", "--users", "2", "--json")
    assert done.exit_code == 0, done.output
    return str(json.loads(done.stdout)["url"])


def test_a_browser_gets_the_login_page_with_the_name(
    url: str, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    done = provision("open", "--as", "user02")
    assert done.exit_code == 0, done.output
    assert opened == [f"{url}/hub/login?username=user02"]
    assert done.stdout.strip() == opened[0]


def test_without_a_display_the_address_is_said(url: str, opened: list[str]) -> None:
    done = provision("open")
    assert done.stdout == f"{url}\n"
    assert opened == []


def test_an_authority_of_its_own_is_explained(url: str, own_home: Path) -> None:
    done = provision("open")
    ca = own_home / "workshop" / "ca.crt"
    assert f"-n provision-workshop -i {ca}" in done.stderr
    ca.unlink()
    assert "trust" not in provision("open").stderr


def test_open_json(url: str, own_home: Path, opened: list[str]) -> None:
    done = provision("open", "--json")
    assert json.loads(done.stdout) == {
        "name": "workshop",
        "url": url,
        "ca": str(own_home / "workshop" / "ca.crt"),
    }
    assert opened == []


def test_open_knows_who_is_there(url: str, opened: list[str]) -> None:
    done = provision("open", "--as", "user2")
    assert done.exit_code == 2
    assert "did you mean user02?" in done.output
    assert opened == []


@pytest.mark.parametrize(
    ("platform", "environ", "display"),
    [
        ("darwin", {}, True),
        ("linux", {}, False),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"BROWSER": "firefox"}, True),
    ],
)
def test_where_there_is_a_display(platform: str, environ: dict[str, str], display: bool) -> None:
    assert has_display(platform, environ) is display
