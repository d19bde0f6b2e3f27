"""Ending a workshop: one pass, which can be repeated until nothing is left.

The machine leaves its security group before it is ended, so that the group can be deleted at
once instead of when the machine is gone. Whatever fails, the rest of the pass is still done; the
first error is told at the end. What AWS merely is not ready for is no error: the audit names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioner.providers.aws import instances, network, tags
from provisioner.providers.aws.clients import Clients
from provisioner.providers.aws.failures import AwsError, SignIn
from provisioner.providers.aws.journal import Journal
from provisioner.providers.aws.kinds import ADDRESS, GROUP, INTERFACE, VOLUME

END = "ec2:TerminateInstances"
NOT_YET = frozenset(
    {
        "DependencyViolation",
        "IncorrectInstanceState",
        "IncorrectState",
        "InvalidIPAddress.InUse",
        "VolumeInUse",
        "InvalidNetworkInterface.InUse",
        "InvalidParameterValue",
    }
)
"""Something else has to end first; the next pass succeeds."""


class Removal:
    """One pass over what belongs to `workshop_id`."""

    def __init__(self, clients: Clients, journal: Journal, workshop_id: str) -> None:
        self._clients, self._journal = clients, journal
        self._filters, self._id = tags.one(workshop_id), workshop_id
        self._first: AwsError | None = None

    def __call__(self) -> None:
        """Raises the first error that stood in the way; SignIn at once."""
        seen = instances.of(self._clients, self._id)
        instances.recognise(self._journal, seen)
        for instance in seen:
            self._end(instance)
        for name in set(self._journal.unseen()) - {item["InstanceId"] for item in seen}:
            self._terminate(name)
        for address in ADDRESS.found(self._clients, self._filters):
            self._release(address)
        for kind, act in (
            (VOLUME, "ec2:DeleteVolume"),
            (INTERFACE, "ec2:DeleteNetworkInterface"),
        ):
            for item in kind.found(self._clients, self._filters):
                if item.get("State", item.get("Status")) == "available":
                    self._do(act, item[kind.id], **{kind.id: item[kind.id]})
        for item in GROUP.found(self._clients, self._filters):
            self._journal.agrees("ec2:CreateSecurityGroup", name=item["GroupName"])
            self._do("ec2:DeleteSecurityGroup", item["GroupId"], GroupId=item["GroupId"])
        if self._first is not None:
            raise self._first

    def _end(self, instance: dict[str, Any]) -> None:
        if not instances.ended(instance):
            before = self._first
            self._attempt(lambda: self._leave_group(instance))
            self._first = before  # else the group only goes later, with the machine
            self._terminate(instance["InstanceId"])

    def _terminate(self, name: str) -> None:
        if self._do(END, name, absent_is_fine=False, InstanceIds=[name]):
            self._journal.ended(name)

    def _leave_group(self, instance: dict[str, Any]) -> None:
        vpc, groups = instance.get("VpcId", ""), instance.get("SecurityGroups", ())
        default = network.default_group(self._clients, vpc) if vpc else ""
        if default and [group["GroupId"] for group in groups] != [default]:
            name = instance["InstanceId"]
            self._do("ec2:ModifyInstanceAttribute", name, InstanceId=name, Groups=[default])

    def _release(self, address: dict[str, Any]) -> None:
        allocation = address["AllocationId"]
        self._journal.agrees("ec2:AllocateAddress")
        if association := address.get("AssociationId"):
            self._do("ec2:DisassociateAddress", allocation, AssociationId=association)
        self._do("ec2:ReleaseAddress", allocation, AllocationId=allocation)

    def _do(
        self, action: str, name: str, *, absent_is_fine: bool = True, **parameters: Any
    ) -> bool:
        """One call; whether it was done. What is absent is done, but for machines: EC2 says of a
        machine that it does not exist when it merely has not heard of it yet."""

        def act() -> None:
            entry = self._journal.intend(action, id=name)
            try:
                self._clients.call(action, **parameters)
            except AwsError as error:
                absent = ".NotFound" in error.code
                if absent and not absent_is_fine:
                    return  # stays open
                if not error.unclear:
                    self._journal.result(entry, "refused", code=error.code)
                if not absent and error.code not in NOT_YET:
                    raise
            else:
                self._journal.result(entry, "done")
                done.append(True)

        done: list[bool] = []
        self._attempt(act)
        return bool(done)

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except SignIn:
            raise
        except AwsError as error:
            self._first = self._first or error
