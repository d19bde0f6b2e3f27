"""Client tokens of RunInstances: zonal where a zone is named, regional otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.cloud import state
from tests.cloud.answers import Answer, Refusal
from tests.cloud.call import Call

NOT_COMPARED = {"ClientToken", "Action", "Version", "DryRun"}


@dataclass
class Launched:
    params: dict[str, str]
    answer: Answer


class Tokens:
    def __init__(self) -> None:
        self.seen: dict[tuple[str, str | None, str], Launched] = {}

    def replay(self, call: Call) -> Answer | None:
        """The first answer again, with the state the instance is in by now."""
        launched = self.seen.get(_scope(call))
        if launched is None:
            return None
        if launched.params != _compared(call):
            raise Refusal(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in "
                "previous request(s).",
            )
        body = launched.answer.body.decode()
        for instance_id in re.findall(r"<instanceId>(i-\w+)</instanceId>", body):
            instance = state.instance(instance_id)
            if instance is not None:
                now = f"<code>{instance.state_code}</code><name>{instance.state}</name>"
                body = re.sub(
                    r"(<instanceState>).*?(</instanceState>)", rf"\g<1>{now}\g<2>", body, flags=re.S
                )
        return Answer(200, body.encode())

    def keep(self, call: Call, answer: Answer) -> None:
        if call.params.get("ClientToken") and answer.status == 200:
            self.seen[_scope(call)] = Launched(_compared(call), answer)


def _scope(call: Call) -> tuple[str, str | None, str]:
    return call.region, call.facts.get("zone"), call.params.get("ClientToken", "")


def _compared(call: Call) -> dict[str, str]:
    return {name: value for name, value in call.params.items() if name not in NOT_COMPARED}
