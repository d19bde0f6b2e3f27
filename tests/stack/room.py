"""In the place of proxy and hub behind a real Caddy: answers anything, with stack/check.py's own
handlers among it, and remembers what it was asked.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from tests.stack.acme import STACK

NOTEBOOK = '{"cells": [' + ", ".join(['{"source": "5 * 4"}'] * 400) + "]}"


def check() -> ModuleType:
    """stack/check.py, as the hub imports it."""
    pytest.importorskip("tornado")
    spec = importlib.util.spec_from_file_location("check", STACK / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check"] = module
    spec.loader.exec_module(module)
    return module


class Room:
    """`websockets`: "echo", "refused" as by an old middlebox, or "silent" as by a worse one."""

    def __init__(self, check: ModuleType) -> None:
        self.check = check
        self.websockets = "echo"
        self.seen: list[tuple[str, str, dict[str, str]]] = []  # method, URI, header fields
        self.port = 0


@contextmanager
def room() -> Iterator[Room]:
    checks = check()
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application, RequestHandler

    here = Room(checks)

    class Anything(RequestHandler):
        def answer(self) -> None:
            fields = {key.lower(): value for key, value in self.request.headers.get_all()}
            here.seen.append((str(self.request.method), self.request.uri or "", fields))
            self.set_header("Server", "Room")
            self.finish("from the room " + "x" * 2000)

        get = head = post = put = delete = answer

    class Bare(RequestHandler):
        """What configurable-http-proxy says when there is no hub: a code, and no type."""

        def get(self) -> None:
            self.clear_header("Content-Type")
            self.set_status(503)
            self.finish("Service Unavailable")

        post = get

    class Page(RequestHandler):
        def get(self) -> None:
            self.set_status(503)
            self.finish("<h1>Your server appears to be down</h1>")

    class Typed(RequestHandler):
        def get(self, kind: str) -> None:
            self.set_header("Content-Type", kind)
            self.finish(NOTEBOOK)

    class Echo(checks.Echo):  # type: ignore[misc, name-defined]
        async def get(self, *args: Any, **kwargs: Any) -> None:
            if here.websockets == "silent":
                await asyncio.sleep(60)
            if here.websockets == "refused":
                self.send_error(403)
                return
            await super().get(*args, **kwargs)

    handlers: list[Any] = [("/hub/check/echo", Echo)]
    handlers += [(f"/hub{path}", handler) for path, handler in checks.HANDLERS]
    handlers += [("/bare", Bare), ("/page", Page), ("/typed/(.*)", Typed), ("/.*", Anything)]
    started = threading.Event()
    ended: list[Any] = []

    async def serve() -> None:
        sockets = bind_sockets(0, "127.0.0.1")
        here.port = sockets[0].getsockname()[1]
        server = HTTPServer(Application(handlers))
        server.add_sockets(sockets)
        end = asyncio.Event()
        ended.append((asyncio.get_running_loop(), end))
        started.set()
        await end.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield here
    finally:
        loop, end = ended[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
