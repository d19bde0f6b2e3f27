"""Asking for one machine until a zone has room for it: zones first, then other types.

Client tokens are kept by zone, so the same token in another zone would be a second machine.
Hence the rule: an attempt that may have succeeded is settled, in its zone and with its token,
before anything else is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.errors import NotReady, Refused
from provisioner.models import Spec
from provisioner.providers.aws import catalogue, instances, order, pricing
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.failures import QUOTAS, AwsError, Verdict
from provisioner.providers.aws.folder import Choice
from provisioner.providers.aws.journal import RUN, Entry, Journal
from provisioner.providers.aws.network import Net
from provisioner.providers.aws.order import Place

MISMATCH = "IdempotentParameterMismatch"
"""The token is known, with other parameters: it made a machine, or was about to."""

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between repetitions of an attempt that was not answered."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """All that climbing needs. `tell` gets a line for each attempt that failed."""

    clients: Clients
    journal: Journal
    spec: Spec
    choice: Choice
    sleep: Callable[[float], None]
    tell: Callable[[str], None]

    def climb(self, places: Sequence[Place]) -> dict[str, Any]:
        """The machine, as RunInstances describes it, from the first place that has room.

        Raises Refused when none has, with every attempt in its details; NotReady when it can't be
        said whether an attempt succeeded.
        """
        failed: list[str] = []
        hopeless: set[str] = set()  # types
        last: AwsError | None = None
        for place in places:
            if place.type in hopeless:
                continue
            try:
                return self._attempt(place)
            except AwsError as error:
                failed.append(f"{place}: {error.code}")
                self.tell(f"No {place}: {error.code}")
                if error.verdict is Verdict.NEXT_TYPE:
                    hopeless.add(place.type)
                elif error.verdict is not Verdict.NEXT_ZONE:
                    raise self._explained(error, place, failed) from None
                last = error
        raise self._full(failed, last)

    def settle(self, entry: Entry) -> dict[str, Any] | None:
        """What came of an attempt that an earlier run left open; None if it failed after all."""
        facts = entry.facts
        place = Place(facts["type"], facts["zone"], facts["subnet"])
        try:
            return self._ask(entry, place, unclear=True)
        except AwsError as error:
            if error.verdict in {Verdict.NEXT_ZONE, Verdict.NEXT_TYPE}:
                self.tell(f"No {place}: {error.code}")
                return None
            raise self._explained(error, place, [f"{place}: {error.code}"]) from None

    def _attempt(self, place: Place) -> dict[str, Any]:
        token = order.client_token(self.spec.id, self._generation(), place)
        facts = {"type": place.type, "zone": place.zone, "subnet": place.subnet}
        return self._ask(self.journal.intend(RUN, token=token, **facts), place, unclear=False)

    def _generation(self) -> int:
        """How many attempts came to an end. Each new one has a token of its own, since a used
        one may bring back a machine that is no more."""
        settled = [entry for entry in self.journal.entries(RUN) if entry.outcome]
        ours = {entry.said.get("instance") for entry in settled}
        return len(settled) + len(self.journal.endings().keys() - ours)

    def _ask(self, entry: Entry, place: Place, *, unclear: bool) -> dict[str, Any]:
        """Ask until there is an answer, and write it down. The token makes that one machine.

        `unclear`: this very request may have been carried out before. An attempt that stays
        unclear keeps its intent open.
        """
        token = entry.facts["token"]
        request = order.run_instances(self.spec, self.choice, place, token)
        for pause in (*PAUSES, None):
            try:
                made = self.clients.call(RUN, once=True, **request)["Instances"][0]
            except AwsError as error:
                unclear = unclear or error.unclear
                asking = error.verdict is Verdict.BACK_OFF and pause is not None
                settles = unclear and (error.code == MISMATCH or not asking)
                if settles and (found := self._by_token(token)):
                    made = found
                elif asking:
                    self.sleep(pause or 0)
                    continue
                elif unclear and self._stays_open(entry, error):
                    raise self._open(error, place) from None
                else:
                    self.journal.result(entry, "refused", code=error.code)
                    raise
            try:
                self.journal.result(entry, "done", instance=made["InstanceId"])
            except Refused as error:  # a refusal says that nothing was made
                raise NotReady(
                    f"{made['InstanceId']} was made, but {error.message}", hint=error.hint
                ) from None
            return dict(made)
        raise AssertionError("the last pause is None")

    def _stays_open(self, entry: Entry, error: AwsError) -> bool:
        """No room is an answer: had there been a machine, its token would have brought it."""
        if error.verdict in {Verdict.NEXT_ZONE, Verdict.NEXT_TYPE}:
            return False
        return error.code != MISMATCH or self.journal.fresh(entry)

    def _by_token(self, token: str) -> dict[str, Any] | None:
        filters = [{"Name": "client-token", "Values": [token]}]
        return next(iter(instances.described(self.clients, filters)), None)

    def _open(self, error: AwsError, place: Place) -> Exception:
        if error.verdict is Verdict.SIGN_IN:
            return error
        return NotReady(
            f"AWS has not said whether it made the machine ({place}): {error.message}",
            hint=f"provision launch {self.spec.name} asks again; there will be one machine",
        )

    def _explained(self, error: AwsError, place: Place, failed: Iterable[str]) -> AwsError:
        """The same error, with the one fix where it is a quota, and with every attempt."""
        if quota := QUOTAS.get(error.code):
            error.hint = ask_for_more(quota, place.type, self.clients.region)
        if error.verdict is Verdict.STOP:
            error.details = tuple(failed)
        return error

    def _full(self, failed: list[str], last: AwsError | None) -> Refused:
        name, region = self.spec.name, self.clients.region
        if last is None:
            kinds = ", ".join(pricing.candidates(self.spec, region))
            return Refused(
                f"No zone of {region} that can be used offers {kinds}",
                hint=f"provision teardown {name}, then launch with another --region",
            )
        return Refused(
            f"AWS has no room for this machine in {region} now, in any zone",
            hint=f"provision launch {name} again later; or provision teardown {name}, "
            "then launch with another --region",
            details=tuple(failed),
        )


def ask_for_more(quota: str, kind: str, region: str) -> str:
    """The command that asks AWS for a higher quota; vCPUs in the usual steps."""
    known = catalogue.load().find(kind)
    wanted = 10 if quota == QUOTAS["AddressLimitExceeded"] else 2 * (known.vcpus if known else 32)
    return (
        "aws service-quotas request-service-quota-increase --service-code ec2 "
        f"--quota-code {quota} --desired-value {wanted} --region {region}"
    )


def places(clients: Clients, spec: Spec, net: Net, *, last: Iterable[str] = ()) -> list[Place]:
    """Every zone that offers a type and has a free address, for each type in turn.

    Zones named in `last` were tried in vain before, and come after the others.
    """
    types, late = pricing.candidates(spec, clients.region), frozenset(last)
    offered = offerings(clients, types)
    usable = [subnet for subnet in net.subnets if subnet.free > 0]
    return [
        Place(kind, subnet.zone, subnet.id)
        for kind in types
        for subnet in sorted(usable, key=lambda item: (item.zone in late, item.zone))
        if (kind, subnet.zone) in offered
    ]


def offerings(clients: Clients, types: Iterable[str]) -> set[tuple[str, str]]:
    """(type, zone) of what the region's zones offer in principle."""
    pages = clients.pages(
        "ec2:DescribeInstanceTypeOfferings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": list(types)}],
    )
    return {(str(item["InstanceType"]), str(item["Location"])) for item in pages}
