"""HostProvider: the Provider seam for machines that are somebody's already, over their SSH."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from provisioner.errors import NotYet, ProvisionError, Refused
from provisioner.models import (
    Finding,
    Findings,
    Found,
    HostOptions,
    Resource,
    Server,
    ServerState,
    Severity,
    Size,
    Spec,
)
from provisioner.providers.host import bootstrap, claim, facts, preflight, traces, upload
from provisioner.providers.host.claim import Claim
from provisioner.providers.host.reach import Connect, Reach, typed
from provisioner.render.bundle import ROOT

REMOVAL = 600
"""Seconds that removing may be silent: large images, purging Docker."""


class HostProvider:
    """One workshop a machine. Nothing is kept here that is not read from the machines again.

    `machines` are those to look on for a workshop: the one that was named, or all of the records.
    `connect` opens the operator's own connection and raises NotYet or Refused. `locate` says where
    participants reach a machine: an IP address, if one can be told from here.
    """

    name = "host"

    def __init__(
        self,
        *,
        connect: Connect,
        machines: Callable[[], Iterable[HostOptions]],
        locate: Callable[[HostOptions], str],
    ) -> None:
        self._reach, self._machines, self._locate = Reach(connect), machines, locate
        self._seen: dict[str, Server] = {}

    # Provider

    def check(self, spec: Spec) -> Findings:
        try:
            machine = _named(spec.host)
            return preflight.findings(
                facts.parse_facts(self._reach.must(machine, facts.FACTS)),
                self._scan(machine),
                self._claim(machine),
                spec.id,
            )
        except ProvisionError as error:
            return (Finding(Severity.ERROR, "host", error.message, error.hint),)

    def create(self, spec: Spec) -> Server:
        """Claim the machine, send it the bundle and begin the bootstrap, where that is not done.

        Raises Refused: another workshop's machine, or one that cannot carry any.
        """
        machine = _named(spec.host)
        held = self._claim(machine) or self._take(machine, spec)
        if held.id != spec.id:
            raise Refused(
                f"{machine.address} carries another workshop, {held.name!r}",
                hint=f"provision teardown {held.name}",
            )
        if self._bootstrap(machine).needed:
            self._reach.must(machine, upload.EXTRACT, stdin=upload.archive(upload.files(spec)))
            self._reach.must(machine, bootstrap.BEGIN)
        return self._server(machine, held)

    def find(self, workshop_id: str) -> Server | None:
        """Raises NotYet or Refused when a machine that may carry it does not let us look.

        What has been found once is taken to be there still while the network is away: whoever
        works on the machine will notice.
        """
        try:
            found = self._holding(workshop_id)
        except NotYet:
            if workshop_id in self._seen:
                return self._seen[workshop_id]
            raise
        return self._server(*found) if found else None

    def delete(self, workshop_id: str) -> None:
        """Remove what is the workshop's own; the claim goes last, when nothing else is left."""
        found = self._holding(workshop_id)
        if found is None:
            return
        machine, held = found
        self._reach.run(machine, traces.QUIET, timeout=REMOVAL)
        for engine in (False, True):  # whether others use Docker shows when our containers are gone
            own = [item for item in self._owned(machine, held) if item[0].engine is engine]
            if own:
                self._reach.run(machine, traces.removal(own, held), timeout=REMOVAL)
        if not self._owned(machine, held):
            self._reach.must(
                machine,
                f"find {ROOT} -xdev -mindepth 1 ! -path {claim.FILE} -delete",
                timeout=REMOVAL,
            )
            self._reach.must(machine, f"rm -f {claim.FILE} && rmdir {ROOT}")
            self._seen.pop(workshop_id, None)

    def leftovers(self, workshop_id: str) -> list[Resource]:
        found = self._holding(workshop_id)
        if found is None:
            return []
        machine, held = found
        own = [
            (kind.name, item, kind.remove([item], held))
            for kind, ids in self._owned(machine, held)
            for item in ids
        ]
        own.append(("folder", ROOT, f"rm -r {ROOT}"))
        return [
            Resource(kind, f"{item} on {machine.address}", typed(machine, command))
            for kind, item, command in own
        ]

    # HasCapacity

    def available(self) -> Size:
        """Of the first machine: free memory and disk, and cores. Raises Refused."""
        machine = next(iter(self._machines()), HostOptions())
        try:
            return facts.parse_facts(self._reach.must(_named(machine), facts.CAPACITY)).size
        except NotYet as error:
            raise Refused(error.message, hint=error.hint) from None

    # Discovers

    def discover(self) -> list[Found]:
        """Machines that do not answer are passed over, unless none does."""
        found: list[Found] = []
        silent: list[ProvisionError] = []
        answered = False
        for machine in self._machines():
            try:
                held = self._claim(machine)
            except ProvisionError as error:
                silent.append(error)
                continue
            answered = True
            if held:
                found.append(
                    Found(
                        held.id,
                        held.name,
                        ServerState.RUNNING,
                        details=machine.address,
                        hostname=held.hostname,
                        created_at=held.created_at,
                        expires_at=held.expires_at,
                    )
                )
        if silent and not answered:
            raise silent[0]
        return sorted(found, key=lambda item: (item.name, item.id))

    # KeepsDeadline

    def set_deadline(self, workshop_id: str, expires_at: datetime) -> None:
        found = self._holding(workshop_id)
        if found:
            machine, held = found
            text = replace(held, expires_at=expires_at.astimezone(UTC)).text()
            self._reach.must(machine, claim.rewrite(), stdin=text.encode())

    # Its own way of becoming ready

    def bootstrapped(self, workshop_id: str) -> None:
        """What cloud-init's status is elsewhere.

        Raises NotYet with the stage it is in, NotReady with the end of its log.
        """
        found = self._holding(workshop_id)
        if found is None:
            raise NotYet("the machine has not been claimed")
        machine, held = found
        self._bootstrap(machine).must_be_done(held.name)

    def close(self) -> None:
        self._reach.close()

    # The rest is how.

    def _take(self, machine: HostOptions, spec: Spec) -> Claim:
        """Write down what is there, then say that the machine is ours; another may be quicker."""
        known = facts.parse_facts(self._reach.must(machine, facts.FACTS))
        scan = self._scan(machine)
        wrong = [
            item
            for item in preflight.findings(known, scan, None, spec.id)
            if item.severity is Severity.ERROR
        ]
        if wrong:
            raise Refused(f"{machine.address}: {wrong[0].message}", hint=wrong[0].hint)
        mine = Claim(
            id=spec.id,
            name=spec.name,
            created_at=datetime.now(UTC).replace(microsecond=0),
            expires_at=spec.expires_at,
            address=self._locate(machine),
            owner=spec.owner,
            hostname=spec.hostname,
            slow=known.emulated,
            docker=known.docker,
            docker_enabled=known.docker_enabled,
            forwarding=known.forwarding,
            forward_policy=known.forward_policy,
            before=scan,
        )
        there = self._reach.must(machine, claim.write_first(spec.id), stdin=mine.text().encode())
        return claim.parse(there) or mine

    def _holding(self, workshop_id: str) -> tuple[HostOptions, Claim] | None:
        """The machine that carries the workshop; raises when one that might cannot be asked."""
        silent: list[ProvisionError] = []
        for machine in self._machines():
            try:
                held = self._claim(machine)
            except ProvisionError as error:
                silent.append(error)
                continue
            if held and held.id == workshop_id:
                return machine, held
        if silent:
            raise silent[0]
        return None

    def _claim(self, machine: HostOptions) -> Claim | None:
        return claim.parse(self._reach.must(machine, claim.READ))

    def _scan(self, machine: HostOptions) -> dict[str, list[str]]:
        return traces.parse_scan(self._reach.must(machine, traces.SCAN, timeout=180))

    def _owned(self, machine: HostOptions, held: Claim) -> traces.Traces:
        return traces.owned(held, self._scan(machine))

    def _bootstrap(self, machine: HostOptions) -> bootstrap.Bootstrap:
        return bootstrap.parse_state(self._reach.must(machine, bootstrap.STATE))

    def _server(self, machine: HostOptions, held: Claim) -> Server:
        server = Server(
            id=held.id,
            state=ServerState.RUNNING,
            address=held.address,
            ssh_host=machine.address.rpartition("@")[2],
            ssh_port=machine.port,
            slow=held.slow,
            about=(("machine", machine.address), ("log", upload.LOG)),
        )
        self._seen[held.id] = server
        return server


def _named(machine: HostOptions) -> HostOptions:
    if not machine.address:
        raise Refused("No machine is named", hint="--host user@address, or [host] address")
    return machine
