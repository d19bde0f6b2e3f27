"""A kernel's websocket, for code that is not asynchronous.

websockets' own synchronous client reads a TLS connection in one thread while it writes in another.
OpenSSL does not allow that, and few versions of Python prevent it (cpython#76714, #134698): now and
then a request was lost, and nobody answered it. Here one event loop, in a thread of its own, does
both.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect

T = TypeVar("T")


class Channels:
    """An open websocket. A context manager; raises what websockets raises, and TimeoutError."""

    def __init__(self, url: str, *, timeout: float, **options: Any) -> None:
        """`options` are those of websockets' `connect`; `timeout` is for opening, in seconds."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._socket = self._do(self._open(url, timeout, options))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Channels:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, text: str) -> None:
        self._do(self._socket.send(text))

    def recv(self, timeout: float | None = None) -> str | bytes:
        """The next message. Raises TimeoutError when none comes in `timeout` seconds."""
        return self._do(asyncio.wait_for(self._socket.recv(), timeout))

    def close(self) -> None:
        try:
            self._do(self._socket.close())
        finally:
            self._end()

    async def _open(self, url: str, timeout: float, options: dict[str, Any]) -> ClientConnection:
        return await connect(url, open_timeout=timeout, max_size=None, proxy=None, **options)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
