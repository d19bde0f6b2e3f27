from __future__ import annotations

import json
from typing import Any

import pytest

from provisioner.remote.messages import Asked, CellError, KernelDied, execute


def from_kernel(asked: Asked | None, kind: str, **content: Any) -> str:
    parent = {"msg_id": asked.request["header"]["msg_id"]} if asked else {}
    return json.dumps({"msg_type": kind, "parent_header": parent, "content": content})


def test_what_a_cell_prints_and_returns_is_kept_until_the_kernel_is_idle() -> None:
    asked = execute("print(1); 2")
    assert not asked.hear(from_kernel(asked, "status", execution_state="busy"))
    assert not asked.hear(from_kernel(asked, "stream", text="1\n"))
    assert not asked.hear(from_kernel(asked, "execute_result", data={"text/plain": "2"}))
    assert not asked.hear(from_kernel(asked, "status", execution_state="idle"))
    assert asked.hear(from_kernel(asked, "execute_reply", status="ok"))
    assert asked.said == ["1\n", "2"]


def test_others_messages_are_not_ours() -> None:
    asked, other = execute("1"), execute("2")
    assert not asked.hear(from_kernel(other, "status", execution_state="idle"))
    assert not asked.hear(from_kernel(other, "error", ename="E", evalue="x"))
    assert not asked.said


def test_an_error_is_told_in_the_kernels_words() -> None:
    """Only when it is over: what the cell still says belongs to it, not to the next one."""
    asked = execute("1 / 0")
    error = {"ename": "ZeroDivisionError", "evalue": "division by zero"}
    assert not asked.hear(from_kernel(asked, "error", **error))
    assert not asked.hear(from_kernel(asked, "execute_reply", status="error"))
    with pytest.raises(CellError, match="ZeroDivisionError: division by zero"):
        asked.hear(from_kernel(asked, "status", execution_state="idle"))


def test_a_cell_that_the_kernel_passed_over_has_failed() -> None:
    asked = execute("1")
    assert not asked.hear(from_kernel(asked, "status", execution_state="idle"))
    with pytest.raises(CellError, match="aborted"):
        asked.hear(from_kernel(asked, "execute_reply", status="aborted"))


def test_a_widgets_picture_is_passed_over() -> None:
    """A message with buffers is binary: the offsets of its parts, then JSON, then the buffers."""
    asked = execute("slider")
    assert not asked.hear(b"\x00\x00\x00\x02\x00\x00\x00\x0c\x00\x00\x00\x0e{}\x89PNG")
    assert not asked.hear(from_kernel(asked, "status", execution_state="idle"))
    assert asked.hear(from_kernel(asked, "execute_reply", status="ok"))


def test_after_a_cell_that_may_fail_the_next_one_runs() -> None:
    assert execute("1 / 0", may_fail=True).request["content"]["stop_on_error"] is False
    assert execute("1 / 0").request["content"]["stop_on_error"] is True


@pytest.mark.parametrize("state", ["restarting", "autorestarting", "dead"])
def test_a_kernel_that_died_never_answers_so_its_server_says_it(state: str) -> None:
    with pytest.raises(KernelDied):
        execute("x").hear(from_kernel(None, "status", execution_state=state))
