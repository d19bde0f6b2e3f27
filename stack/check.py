"""What the page /check asks the hub for: an echo over a WebSocket, and some bytes.

Anybody may ask, so both are bounded, know nobody, and touch neither database nor sessions.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

BYTES = os.urandom(1 << 19)  # does not compress
AT_ONCE = 100  # a room of people and some
SECONDS = 15  # the page needs one or two
LETTERS = 64
MESSAGES = 20


class Bytes(RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Cache-Control", "no-store")
        self.write(BYTES)


class Echo(WebSocketHandler):
    """Only pages of this site get one: tornado compares Origin with Host."""

    connected: ClassVar[set[Echo]] = set()
    left = MESSAGES
    end: object = None

    @property
    def max_message_size(self) -> int:
        return LETTERS

    async def get(self, *args: Any, **kwargs: Any) -> None:
        if len(self.connected) >= AT_ONCE:
            raise HTTPError(503)
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        self.connected.add(self)
        self.end = IOLoop.current().call_later(SECONDS, self.close)

    async def on_message(self, message: str | bytes) -> None:
        self.left -= 1
        if self.left < 0:
            self.close()
            return
        await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        self.connected.discard(self)
        if self.end is not None:
            IOLoop.current().remove_timeout(self.end)


HANDLERS = [(r"/check/echo", Echo), (r"/check/bytes", Bytes)]
