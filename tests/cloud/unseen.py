"""Eventual consistency: for a while, a new thing is not known to the calls that look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cloud import state
from tests.cloud.answers import Answer, Refusal
from tests.cloud.call import Call
from tests.cloud.clock import CLOCK
from tests.cloud.settings import Settings

LOOKS = {"DescribeInstances": "i-", "DescribeInstanceStatus": "i-", "DescribeSecurityGroups": "sg-"}
MAKES = {
    "RunInstances": r"<instanceId>(i-\w+)</instanceId>",
    "CreateSecurityGroup": r"<groupId>(sg-\w+)</groupId>",
}


@dataclass
class Window:
    region: str
    calls: int
    until: float


class Unseen:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.windows: dict[str, Window] = {}

    def made(self, call: Call, answer: Answer) -> None:
        calls, seconds = self.settings.unseen_calls, self.settings.unseen_seconds
        pattern = MAKES.get(call.action)
        if answer.status != 200 or pattern is None or not (calls or seconds):
            return
        for found in re.findall(pattern, answer.body.decode()):
            self.windows.setdefault(found, Window(call.region, calls, CLOCK.now() + seconds))

    @contextmanager
    def hidden(self, call: Call) -> Iterator[None]:
        """What is not visible yet is not there while `call` looks."""
        prefix = LOOKS.get(call.action)
        now = CLOCK.now()
        open_ = {
            name: window
            for name, window in self.windows.items()
            if window.region == call.region and (window.calls > 0 or now < window.until)
        }
        if prefix is None:
            self._refuse_use(call, open_)
            yield
            return
        names = {name for name in open_ if name.startswith(prefix)}
        for name in names:
            open_[name].calls -= 1
        with _without_instances(call.region, names), _without_groups(call.region, names):
            yield

    def _refuse_use(self, call: Call, open_: dict[str, Window]) -> None:
        if self.settings.unseen_by != "all" or call.action == "RunInstances":
            named: set[str] = set()
        else:
            named = call.instances | call.groups
        for name in sorted(named & open_.keys()):
            open_[name].calls -= 1
            if name.startswith("sg-"):
                words = f"The security group '{name}' does not exist"
                raise Refusal("InvalidGroup.NotFound", words)
            raise Refusal("InvalidInstanceID.NotFound", f"The instance ID '{name}' does not exist")


@contextmanager
def _without_instances(region: str, names: set[str]) -> Iterator[None]:
    backend = state.cloud(region)
    kept = dict(backend.reservations)
    for number, reservation in kept.items():
        if any(one.id in names for one in reservation.instances):
            del backend.reservations[number]
    try:
        yield
    finally:
        backend.reservations = kept


@contextmanager
def _without_groups(region: str, names: set[str]) -> Iterator[None]:
    groups = state.cloud(region).groups
    taken = [
        (vpc, name, members.pop(name))
        for vpc, members in list(groups.items())
        for name in names & members.keys()
    ]
    try:
        yield
    finally:
        for vpc, name, group in taken:
            groups[vpc][name] = group
