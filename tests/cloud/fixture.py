"""A fake AWS in a process of its own, for as long as a test needs one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
REGION = "eu-west-2"
PATIENCE = 30.0


class FakeAws:
    """The cloud, as a test speaks to it."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        self.clients: dict[str, Any] = {}  # making one takes longer than most tests

    @property
    def environ(self) -> dict[str, str]:
        """What a child process needs in its environment to find this cloud, and no other."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "fake",
            "AWS_SECRET_ACCESS_KEY": "fake",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def client(self, service: str, region: str = REGION, **config: Any) -> Any:
        """A plain boto3 client, which does not retry unless it is told to."""
        key = repr((service, region, config))
        if key not in self.clients:
            self.clients[key] = self._client(service, region, config)
        return self.clients[key]

    def _client(self, service: str, region: str, config: dict[str, Any]) -> Any:
        import boto3
        from botocore.config import Config

        config = {"retries": {"total_max_attempts": 1}, "proxies": {}} | config
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="fake",
            aws_secret_access_key="fake",
            config=Config(**config),
        )

    def reset(self) -> None:
        """As new: no resources, no scripts, no log, the first settings."""
        self.tell("reset")

    def settings(self, **changed: Any) -> dict[str, Any]:
        """Change some; see tests/cloud/settings.py for what there is."""
        found: dict[str, Any] = self.tell("settings", **changed)
        return found

    def script(self, action: str, error: str | None = None, **more: Any) -> None:
        """Something goes wrong: see tests/cloud/faults.py."""
        self.tell("script", action=action, error=error, **more)

    def unscript(self) -> None:
        self.tell("unscript")

    def release(self) -> None:
        """Calls that hang are let go, now and from now on until the next reset."""
        self.tell("release")

    def calls(self, *actions: str, mutating: bool | None = None) -> list[dict[str, Any]]:
        """What was asked so far, in order."""
        return [
            call
            for call in self.tell("calls")
            if (not actions or call["action"] in actions) and mutating in (None, call["mutating"])
        ]

    def actions(self, mutating: bool | None = None) -> list[str]:
        return [call["action"] for call in self.calls(mutating=mutating)]

    def kill_before(self, number: int, pid: int | None = None) -> None:
        """The `number`-th mutating call from now on is never done: its caller dies first."""
        self.tell("kill", when="before", number=number, pid=pid)

    def kill_after(self, number: int, pid: int | None = None) -> None:
        """The `number`-th mutating call from now on is done, and its caller never knows."""
        self.tell("kill", when="after", number=number, pid=pid)

    def victim(self, pid: int) -> None:
        """Whom to kill, said after the child was started; the call in question waits for it."""
        self.tell("victim", pid=pid)

    @property
    def killed(self) -> int | None:
        pid: int | None = self.tell("killed")
        return pid

    def advance(self, seconds: float) -> None:
        """Let this much time pass in the cloud at once."""
        self.tell("advance", seconds=seconds)

    def shut_down(self, instance_id: str) -> None:
        """As if `poweroff` had been typed in the instance."""
        self.tell("shutdown", instance_id=instance_id)

    def console(self, instance_id: str, text: str) -> None:
        """What GetConsoleOutput says from now on."""
        self.tell("console", instance_id=instance_id, text=text)

    def address(self, instance_id: str, public: str) -> None:
        """Where something real answers in the place of this instance."""
        self.tell("address", instance_id=instance_id, public=public)

    def tell(self, word: str, **said: Any) -> Any:
        request = urllib.request.Request(f"{self.url}/_fake/{word}", json.dumps(said).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Plain())
        with opener.open(request, timeout=PATIENCE) as answer:
            found = json.loads(answer.read())
            if answer.status != 200:
                raise ValueError(found["error"])
            return found


class _Plain(urllib.request.HTTPErrorProcessor):
    """A refusal is an answer to be read here."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response


@contextmanager
def fake_aws(*arguments: str) -> Iterator[FakeAws]:
    """`arguments` go to tests/cloud/server.py: --pending 0, --on-run CMD …"""
    command = [sys.executable, "-m", "tests.cloud.server", "--with-parent", *arguments]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError("the fake cloud did not start; its words are above")
            host = arguments[arguments.index("--host") + 1] if "--host" in arguments else ""
            yield FakeAws(f"http://{host or '127.0.0.1'}:{port}", process.pid)
        finally:
            process.terminate()
            process.wait(PATIENCE * 3)
