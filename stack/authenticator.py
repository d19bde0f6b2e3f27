"""Who may log in: the names in users.json, each with a hash, throttled name by name.

No maintained authenticator fits: FirstUse and Native let people set passwords, core's
SharedPassword lets everybody be anybody, and none slows guessing down.
The upper half needs nothing but the standard library; the class at the end makes it JupyterHub's.
"""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

FREE_TRIES = 5
LONGEST_WAIT = 60.0  # seconds


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
    failures: dict = field(default_factory=dict)  # name → (how many, when the last)

    def wait(self, name: str) -> float:
        """Seconds until this name may try again; 0 is now."""
        count, last = self.failures.get(name, (0, 0.0))
        if count < FREE_TRIES:
            return 0.0
        pause = min(LONGEST_WAIT, 2.0 ** (count - FREE_TRIES))
        return max(0.0, last + pause - self.clock())

    def failed(self, name: str) -> None:
        count, _ = self.failures.get(name, (0, 0.0))
        if len(self.failures) > 10_000:  # made-up names must not fill the memory
            self.failures.clear()
        self.failures[name] = (count + 1, self.clock())

    def succeeded(self, name: str) -> None:
        self.failures.pop(name, None)


class Door:
    """The decision, without JupyterHub: users, throttle, hash."""

    def __init__(self, users: Users, throttle: Throttle) -> None:
        self.users, self.throttle = users, throttle

    def admits(self, name: str, password: str) -> dict:
        """JupyterHub's model of the user, or None. Takes tens of milliseconds of CPU."""
        name = name.strip().lower()
        if self.throttle.wait(name) > 0:
            return None
        user = self.users.get(name)
        right = matches(password.strip(), user["hash"] if user else NOBODY)
        if user is None or not right:
            self.throttle.failed(name)
            return None
        self.throttle.succeeded(name)
        return {"name": name, "admin": bool(user["admin"])}


try:
    from jupyterhub.auth import Authenticator
    from traitlets import Unicode
except ImportError:  # the upper half is tested without a hub
    pass
else:
    import asyncio

    class WorkshopAuthenticator(Authenticator):
        users_file = Unicode(config=True, help="Names and hashes; see Users.")

        def __init__(self, **kwargs) -> None:
            super().__init__(**kwargs)
            self._door = Door(Users(self.users_file), Throttle())

        async def authenticate(self, handler, data):
            name, password = data["username"], data["password"]
            return await asyncio.to_thread(self._door.admits, name, password)
