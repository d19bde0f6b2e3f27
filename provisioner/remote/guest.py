"""One participant's browser for a crowd: what remote/hub.py does one at a time, without waiting.

Every method raises Failed and nothing else of its own; limits in time are the caller's.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from provisioner.remote import messages
from provisioner.remote.hub import NAVIGATE, xsrf
from provisioner.visits import Cause, Cell, Failure, Script

MARK = "provision-rehearsal"
"""Begins the names of our sessions, so that those of an earlier crowd are known."""

GOODBYE = 15.0
"""Seconds for clearing up behind one participant."""


class Failed(Exception):
    def __init__(self, cause: Cause, words: str, cell: int = 0) -> None:
        super().__init__(words)
        self.failure = Failure(cause, words[:500], cell)


@contextmanager
def _border(otherwise: Cause) -> Iterator[None]:
    """What libraries and kernels raise becomes Failed, and says what a participant would see."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise Failed(Cause.TIME, f"the server is silent ({type(error).__name__})") from None
    except httpx.TransportError as error:
        raise Failed(Cause.HTTPS, str(error) or type(error).__name__) from None
    except messages.KernelDied as error:
        raise Failed(Cause.KERNEL, str(error)) from None
    except (httpx.HTTPError, WebSocketException, OSError, ValueError, KeyError) as error:
        raise Failed(otherwise, str(error) or type(error).__name__) from None


class _Dialled(httpx.AsyncBaseTransport):
    """Connects elsewhere than the URL says. Names and certificates are the URL's, as ever."""

    def __init__(self, context: ssl.SSLContext, dial: tuple[str, int]) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=context)
        self._dial = dial

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host, port = self._dial
        there = httpx.Request(
            request.method,
            request.url.copy_with(host=host, port=port),
            headers=request.headers,  # Host among them
            stream=request.stream,
            extensions=request.extensions | {"sni_hostname": request.url.host},
        )
        return await self._inner.handle_async_request(there)

    async def aclose(self) -> None:
        await self._inner.aclose()


class Guest:
    """Log in, get a server, open a kernel, run cells; then `leave`, which clears up."""

    def __init__(
        self, script: Script, context: ssl.SSLContext, username: str, password: str
    ) -> None:
        self._script, self._context = script, context
        self._name, self._password = username, password
        self._client = httpx.AsyncClient(
            base_url=script.url,
            verify=context,
            transport=_Dialled(context, script.dial) if script.dial else None,
            timeout=60 * script.patience,
            trust_env=False,
        )
        self._socket: ClientConnection | None = None
        self._session = ""

    @property
    def _user(self) -> str:
        return f"/user/{quote(self._name)}"

    async def login(self) -> None:
        with _border(Cause.HTTPS):
            await self._get("/hub/login")
            form = {"username": self._name, "password": str(self._password)}
            answer = await self._client.post(
                "/hub/login",
                data=form | {"_xsrf": xsrf(self._client.cookies, "/hub/")},
                headers=NAVIGATE,
            )
            if answer.status_code in {401, 403, 429}:
                raise Failed(Cause.REFUSED, f"the hub {_words(answer)}")
            _settled(answer)
            if answer.status_code != 302:
                raise Failed(Cause.REFUSED, f"the hub {_words(answer)} in place of a redirect")

    async def has_server(self) -> bool:
        with _border(Cause.HUB):
            answer = await self._api("GET", f"/users/{quote(self._name)}")
            _settled(answer)
            return bool((answer.json().get("servers") or {}).get("", {}).get("ready"))

    async def get_server(self) -> None:
        """Have it started unless it runs, and open Lab's page in it."""
        if not await self.has_server():
            with _border(Cause.SPAWN):
                await self._ask_for_server()
                while not await self.has_server():
                    await self._watch_progress()
        with _border(Cause.HTTPS):
            await self._open()

    async def start_kernel(self) -> None:
        """A session with a kernel, and a websocket that has brought the kernel's first answer."""
        folder = f"{self._script.folder}/" if self._script.folder else ""
        path = f"{folder}{MARK}-{int(time.time())}.ipynb"
        wanted = {"path": path, "name": path, "type": "notebook"}
        with _border(Cause.KERNEL):
            await self.tidy()
            answer = await self._lab(
                "POST", "/api/sessions", json=wanted | {"kernel": {"name": self._script.kernel}}
            )
            if answer.status_code != 201:
                raise Failed(Cause.KERNEL, _words(answer))
            session = answer.json()
            self._session = session["id"]
        with _border(Cause.WEBSOCKET):
            self._socket = await self._channels(session["kernel"]["id"])
            await self._ask(messages.kernel_info())

    async def run(self, cell: Cell) -> None:
        try:
            with _border(Cause.LOST):
                await self._ask(messages.execute(cell.code, may_fail=cell.may_fail))
        except messages.CellError as error:
            if not cell.may_fail:
                raise Failed(Cause.CELL, str(error), cell.number) from None
        except Failed as error:
            raise Failed(error.failure.cause, error.failure.words, cell.number) from None

    async def sit(self, over: asyncio.Event) -> None:
        """Keep the websocket open until then. Ends early, in silence, when it breaks."""
        until = asyncio.create_task(over.wait())
        try:
            while not until.done():  # nothing may pile up: pongs come through the same pipe
                said = asyncio.create_task(self._open_socket.recv())
                await asyncio.wait({until, said}, return_when=asyncio.FIRST_COMPLETED)
                if not said.done():
                    said.cancel()
                    await asyncio.gather(said, return_exceptions=True)
                elif said.exception():
                    await until
        finally:
            until.cancel()

    async def tidy(self) -> None:
        """End what an earlier crowd left behind in this server."""
        answer = await self._lab("GET", "/api/sessions")
        _settled(answer)
        for session in answer.json():
            if str(session.get("path", "")).rpartition("/")[2].startswith(MARK):
                await self._lab("DELETE", f"/api/sessions/{session['id']}")

    async def leave(self) -> None:
        """End the kernel and close everything, as far as that is possible."""
        with suppress(Exception):
            async with asyncio.timeout(GOODBYE * self._script.patience):
                if self._session:
                    await self._lab("DELETE", f"/api/sessions/{self._session}")
                if self._socket is not None:
                    await self._socket.close()
        await self._client.aclose()

    async def _ask_for_server(self) -> None:
        path = f"/users/{quote(self._name)}/server"
        started = await self._api("POST", path)
        while started.status_code == 429:  # too many at once: as the hub's own page does it
            await asyncio.sleep(float(started.headers.get("Retry-After", 10)))
            started = await self._api("POST", path)
        if started.status_code not in {201, 202, 400}:
            raise Failed(Cause.SPAWN, f"the hub {_words(started)}")

    async def _watch_progress(self) -> None:
        """The hub's events about a start, until it is over."""
        path = f"/hub/api/users/{quote(self._name)}/server/progress"
        async with self._client.stream("GET", path, headers=self._headers("/hub/")) as answer:
            if answer.status_code == 400:  # nothing is pending: it has just become ready, or failed
                raise Failed(Cause.SPAWN, "the server ended before it was ready")
            if answer.status_code >= 400:
                raise Failed(Cause.SPAWN, f"the hub answers {answer.status_code}")
            async for line in answer.aiter_lines():
                event = json.loads(line[5:]) if line.startswith("data:") else {}
                if event.get("failed"):
                    raise Failed(Cause.SPAWN, str(event.get("message", "no reason given")))
                if event.get("ready"):
                    return

    async def _open(self) -> None:
        """Lab's page, by way of the hub's door for this server."""
        while True:
            page = await self._get(f"{self._user}/lab", also=(404, 424, 502, 503))
            if page.is_success and page.url.path.startswith(self._user):
                return
            await asyncio.sleep(1)  # the proxy does not lead there yet

    async def _channels(self, kernel: str) -> ClientConnection:
        script = self._script
        path = f"{self._user}/api/kernels/{kernel}/channels"
        cookies = self._client.build_request("GET", path).headers.get("Cookie", "")
        parts, token = urlsplit(script.url), xsrf(self._client.cookies, f"{self._user}/")
        there: dict[str, Any] = {}
        if script.dial:
            there = {"host": script.dial[0], "port": script.dial[1]}
        return await connect(
            f"wss://{parts.netloc}{path}?session_id={self._session}&_xsrf={quote(token)}",
            ssl=self._context,
            server_hostname=parts.hostname,
            origin=Origin(script.url),
            additional_headers={"Cookie": cookies},
            open_timeout=60 * script.patience,
            ping_timeout=60 * script.patience,
            max_size=None,
            proxy=None,
            **there,
        )

    @property
    def _open_socket(self) -> ClientConnection:
        if self._socket is None:
            raise Failed(Cause.WEBSOCKET, "there is none")
        return self._socket

    async def _ask(self, asked: messages.Asked) -> None:
        socket = self._open_socket
        await socket.send(asked.text)
        while not asked.hear(await socket.recv()):
            pass

    async def _get(self, path: str, also: tuple[int, ...] = ()) -> httpx.Response:
        answer = await self._client.get(path, headers=NAVIGATE, follow_redirects=True)
        if answer.status_code not in also:
            _settled(answer)
        return answer

    async def _api(self, method: str, path: str) -> httpx.Response:
        headers = self._headers("/hub/")
        return await self._client.request(method, f"/hub/api{path}", headers=headers)

    async def _lab(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = self._headers(f"{self._user}/")
        return await self._client.request(method, f"{self._user}{path}", headers=headers, **kwargs)

    def _headers(self, path: str) -> dict[str, str]:
        referer = f"{self._script.url}/hub/home"
        return {"X-XSRFToken": xsrf(self._client.cookies, path), "Referer": referer}


def _words(answer: httpx.Response) -> str:
    try:
        said = answer.json().get("message", "")
    except (ValueError, AttributeError):
        said = ""
    return f"answers {answer.status_code}{said and f': {said}'}"


def _settled(answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        raise Failed(Cause.HUB, f"{answer.url.path} {_words(answer)}")
