"""The way of a browser: Caddy, proxy, hub and participants' servers as they really are."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from provisioner.errors import NotYet
from provisioner.render import commands
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.engine.workshop import Workshop

PERSON = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
GATE = "http://gate:8082"


@pytest.fixture
def browser(workshop: Workshop) -> Iterator[httpx.Client]:
    tls = ssl.create_default_context(cafile=str(workshop.ca))
    with httpx.Client(base_url=workshop.url, verify=tls, trust_env=False, timeout=30) as client:
        yield client


@contextmanager
def without(workshop: Workshop, browser: httpx.Client, service: str) -> Iterator[None]:
    """The workshop while one of its services is down."""

    def back() -> None:
        if browser.get("/hub/health", headers={"Accept": "*/*"}).status_code != 200:
            raise NotYet(f"{service} is coming back")

    assert workshop.run(commands.compose("stop", service)).ok
    try:
        yield
    finally:
        assert workshop.run(commands.compose("start", service)).ok
        wait_for(back, budget=120, clock=SystemClock())


@pytest.mark.parametrize("service", ["hub", "proxy"])
def test_people_who_come_too_early_are_told_to_wait(
    workshop: Workshop, browser: httpx.Client, service: str
) -> None:
    with without(workshop, browser, service):
        page = browser.get("/hub/login", headers=PERSON)
        assert page.status_code == 503
        assert "The workshop is starting" in page.text
        assert 'http-equiv="refresh"' in page.text
        program = browser.get("/hub/api", headers={"Accept": "application/json"})
        assert (program.status_code, program.headers["Retry-After"]) == (503, "5")
        assert "<" not in program.text
        assert browser.get("/check/").status_code == 200
    assert "username_input" in browser.get("/hub/login", headers=PERSON).text


def test_a_stopped_server_is_the_hubs_to_explain(workshop: Workshop, browser: httpx.Client) -> None:
    answer = browser.get("/user/user04/lab", headers=PERSON, follow_redirects=True)
    assert "/hub/" in str(answer.url)
    assert "The workshop is starting" not in answer.text


def test_a_browser_here_is_ready(workshop: Workshop, tmp_path: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    from tests.e2e.browser import chromium

    with chromium(tmp_path, workshop.ca) as driver:
        driver.get(f"{workshop.url}/check")
        WebDriverWait(driver, 60).until(
            lambda d: d.execute_script("return !document.querySelector('table').hidden")
        )
        answer = driver.find_element("id", "answer").text
    assert answer.startswith("This computer and network are ready")


def test_labs_own_files_come_packed_and_are_those_of_the_participants_image(
    workshop: Workshop, browser: httpx.Client
) -> None:
    listing = "cd /srv/assets && find . -name '*.br'"
    names = workshop.run(commands.compose("exec", "-T", "caddy", "sh", "-c", listing))
    packed = sorted(names.out.split())
    assert any(name.startswith("./static/lab/jlab_core.") for name in packed)
    assert any("/labextensions/" not in name and "/extensions/" in name for name in packed)
    core = next(name for name in packed if name.startswith("./static/lab/jlab_core."))[2:-3]
    with workshop.serving("user01"):
        url = f"/user/user01/{core}"
        answer = browser.get(url, headers={"Accept-Encoding": "br"})
        assert answer.headers["Content-Encoding"] == "br"
        assert "immutable" in answer.headers["Cache-Control"]
        plain = browser.get(url, headers={"Accept-Encoding": "identity"}).content
        script = f"cat $(python3 -c 'import sys; print(sys.prefix)')/share/jupyter/lab/{core[7:]}"
        script = script.replace("/lab/lab/", "/lab/static/")
        own = workshop.in_container("user01", f"{script} | sha256sum")
        assert own.out.split()[0] == hashlib.sha256(plain).hexdigest()
        assert len(plain) > 2 * int(answer.headers["Content-Length"])


ASK = """
import urllib.error, urllib.request
for path in {paths!r}:
    try:
        print(urllib.request.urlopen("{gate}" + path, timeout=10).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""


def test_participants_find_the_gate_and_nothing_behind_it(workshop: Workshop) -> None:
    paths = ["/hub/api", "/hub/api/user", "/hub/login", "/hub/api/users", "/hub/api/info", "/"]
    paths += ["/hub/api/../login", "/hub/api/%2e%2e/login", "/healthy", "/check/"]
    with workshop.serving("user01"):
        done = workshop.in_container(
            "user01", "python3 -", stdin=ASK.format(paths=paths, gate=GATE).encode()
        )
    codes = dict(zip(paths, done.out.split(), strict=True))
    assert codes.pop("/hub/api") == "200"
    codes.pop("/hub/api/user")  # who asks without a token is told so by the hub
    assert set(codes.values()) == {"403"}


def test_caddy_reads_its_file_again_while_connections_stay(workshop: Workshop) -> None:
    tls = ssl.create_default_context(cafile=str(workshop.ca))
    url = workshop.url.replace("https:", "wss:") + "/hub/check/echo"
    with connect(url, ssl=tls, proxy=None) as peer:
        words = ("exec", "-T", "caddy", "caddy", "reload", "--config", "/etc/caddy/Caddyfile")
        done = workshop.run(commands.compose(*words))
        assert done.ok, done.err
        peer.send("still here")
        assert peer.recv(timeout=10) == "still here"


def test_nothing_in_caddys_container_takes_orders_over_the_network(workshop: Workshop) -> None:
    look = "curl -s -o /dev/null --max-time 3 http://127.0.0.1:2019/config/"
    done = workshop.run(commands.compose("exec", "-T", "caddy", "sh", "-c", look))
    assert done.code == 7, "nobody listens"
