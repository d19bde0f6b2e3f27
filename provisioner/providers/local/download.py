"""Large files over the network: continued where a connection broke, believed once they add up."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from provisioner.errors import Refused

ATTEMPTS = 6
PAUSE = 3.0
"""Seconds before a broken download goes on."""

_TIMEOUT = httpx.Timeout(20.0, read=60.0)
_BLOCK = 1 << 20

Tell = Callable[[int, int], None]
"""Told (bytes that are here, bytes in all); 0 in all when the server does not say."""


@contextmanager
def client(trusted: ssl.SSLContext) -> Iterator[httpx.Client]:
    """Proxies are those of the environment, as for every other program."""
    with httpx.Client(verify=trusted, timeout=_TIMEOUT, follow_redirects=True) as made:
        yield made


def text(http: httpx.Client, url: str, *, timeout: float = 20.0) -> str:
    """A small file. Raises Refused in words."""
    try:
        answer = http.get(url, timeout=timeout)
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        raise Refused(f"{url} answers {error.response.status_code}") from None
    except (httpx.HTTPError, OSError) as error:
        raise Refused(f"{url} does not answer: {error}") from None
    return answer.text


def download(http: httpx.Client, url: str, target: Path, tell: Tell) -> None:
    """Have all of `url` in `target`, going on from what is there after each broken connection.

    Raises Refused: a refusing server, too little disk, or no connection that lasts.
    """
    reason: Exception | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        try:
            return _go_on(http, url, target, tell)
        except httpx.HTTPStatusError as error:
            raise Refused(f"{url} answers {error.response.status_code}") from None
        except httpx.HTTPError as error:
            reason = error
    raise Refused(
        f"{url} broke off {ATTEMPTS} times: {reason}", hint="try again on a steadier connection"
    )


def _go_on(http: httpx.Client, url: str, target: Path, tell: Tell) -> None:
    here = target.stat().st_size if target.exists() else 0
    # A compressed answer could not be continued.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={here}-"} if here else {})
    with http.stream("GET", url, headers=headers) as answer:
        if here and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing; whether it is right, the checksum says
        answer.raise_for_status()
        if answer.status_code != httpx.codes.PARTIAL_CONTENT:
            here = 0  # this server starts over
        length = int(answer.headers.get("Content-Length", 0))
        _require_room(target, length)
        total = here + length if length else 0
        with target.open("r+b" if here else "wb") as file:
            file.seek(here)
            for block in answer.iter_raw():  # in no larger pieces: what is held back is lost
                file.write(block)
                here += len(block)
                tell(here, total)


def _require_room(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise Refused(
            f"The download has {needed / 1e6:,.0f} MB more;"
            f" {target.parent} has {free / 1e6:,.0f} MB free",
            hint="provision bake --prune, or make room",
        )


def copy(source: Path, target: Path, tell: Tell) -> None:
    """A file of this computer, in the same manner."""
    total = source.stat().st_size
    _require_room(target, total)
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(_BLOCK):
            writing.write(block)
            tell(writing.tell(), total)


def sha512(file: Path) -> str:
    """In hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha512").hexdigest()
