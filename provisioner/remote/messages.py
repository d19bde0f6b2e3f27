"""Jupyter's messaging protocol, as far as running a cell needs it; nothing is sent from here."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

GONE = {
    "restarting": "the kernel died and is started again",
    "autorestarting": "the kernel died and is started again",
    "dead": "the kernel died, and does not start again",
}


class CellError(Exception):
    """The cell raised something: its name and what it says."""


class KernelDied(Exception):
    """Nobody will answer any more. Too little memory is the usual cause."""


@dataclass
class Asked:
    """One request to a kernel, and what came back so far."""

    request: dict[str, Any]
    said: list[str] = field(default_factory=list)
    _wrong: str = ""  # what the cell raised; told when nothing more of it can come
    _idle: bool = False
    _replied: bool = False

    @property
    def text(self) -> str:
        """What the request is, for the websocket."""
        return json.dumps(self.request)

    def hear(self, message: str | bytes) -> bool:
        """Whether the kernel is done with it: it is idle and has replied, in either order.

        Raises CellError, once it is done; KernelDied.
        """
        if isinstance(message, bytes):  # a widget's, with buffers: none of what is read here
            return False
        reply = json.loads(message)
        kind, content = reply["msg_type"], reply["content"]
        if kind == "status" and content["execution_state"] in GONE:
            raise KernelDied(GONE[content["execution_state"]])
        if reply.get("parent_header", {}).get("msg_id") != self.request["header"]["msg_id"]:
            return False
        self._take(kind, content)
        done = self._idle and self._replied
        if done and self._wrong:
            raise CellError(self._wrong)
        return done

    def _take(self, kind: str, content: dict[str, Any]) -> None:
        if kind == "stream":
            self.said.append(content["text"])
        elif kind == "execute_result":
            self.said.append(content["data"].get("text/plain", ""))
        elif kind == "error":
            self._wrong = f"{content['ename']}: {content['evalue']}"
        elif kind == "status":
            self._idle = self._idle or content["execution_state"] == "idle"
        elif kind.endswith("_reply"):
            self._replied = True
            if content.get("status") == "aborted":
                self._wrong = self._wrong or "the kernel did not run it (aborted)"


def execute(code: str, *, may_fail: bool = False) -> Asked:
    """`may_fail`: what was asked after it is run all the same."""
    return Asked(
        _request(
            "execute_request",
            {
                "code": code,
                "silent": False,
                "store_history": False,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": not may_fail,
            },
        )
    )


def kernel_info() -> Asked:
    """What a browser asks first: the kernel is there once it has answered."""
    return Asked(_request("kernel_info_request", {}))


def _request(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "channel": "shell",
        "header": {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "username": "provision",
            "session": uuid.uuid4().hex,
            "version": "5.3",
        },
        "parent_header": {},
        "metadata": {},
        "content": content,
        "buffers": [],
    }
