"""Making one machine, from wherever an earlier making stopped.

Order: what is chosen is written down; then the security group; then, where wanted, a static
address; then the machine. Each is found if it is there, so that doing it again is always right.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

from provisioner.errors import NotReady, ProvisionError, Refused
from provisioner.models import Spec
from provisioner.providers.aws import (
    address,
    folder,
    image,
    instances,
    ladder,
    network,
    pricing,
    tags,
)
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.folder import Choice
from provisioner.providers.aws.journal import RUN, Journal
from provisioner.providers.aws.removal import Removal

LIVES = 3
"""A token may bring back a machine that has ended; so many of them are taken for bad luck."""


@dataclass(frozen=True, slots=True)
class Making:
    """`whereabouts` tells the operator's public address; `tell` hears of each failed attempt."""

    clients: Clients
    journal: Journal
    spec: Spec
    whereabouts: Callable[[], str]
    sleep: Callable[[float], None]
    tell: Callable[[str], None]

    def __call__(self) -> dict[str, Any] | None:
        """The machine as described, or None when there is one that AWS does not show yet.

        Raises Refused when there is none and nothing was left behind, NotReady when that can't be
        said.
        """
        seen = instances.of(self.clients, self.spec.id)
        instances.recognise(self.journal, seen)
        if seen and not instances.ended(seen[0]):
            self._let_operator_in(seen[0])
            return seen[0]
        if self.journal.unseen():
            return None
        try:
            return self._make()
        except Refused:
            self._tidy()
            raise

    def _make(self) -> dict[str, Any]:
        ssh_from = source(self.spec, self.whereabouts)
        choice, net = self._choose()
        group = network.make_group(
            self.clients, self.journal, self.spec, choice.vpc, choice.owner, self.sleep
        )
        choice = folder.write(self.spec.folder, replace(choice, group=group))
        network.open_ports(self.clients, self.journal, group, ssh_from, self.sleep)
        if self.spec.aws.static_ip:
            address.allocate(self.clients, self.journal, self.spec, choice.owner)
        climbing = ladder.Ladder(
            self.clients, self.journal, self.spec, choice, self.sleep, self.tell
        )
        for entry in self.journal.unresolved(RUN):
            made = climbing.settle(entry)
            if made and not self._over(made):
                return made
        for _ in range(LIVES):
            late = [facts["zone"] for facts in self.journal.endings().values() if facts["why"]]
            made = climbing.climb(ladder.places(self.clients, self.spec, net, last=late))
            if not self._over(made):
                return made
        raise NotReady(
            f"Each machine that AWS gave had ended already, {LIVES} times",
            hint=f"provision launch {self.spec.name}",
        )

    def _choose(self) -> tuple[Choice, network.Net]:
        """What was chosen before, or is chosen now, on disk."""
        spec, net = self.spec, network.find(self.clients, self.spec.aws.subnet)
        choice = folder.read(spec.folder)
        if choice is None or choice.id != spec.id:
            caller = self.clients.caller()
            who = spec.owner or caller.arn.rpartition("/")[2]
            choice = Choice(
                spec.id, spec.name, caller.account, self.clients.region, tags.value(who)
            )
        if not choice.ami:
            wanted = pricing.arch(pricing.candidates(spec, self.clients.region)[0])
            found = image.find(self.clients, spec.aws.ami, wanted)
            choice = replace(
                choice, ami=found.id, root_device=found.root_device, least_disk=found.disk
            )
        return folder.write(spec.folder, replace(choice, vpc=net.vpc)), net

    def _over(self, made: dict[str, Any]) -> bool:
        """Whether an old token brought back what is no more."""
        instances.recognise(self.journal, [made])
        return instances.ended(made)

    def _let_operator_in(self, instance: dict[str, Any]) -> None:
        """The operator may have moved since; the group of a workshop is the one with its name."""
        name = network.group_name(self.spec.name, self.spec.id)
        for group in instance.get("SecurityGroups", ()):
            if group["GroupName"] != name:
                continue
            try:
                ssh_from = source(self.spec, self.whereabouts)
            except Refused as error:  # it may still be where it was
                self.tell(error.message)
                return
            network.open_ports(self.clients, self.journal, group["GroupId"], ssh_from, self.sleep)

    def _tidy(self) -> None:
        """Nothing is made, so nothing stays: not even what costs nothing.

        What can't be removed now is not worth another error; a teardown names it.
        """
        if not self.journal.unresolved(RUN):
            with suppress(ProvisionError):
                Removal(self.clients, self.journal, self.spec.id)()


def source(spec: Spec, whereabouts: Callable[[], str]) -> str:
    """The network that may reach port 22, as a CIDR. Raises Refused when it is not known."""
    return spec.aws.ssh_from or str(ip_network(whereabouts()))
