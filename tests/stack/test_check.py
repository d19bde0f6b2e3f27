"""The page /check in a real browser, and the hub's side of it (stack/check.py). On loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.stack.acme import eventually
from tests.stack.web import World, world


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("pages")) as running:
        yield running


@pytest.fixture(autouse=True)
def as_it_was(here: World) -> None:
    here.room.websockets = "echo"
    here.room.seen.clear()


@pytest.fixture(scope="module")
def browser(here: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not (shutil.which("chromium") and shutil.which("certutil")):
        pytest.skip("chromium, chromium-driver and libnss3-tools are not installed")
    from tests.e2e.browser import chromium

    with chromium(tmp_path_factory.mktemp("browser"), here.ca) as driver:
        yield driver


def checked(here: World, browser: Any, *, within: float = 30) -> tuple[str, dict[str, str]]:
    """The one answer, and the table."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(f"{here.url}/check")
    WebDriverWait(browser, within).until(
        lambda d: d.execute_script("return !document.querySelector('table').hidden")
    )
    rows = browser.execute_script(
        "return [...document.querySelectorAll('tr')].map(r => [...r.cells].map(c => c.innerText))"
    )
    return browser.execute_script("return document.getElementById('answer').innerText"), dict(rows)


def test_a_good_computer_is_told_so(here: World, browser: Any) -> None:
    answer, table = checked(here, browser)
    assert answer == "This computer and network are ready."
    assert table["WebSocket"].startswith("yes")
    assert table["Connection"] in ("HTTPS, h2", "HTTPS, h3")
    assert table["Cookies"] == table["Storage"] == "yes"
    assert "Mbit/s" in table["Download"]
    errors = [line for line in browser.get_log("browser") if "favicon" not in line["message"]]
    assert not errors


@pytest.mark.parametrize("way", ["refused", "silent"])
def test_blocked_websockets_are_named_with_a_way_out(here: World, browser: Any, way: str) -> None:
    here.room.websockets = way
    answer, table = checked(here, browser)
    assert answer.startswith("This network blocks WebSockets")
    assert "organiser" in answer
    assert "hotspot" in answer
    assert table["WebSocket"] == "no"
    assert "Mbit/s" in table["Download"]


def test_a_browser_that_keeps_nothing_is_told_so(here: World, browser: Any) -> None:
    source = "Object.defineProperty(window, 'localStorage', {get() { throw Error('no') }})"
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    try:
        answer, table = checked(here, browser)
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert "keeps no cookies or data" in answer
    assert table["Storage"] == "refused"


def test_an_old_browser_is_told_so(here: World, browser: Any) -> None:
    source = "delete window.structuredClone"
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    try:
        answer, _ = checked(here, browser)
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert answer.startswith("This browser is too old")


def test_the_result_can_be_sent_to_the_organiser(here: World, browser: Any) -> None:
    checked(here, browser)
    browser.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    browser.execute_script("document.getElementById('copy').click()")
    text = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert text.startswith("This computer and network are ready.")
    assert "WebSocket: yes" in text
    assert "Chrome/" in text


def test_pages_work_on_a_phone(here: World, browser: Any) -> None:
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        for path in ("/check/", "/bare"):
            browser.get(here.url + path)
            wide = "return document.documentElement.scrollWidth"
            assert browser.execute_script(wide) <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# The hub's side of the check


def test_the_echo_is_for_short_words_and_few(here: World) -> None:
    with here.echo() as peer:
        for number in range(20):
            peer.send(str(number))
            assert peer.recv(timeout=5) == str(number)
        peer.send("one more")
        with pytest.raises(ConnectionClosed):
            peer.recv(timeout=5)
    with here.echo() as peer:
        peer.send("x" * 65)
        with pytest.raises(ConnectionClosed):
            peer.recv(timeout=5)


def test_pages_of_other_sites_get_no_echo(here: World) -> None:
    assert here.refusal(origin="https://elsewhere.example.org") == 403


def test_only_a_roomful_of_echoes_at_once(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.room.check, "AT_ONCE", 2)
    eventually(lambda: not here.room.check.Echo.connected, "all gone", here.caddy.log)
    with here.echo(), here.echo():
        assert here.refusal() == 503
    eventually(lambda: not here.room.check.Echo.connected, "both gone", here.caddy.log)


def test_an_idle_echo_ends(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here.room.check, "SECONDS", 0.2)
    with here.echo() as peer, pytest.raises(ConnectionClosed):
        peer.recv(timeout=10)
