"""Who may log in: the names in users.json, each with a hash, throttled name by name.

No maintained authenticator fits: FirstUse and Native let people set passwords, core's
SharedPassword lets everybody be anybody, and none slows guessing down.
The upper half needs nothing but the standard library; the class at the end makes it JupyterHub's.
"""

import base64
import hashlib
import hmac
import json
import logging
import math
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger("JupyterHub")  # the hub's own

FREE_TRIES = 5
LONGEST_WAIT = 60.0  # seconds
REMEMBERED = 10_000  # names; made-up ones must not fill the memory
INSTRUCTORS = "instructors"  # the group whose role is in jupyterhub_config.py


def matches(password: str, stored: str) -> bool:
    """Whether `password` is the one behind `scrypt$N$r$p$salt$key`, in constant time."""
    _, n, r, p, salt, key = stored.split("$")
    wanted = base64.b64decode(key)
    made = hashlib.scrypt(
        password.encode(),
        salt=base64.b64decode(salt),
        n=int(n),
        r=int(r),
        p=int(p),
        dklen=len(wanted),
    )
    return hmac.compare_digest(made, wanted)


# An unknown name costs the same time as a known one. Nothing has this hash.
NOBODY = "scrypt$16384$8$1$" + "A" * 22 + "==$" + "A" * 43 + "="


class Users:
    """users.json, read again whenever it was replaced."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen = None
        self._users = {}

    def get(self, name: str) -> dict:
        status = self._path.stat()
        seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        if seen != self._seen:
            self._users = json.loads(self._path.read_text(encoding="utf-8"))["users"]
            self._seen = seen
        return self._users.get(name)


@dataclass
class Throttle:
    """After FREE_TRIES wrong passwords a *name* waits, twice as long each time.

    Never by address: a classroom is one address.
    """

    clock: object = time.monotonic
    failures: dict = field(default_factory=dict)  # name → (how many, when the last), oldest first
    lock: object = field(default_factory=threading.Lock)

    def wait(self, name: str) -> float:
        """Seconds until this name may try again; 0 is now."""
        count, last = self.failures.get(name, (0, 0.0))
        if count < FREE_TRIES:
            return 0.0
        pause = min(LONGEST_WAIT, 2.0 ** (count - FREE_TRIES))
        return max(0.0, last + pause - self.clock())

    def begin(self, name: str) -> float:
        """A try, or the seconds until there may be one; 0: it has begun. It counts as wrong until
        it `succeeded`, so that a hundred guesses at once are a hundred and not one."""
        with self.lock:
            pause = self.wait(name)
            if pause <= 0:
                self.failed(name)
            return pause

    def failed(self, name: str) -> None:
        count, _ = self.failures.pop(name, (0, 0.0))
        if len(self.failures) >= REMEMBERED:
            del self.failures[next(iter(self.failures))]
        self.failures[name] = (count + 1, self.clock())

    def succeeded(self, name: str) -> None:
        with self.lock:
            self.failures.pop(name, None)


class TooSoon(Exception):
    """Nobody looked at the password, which may be the right one."""

    def __init__(self, seconds: float) -> None:
        self.seconds = math.ceil(seconds)
        super().__init__(
            "Too many wrong passwords for this name, so it has to wait. "
            f"Try again in {self.seconds} second{'s' if self.seconds > 1 else ''}."
        )


class Door:
    """The decision, without JupyterHub: users, throttle, hash."""

    def __init__(self, users: Users, throttle: Throttle) -> None:
        self.users, self.throttle = users, throttle

    def admits(self, name: str, password: str) -> dict:
        """JupyterHub's model of the user, or None. Takes tens of milliseconds of CPU and 16 MiB.

        Raises TooSoon, for names that nobody has as for others.
        """
        name = name.strip().lower()
        user = self.users.get(name)
        if pause := self.throttle.begin(name):
            if user:  # else it may be a password
                log.warning("throttled: %s, for %.0f s", name, math.ceil(pause))
            raise TooSoon(pause)
        right = matches(password.strip(), user["hash"] if user else NOBODY)
        if user is None or not right:
            return None
        self.throttle.succeeded(name)
        return {"name": name, **self.standing(name)}

    def standing(self, name: str) -> dict:
        """What a known user may do; None for somebody who is not, or no longer, in the file.

        Nobody is an admin of the hub: an instructor's rights are a group's, and smaller.
        """
        user = self.users.get(name)
        if user is None:
            return None
        return {"admin": False, "groups": [INSTRUCTORS] if user["admin"] else []}


class KnownNamesOnly(logging.Filter):
    """Keeps what was typed as a name out of the log, unless it is one: it may be a password."""

    def __init__(self, users: Users) -> None:
        super().__init__()
        self._users = users

    def filter(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith("Failed login for"):
            typed = str(record.args[0]) if record.args else ""
            known = self._users.get(typed.strip().lower()) is not None
            record.args = (typed if known else "a name that nobody has",)
        return True


try:
    from jupyterhub.auth import Authenticator
    from tornado.web import HTTPError
    from traitlets import Unicode
except ImportError:  # the upper half is tested without a hub
    pass
else:
    import asyncio
    import os
    from concurrent.futures import ThreadPoolExecutor

    class WorkshopAuthenticator(Authenticator):
        users_file = Unicode(config=True, help="Names and hashes; see Users.")

        def __init__(self, **kwargs) -> None:
            super().__init__(**kwargs)
            users = Users(self.users_file)
            self._door = Door(users, Throttle())
            self.log.addFilter(KnownNamesOnly(users))
            # A room that logs in at once takes turns: each hash is a core's work and 16 MiB.
            self._hashing = ThreadPoolExecutor(os.cpu_count() or 1)

        async def authenticate(self, handler, data):
            name, password = data.get("username", ""), data.get("password", "")
            loop = asyncio.get_running_loop()
            try:
                return await loop.run_in_executor(self._hashing, self._door.admits, name, password)
            except TooSoon as error:  # JupyterHub shows it in the form
                raise HTTPError(429, str(error)) from None

        async def refresh_user(self, user, handler=None):
            """Asked again every few seconds of use (auth_refresh_age): who was taken out of the
            file is out, whatever cookie or token they have."""
            standing = self._door.standing(user.name)
            if standing is None:
                return False
            same = not user.admin and standing["groups"] == [group.name for group in user.groups]
            return same or standing  # True: nothing to write to the database
