"""The hub as a participant's browser meets it: log in, get a server, run a cell.

Each call looks once: it never sleeps and never repeats. TLS is always verified, against the
workshop's own authority where there is one. NotYet means "ask again", NotReady "it never will".
"""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from provisioner.errors import NotReady, NotYet
from provisioner.remote import messages
from provisioner.remote.channels import Channels

TIMEOUT = 60.0  # seconds for one request; an emulated server is slow
NAVIGATE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
"""What a browser says when a page is opened; the hub sets its XSRF cookie only then."""


@dataclass(frozen=True, slots=True)
class Site:
    """A workshop's address, and the authority that its certificate must come from."""

    url: str
    ca: Path | None = None  # None: what this system trusts

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca) if self.ca else None)


def healthy(site: Site) -> None:
    """Raises NotYet unless the hub says that it is healthy, over a verified chain."""
    with _asking(), _browser(site) as client:
        _settled(client.get("/hub/health"))


class Participant:
    """One person's browser session. A context manager; see protocols.Visitor."""

    def __init__(self, site: Site, username: str, password: str) -> None:
        self._site, self._name, self._password = site, username, password
        self._client = _browser(site)
        self._asked = False

    def __enter__(self) -> Participant:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def login(self) -> None:
        """The login form. Raises NotReady when the hub refuses the password."""
        with _asking():
            _settled(self._client.get("/hub/login", headers=NAVIGATE, follow_redirects=True))
            form = {"username": self._name, "password": self._password}
            answer = self._client.post(
                "/hub/login",
                data=form | {"_xsrf": self._xsrf("/hub/")},
                headers=NAVIGATE,
            )
        if answer.status_code in {401, 403, 429}:
            raise NotReady(f"The hub refused the password of {self._name}")
        if answer.status_code != 302:
            _settled(answer)
            raise NotReady(f"Logging in answered {answer.status_code} in place of a redirect")

    def server_ready(self) -> bool:
        """Whether this person's Lab can be opened; asks the hub for the server the first time."""
        with _asking():
            server = self._server()
            if server is None and self._asked:
                raise NotReady(
                    f"The server of {self._name} did not start: {self._why_not()}",
                )
            if server is None:
                started = self._api("POST", f"/users/{quote(self._name)}/server")
                if started.status_code not in {201, 202, 400}:
                    _settled(started)
                self._asked = True
                return False
            self._asked = True
            if not server.get("ready"):
                return False
            page = self._client.get(
                f"/user/{quote(self._name)}/lab", headers=NAVIGATE, follow_redirects=True
            )
            if page.status_code in {404, 424}:
                raise NotYet("the proxy does not lead to the server yet")
            _settled(page)
            return page.url.path.startswith("/user/")

    def run(self, code: str, timeout: float) -> str:
        """What one cell prints and returns, on a kernel of its own.

        Raises NotReady with the kernel's own words when the cell fails or `timeout` passes.
        """
        with _asking():
            answer = self._lab("POST", "/api/kernels", json={"name": "python3"})
            _settled(answer)
            kernel = answer.json()["id"]
            try:
                with self._channels(kernel) as socket:
                    return _execute(socket, code, timeout)
            finally:
                self._lab("DELETE", f"/api/kernels/{kernel}")

    def stop_server(self) -> None:
        with _asking():
            _settled(self._api("DELETE", f"/users/{quote(self._name)}/server"))

    def _server(self) -> dict[str, Any] | None:
        answer = self._api("GET", f"/users/{quote(self._name)}")
        if answer.status_code == 403:
            raise NotReady(f"The hub does not know {self._name}'s session any more")
        _settled(answer)
        found: dict[str, Any] | None = answer.json().get("servers", {}).get("")
        return found

    def _why_not(self) -> str:
        """The hub's own words: the last event of the progress of a start that failed."""
        answer = self._api("GET", f"/users/{quote(self._name)}/server/progress")
        events = [line[5:] for line in answer.text.splitlines() if line.startswith("data:")]
        if not events:
            return "the hub gave no reason"
        return str(json.loads(events[-1]).get("message", events[-1]))

    def _api(self, method: str, path: str) -> httpx.Response:
        headers = {"X-XSRFToken": self._xsrf("/hub/"), "Referer": f"{self._site.url}/hub/home"}
        return self._client.request(method, f"/hub/api{path}", headers=headers)

    def _lab(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"X-XSRFToken": self._xsrf(f"/user/{quote(self._name)}/")}
        return self._client.request(
            method, f"/user/{quote(self._name)}{path}", headers=headers, **kwargs
        )

    def _xsrf(self, path: str) -> str:
        """The XSRF cookie that was set for `path`; there is one for the hub and one for Lab."""
        return xsrf(self._client.cookies, path)

    def _channels(self, kernel: str) -> Channels:
        path = f"/user/{quote(self._name)}/api/kernels/{kernel}/channels"
        request = self._client.build_request("GET", path)
        token = self._xsrf(f"/user/{quote(self._name)}/")
        parts = urlsplit(self._site.url)
        return Channels(
            f"wss://{parts.netloc}{path}?session_id={uuid.uuid4().hex}&_xsrf={quote(token)}",
            timeout=TIMEOUT,
            ssl=self._site.context(),
            origin=Origin(self._site.url),
            additional_headers={"Cookie": request.headers.get("Cookie", "")},
        )


def xsrf(cookies: httpx.Cookies, path: str) -> str:
    for cookie in cookies.jar:
        if cookie.name == "_xsrf" and cookie.path == path:
            return cookie.value or ""
    return ""


def _browser(site: Site) -> httpx.Client:
    return httpx.Client(base_url=site.url, verify=site.context(), timeout=TIMEOUT, trust_env=False)


@contextmanager
def _asking() -> Iterator[None]:
    """The border: what httpx and websockets raise becomes "not yet"."""
    try:
        yield
    except (httpx.TransportError, WebSocketException, OSError) as error:
        raise NotYet(f"HTTPS does not answer: {str(error) or type(error).__name__}") from None


def _settled(answer: httpx.Response) -> None:
    """Raises NotYet for a server error, NotReady for a refusal."""
    if answer.status_code >= 500:
        raise NotYet(f"{answer.url.path} answers {answer.status_code}")
    if answer.status_code >= 400:
        raise NotReady(f"{answer.url.path} answers {answer.status_code}: {answer.text[:200]}")


def _execute(socket: Channels, code: str, timeout: float) -> str:
    """What the cell prints and returns."""
    asked = messages.execute(code)
    socket.send(asked.text)
    deadline = time.monotonic() + timeout
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:  # a cell that goes on printing is never silent
                raise TimeoutError
            if asked.hear(socket.recv(timeout=left)):
                return "".join(asked.said)
    except TimeoutError:
        raise NotReady(f"The cell had not finished after {timeout:.0f} s") from None
    except messages.CellError as error:
        raise NotReady(f"The cell failed: {error}") from None
    except messages.KernelDied as error:
        raise NotReady(f"The cell was not finished: {error}") from None
