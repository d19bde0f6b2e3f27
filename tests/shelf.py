"""A web server on loopback that gives files from a folder: whole or in part, or as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Shelf:
    """What is there, how it answers, and what it was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.sizes = True
        self.breaks_at = 0  # bytes after which a body ends early, once
        self.statuses: dict[str, int] = {}
        self.headers: dict[str, str] = {}  # of every answer that is one
        self.asked: list[tuple[str, str, str]] = []  # method, path, Range


class _Handler(BaseHTTPRequestHandler):
    shelf: Shelf

    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        shelf, wanted = self.shelf, self.headers.get("Range", "")
        shelf.asked.append((self.command, self.path, wanted))
        content = shelf.files.get(self.path)
        status = shelf.statuses.get(self.path, 404 if content is None else 200)
        if status != 200 or content is None:
            self.send_error(status)
            return
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if not shelf.ranges:
            start = 0
        if start and start >= len(content):
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        for name, value in shelf.headers.items():
            self.send_header(name, value)
        if shelf.sizes:
            self.send_header("Content-Length", str(len(body)))
        if start:
            whole = len(content)
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if shelf.breaks_at:
            body, shelf.breaks_at = body[: shelf.breaks_at], 0
        self.wfile.write(body)


@contextmanager
def shelf() -> Iterator[Shelf]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.shelf = made = Shelf(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
