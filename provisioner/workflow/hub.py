"""What is asked of the hub over SSH, and what ends somebody's sessions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.errors import NotReady, NotYet
from provisioner.protocols import Clock, Remote
from provisioner.render import hub
from provisioner.workflow.waiting import wait_for

END_BUDGET = 90.0
"""Seconds for a server that is just starting, or takes its time to stop."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int  # HTTP's; 0: the hub is away
    body: Any

    @property
    def words(self) -> str:
        said = self.body.get("message", "") if isinstance(self.body, dict) else self.body
        return f"the hub answers {self.status}: {said or 'nothing'}"


def ask(remote: Remote, asked: list[dict[str, Any]]) -> list[Answer]:
    """The hub's answers, in order. Raises NotYet when it can't be asked now."""
    if not asked:
        return []
    said = remote.run(hub.ASK, timeout=120, stdin=hub.questions(asked))
    try:
        answers = [Answer(**json.loads(line)) for line in said.out.splitlines()]
    except (TypeError, ValueError):
        answers = []
    if not said.ok or len(answers) != len(asked):
        raise NotYet("the hub can't be asked", details=tuple(said.err.splitlines()[-3:]))
    if any(answer.status in {0, 502, 503} for answer in answers):
        raise NotYet("the hub does not answer")
    return answers


def end_sessions(remote: Remote, usernames: Sequence[str], clock: Clock) -> None:
    """End every session of these people: their servers stop, their cookies and tokens are worth
    nothing any more. Their files stay, and who is still in users.json may log in again.

    The hub forgets them; it knows them again from their next login on. Idempotent.
    Raises NotReady with the hub's words.
    """
    left = list(usernames)

    def all_gone() -> None:
        answers = ask(remote, [hub.question("DELETE", hub.user_path(name)) for name in left])
        pairs = list(zip(list(left), answers, strict=True))
        left[:] = [name for name, answer in pairs if answer.status not in {204, 404}]
        for name, answer in pairs:
            if answer.status in {401, 403}:
                raise NotReady(f"The session of {name} can't be ended: {answer.words}")
            if name in left:
                raise NotYet(f"{name}: {answer.words}")

    wait_for(all_gone, budget=END_BUDGET, clock=clock)
