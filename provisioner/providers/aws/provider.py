"""AwsProvider: the Provider seam, and the optional ones, for one EC2 instance a workshop.

What exists is read from AWS by tag, what was asked for from the journal; both together say what
is so, and either alone is enough to find everything and to end it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from provisioner.errors import NotYet, Refused, UsageError
from provisioner.models import (
    AwsOptions,
    Findings,
    Found,
    Quote,
    Resource,
    Server,
    ServerState,
    Spec,
)
from provisioner.providers.aws import (
    address,
    audit,
    discovery,
    folder,
    instances,
    network,
    preflight,
    pricing,
    tags,
)
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.failures import Unanswered, going_on
from provisioner.providers.aws.folder import Choice
from provisioner.providers.aws.journal import RUN, WINDOW, Journal
from provisioner.providers.aws.kinds import KINDS
from provisioner.providers.aws.making import Making
from provisioner.providers.aws.operator import public_address
from provisioner.providers.aws.removal import Removal


def _now() -> datetime:
    return datetime.now(UTC)


def _unheard(line: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Site:
    """Where one workshop is: its region, its journal, and what its folder says, if it has one."""

    id: str
    clients: Clients
    journal: Journal
    choice: Choice | None

    @property
    def name(self) -> str:
        return self.choice.name if self.choice else ""


class AwsProvider:
    """Machines of the operator's account.

    `home` holds one folder a workshop. `options` say which profile and region; a workshop that has
    a folder is looked for where that says. `tell` hears of each place that had no room.
    """

    name = "aws"

    def __init__(
        self,
        home: Path,
        options: AwsOptions | None = None,
        *,
        whereabouts: Callable[[], str] = public_address,
        tell: Callable[[str], None] = _unheard,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = _now,
        window: timedelta = WINDOW,
    ) -> None:
        options = options or AwsOptions()
        self._home = home
        self._clients = Clients(profile=options.profile, region=options.region)
        self._whereabouts, self._tell = whereabouts, tell
        self._sleep, self._now, self._window = sleep, now, window
        self._without_folder: dict[str, Journal] = {}
        self._options = options
        self._admitted: set[str] = set()

    # Provider

    def check(self, spec: Spec) -> Findings:
        clients = self._clients.elsewhere(spec.aws.region)
        return preflight.findings(spec, clients, self._whereabouts, self._now)

    def create(self, spec: Spec) -> Server:
        """One machine per workshop id, whatever was killed in between; starts one that is off.

        Raises Refused (nothing is there), NotReady (AWS does not say whether it is, or it is just
        being stopped), UsageError (nobody is signed in).
        """
        with going_on(f"provision launch {spec.name}"):
            site = self._site(spec.id, spec.folder, self._clients.elsewhere(spec.aws.region))
            self._same_account(site)
            making = Making(
                site.clients, site.journal, spec, self._whereabouts, self._sleep, self._tell
            )
            made = making()
            if made is None:
                return self._unseen(site)
            if instances.state(made) in {"stopping", "stopped"}:
                return self._start(site, made)
            return self._server(site, made)

    def find(self, workshop_id: str) -> Server | None:
        """A machine that ended although nobody asked for it is still told, with the reason, for as
        long as AWS shows it; one that AWS may not show yet is pending."""
        with self._at(workshop_id) as site:
            for instance in instances.of(site.clients, workshop_id):
                if not instances.ended(instance):
                    return self._server(site, instance)
                deleted = instance["InstanceId"] in site.journal.endings()
                if instances.why(instance) and not deleted:
                    return self._server(site, instance)
            return self._unseen(site) if self._unsettled(site) else None

    def delete(self, workshop_id: str) -> None:
        with self._at(workshop_id, "teardown") as site:
            Removal(site.clients, site.journal, workshop_id)()

    def leftovers(self, workshop_id: str) -> list[Resource]:
        with self._at(workshop_id, "teardown") as site:
            return audit.leftovers(site.clients, site.journal, workshop_id, site.name)

    # Discovers, DiscoversEverywhere, Quotes, ConsoleLog

    def discover(self) -> list[Found]:
        return discovery.discover(self._clients)

    def discover_everywhere(self) -> list[Found]:
        return discovery.discover_everywhere(self._clients)

    def quote(self, spec: Spec) -> Quote:
        return pricing.quote(spec, self._clients.elsewhere(spec.aws.region).region)

    def console(self, workshop_id: str) -> str:
        """The newest 64 KiB; on types of machine that can't say the newest, what was at boot."""
        with self._at(workshop_id) as site:
            for instance in self._living(site):
                asked = {"InstanceId": instance["InstanceId"]}
                try:
                    said = site.clients.call("ec2:GetConsoleOutput", Latest=True, **asked)
                except Refused:
                    said = site.clients.call("ec2:GetConsoleOutput", **asked)
                return str(said.get("Output") or "")
        return ""

    # Pauses, KeepsDeadline

    def stop(self, workshop_id: str) -> None:
        """Raises Refused for a spot machine, which would be lost."""
        with self._at(workshop_id, "stop") as site:
            for instance in self._living(site):
                if instance.get("InstanceLifecycle") == "spot":
                    raise Refused(
                        "A spot machine can't be stopped and started again",
                        hint=f"provision teardown {site.name}",
                    )
                name = instance["InstanceId"]
                with site.journal.intent("ec2:StopInstances", id=name):
                    site.clients.call("ec2:StopInstances", InstanceIds=[name])

    def start(self, workshop_id: str) -> Server:
        """Raises Refused when there is no machine, NotYet while it is still stopping."""
        with self._at(workshop_id, "start") as site:
            for instance in self._living(site):
                return self._start(site, instance)
            raise Refused(
                "AWS has no machine of this workshop",
                hint=f"provision launch {site.name}".strip(),
            )

    def set_deadline(self, workshop_id: str, expires_at: datetime) -> None:
        """On everything that the workshop has. What fires is the machine's own timer."""
        with self._at(workshop_id, "extend") as site:
            names = [
                item[kind.id]
                for kind in KINDS
                if kind.ours
                for item in kind.found(site.clients, tags.one(workshop_id))
            ]
            if names:
                label = {"Key": tags.EXPIRES, "Value": tags.moment(expires_at)}
                with site.journal.intent("ec2:CreateTags", expires=label["Value"]):
                    site.clients.call("ec2:CreateTags", Resources=names, Tags=[label])

    # Admits

    def admit(self, workshop_id: str) -> None:
        """Let the operator's address of today use SSH: people travel between launch and end."""
        if workshop_id in self._admitted:
            return
        self._admitted.add(workshop_id)
        with self._at(workshop_id) as site:
            here = self._options.ssh_from or str(ip_network(self._whereabouts()))
            for instance in self._living(site):
                for group in instance.get("SecurityGroups", ()):
                    if str(group["GroupName"]).startswith("provision-"):
                        network.open_ports(
                            site.clients, site.journal, str(group["GroupId"]), here, self._sleep
                        )

    # The rest is how.

    @contextmanager
    def _at(self, workshop_id: str, verb: str = "status") -> Iterator[Site]:
        """The workshop's site, with credentials of the account that it is in."""
        site = self._site(workshop_id, folder.of(self._home, workshop_id), self._clients)
        with going_on(f"provision {verb} {site.name}".strip()):
            self._same_account(site)
            yield site

    def _site(self, workshop_id: str, place: Path | None, clients: Clients) -> Site:
        choice = folder.read(place) if place else None
        if choice is not None and choice.id != workshop_id:
            choice = None
        if choice is not None:
            clients = clients.elsewhere(choice.region)
        if place is None:
            journal = self._without_folder.setdefault(
                workshop_id, Journal(None, self._now, self._window)
            )
        else:
            journal = Journal(place / folder.JOURNAL, self._now, self._window)
        return Site(workshop_id, clients, journal, choice)

    def _same_account(self, site: Site) -> None:
        """In another account everything looks deleted, while it goes on costing money."""
        if site.choice is None:
            return
        caller = site.clients.caller()
        if caller.account != site.choice.account:
            raise UsageError(
                f"Workshop {site.name!r} is in AWS account {site.choice.account}; your credentials "
                f"are of account {caller.account} ({caller.arn})",
                hint="set AWS_PROFILE, or aws.profile, to that account's",
            )

    def _living(self, site: Site) -> list[dict[str, Any]]:
        found = instances.of(site.clients, site.id)
        return [instance for instance in found if not instances.ended(instance)]

    def _unsettled(self, site: Site) -> bool:
        """Whether there may be a machine that AWS does not show yet."""
        open_ = [entry for entry in site.journal.unresolved(RUN) if site.journal.fresh(entry)]
        return bool(open_ or site.journal.unseen())

    def _unseen(self, site: Site) -> Server:
        name = next(iter(site.journal.unseen()), "")
        return instances.unseen(name, "AWS has been asked for it and does not show it yet")

    def _server(self, site: Site, instance: dict[str, Any]) -> Server:
        """Also gives a machine that runs the static address that waits for it."""
        if instances.state(instance) == "running" and not instance.get("PublicIpAddress"):
            found = address.attach(site.clients, site.journal, site.id, str(instance["InstanceId"]))
            instance = instance | {"PublicIpAddress": found}
        price = pricing.hourly(str(instance["InstanceType"]), site.clients.region)
        return instances.server(instance, hourly=price)

    def _start(self, site: Site, instance: dict[str, Any]) -> Server:
        name = str(instance["InstanceId"])
        try:
            with site.journal.intent("ec2:StartInstances", id=name):
                site.clients.call("ec2:StartInstances", InstanceIds=[name])
        except Unanswered as error:
            if error.code != "IncorrectInstanceState":
                raise
            raise NotYet(
                "The machine is still stopping; it can be started once it is off",
                hint=error.hint or f"provision launch {site.name}".strip(),
            ) from None
        return replace(
            self._server(site, instance), state=ServerState.PENDING, address="", ssh_host=""
        )
