"""The life of an instance, with a clock: moto's are born running and die at once."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance, InstanceState, StateReason

from tests.cloud import state
from tests.cloud.answers import Answer
from tests.cloud.clock import CLOCK
from tests.cloud.settings import Settings

CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
USER = "Client.UserInitiatedShutdown: User initiated shutdown"
ITSELF = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
FAILED = {
    "Server.InsufficientInstanceCapacity": "Insufficient capacity to satisfy instance request",
    "Server.InternalError": "Internal error on launch",
    "Client.VolumeLimitExceeded": "Volume limit exceeded",
    "Client.InternalError": "Client error on launch",
}

# moto's own, kept before `install` puts ours in their place.
moto_terminate = Instance.terminate


@dataclass
class Step:
    """What an instance becomes next, and when."""

    name: str
    at: float
    reason: str = ""


class Machines:
    def __init__(self, settings: Settings, event: Callable[[str, Instance], None]) -> None:
        self.settings = settings
        self.event = event  # for whoever boots something real
        self.steps: dict[str, Step] = {}
        self.ended: dict[str, float] = {}
        self.addresses: dict[str, str] = {}  # interface → the address it will have when it runs

    def born(self, instance: Instance, fails: str | None = None) -> None:
        before = instance.state
        _become(instance, "pending")
        for nic in instance.nics.values():
            if not _elastic(nic):
                self._draw_address(nic)
        if fails:
            reason = f"{fails}: {FAILED.get(fails, 'Launch failed')}"
            self._later(instance, "terminated", self.settings.pending, reason)
            return
        self._later(instance, "running", self.settings.pending)
        self.event("start" if before == "stopped" else "run", instance)

    def start(self, instance: Instance) -> InstanceState:
        before = copy.copy(instance._state)
        if before.name not in ("stopped", "pending", "running"):
            raise _wrong_state(instance, "started")
        if before.name == "stopped":
            instance._reason, instance.state_reason = "", StateReason()
            self.born(instance)
        return before

    def stop(self, instance: Instance, reason: str = USER) -> InstanceState:
        before = copy.copy(instance._state)
        if before.name not in ("running", "stopping", "stopped"):
            raise _wrong_state(instance, "stopped")
        if before.name == "running":
            _become(instance, "stopping", reason)
            self._later(instance, "stopped", self.settings.stopping, reason)
            self.event("stop", instance)
        return before

    def terminate(self, instance: Instance, reason: str = USER) -> InstanceState:
        before = copy.copy(instance._state)
        if before.name not in ("shutting-down", "terminated"):
            _become(instance, "shutting-down", reason)
            self._later(instance, "terminated", self.settings.ending, reason)
            self.event("terminate", instance)
        return before

    def shut_itself_down(self, instance: Instance) -> None:
        """poweroff from inside: what happens then was chosen at launch."""
        if instance.instance_initiated_shutdown_behavior == "terminate":
            self.terminate(instance, ITSELF)
        else:
            self.stop(instance, ITSELF)

    def settle(self) -> None:
        """Let happen what is due by now."""
        now = CLOCK.now()
        for instance_id, step in list(self.steps.items()):
            instance = state.instance(instance_id)
            if instance is None:
                del self.steps[instance_id]
            elif step.at <= now:
                del self.steps[instance_id]
                self._arrive(instance, step)
        if self.settings.forget is not None:
            for instance_id, since in list(self.ended.items()):
                if now - since >= self.settings.forget:
                    del self.ended[instance_id]
                    _forget(instance_id)

    def _arrive(self, instance: Instance, step: Step) -> None:
        if step.name == "running":
            for nic in instance.nics.values():
                address = self.addresses.pop(nic.id, None)
                if not _elastic(nic):
                    nic.public_ip = address
        elif step.name == "stopped":
            for nic in instance.nics.values():
                if not _elastic(nic):
                    nic.public_ip = None
        elif step.name == "terminated":
            self._end(instance)
        _become(instance, step.name, step.reason)

    def _draw_address(self, nic: NetworkInterface) -> None:
        nic.public_ip = None
        nic.check_auto_public_ip()
        if nic.public_ip:
            self.addresses[nic.id] = self.settings.public_address or nic.public_ip
        nic.public_ip = None

    def _end(self, instance: Instance) -> None:
        for nic in list(instance.nics.values()):
            if address := _elastic(nic):
                instance.ec2_backend.disassociate_address(association_id=address.association_id)
            nic.public_ip = None
        nics = list(instance.nics.values())
        moto_terminate(instance)
        for nic in nics:
            if nic.delete_on_termination:
                instance.nics.pop(nic.device_index, None)
            else:
                instance.detach_eni(nic)
        instance.security_groups = []
        if self.settings.lose_tags:
            instance.ec2_backend.tags.pop(instance.id, None)
        self.ended[instance.id] = CLOCK.now()

    def _later(self, instance: Instance, name: str, seconds: float, reason: str = "") -> None:
        self.steps[instance.id] = Step(name, CLOCK.now() + seconds, reason)


def install(machines: Machines) -> None:
    """Instances live by these from now on."""
    Instance.start = lambda self: machines.start(self)  # type: ignore[method-assign]
    Instance.stop = lambda self: machines.stop(self)  # type: ignore[method-assign]
    Instance.terminate = lambda self: machines.terminate(self)  # type: ignore[method-assign]
    Instance.reboot = lambda self: None  # type: ignore[method-assign]
    # No address before the instance runs; `check_auto_public_ip` brings it then.
    NetworkInterface.start = lambda self: None  # type: ignore[method-assign]
    # A terminated instance has no interface to read these from.
    for name in ("private_ip", "private_ip_address", "public_ip", "public_ip_address"):
        setattr(Instance, name, property(_of_first_interface(name)))
    Instance.private_dns_name = property(_private_name)  # type: ignore[assignment]


def _of_first_interface(name: str) -> Callable[[Instance], str | None]:
    attribute = "public_ip" if name.startswith("public") else "private_ip_address"

    def read(self: Instance) -> str | None:
        return getattr(self.nics.get(0), attribute, None)

    return read


def _private_name(self: Instance) -> str:
    if not self.private_ip:
        return ""
    where = "ec2" if self.region_name == "us-east-1" else f"{self.region_name}.compute"
    return f"ip-{self.private_ip.replace('.', '-')}.{where}.internal"


def _become(instance: Instance, name: str, reason: str = "") -> None:
    instance._state = InstanceState(name, CODES[name])
    if reason:
        code = reason.partition(":")[0]
        instance.state_reason = StateReason(reason, code)
        words = "User initiated" if code.startswith("Client.User") else code
        instance._reason = f"{words} ({utcnow():%Y-%m-%d %H:%M:%S} GMT)"


def _elastic(nic: NetworkInterface) -> Any:
    return next((one for one in nic.ec2_backend.addresses if one.eni is nic), None)


def _wrong_state(instance: Instance, done: str) -> EC2ClientError:
    words = f"The instance '{instance.id}' is not in a state from which it can be {done}."
    return EC2ClientError("IncorrectInstanceState", words)


def _forget(instance_id: str) -> None:
    for backend in state.clouds():
        for reservation in list(backend.reservations.values()):
            reservation.instances = [i for i in reservation.instances if i.id != instance_id]
            if not reservation.instances:
                del backend.reservations[reservation.id]
        backend.tags.pop(instance_id, None)


def with_current_states(answer: Answer) -> Answer:
    """moto says the state a call usually leads to; AWS says the one it led to."""

    def corrected(item: re.Match[str]) -> str:
        instance = state.instance(item[2])
        if instance is None:
            return item[0]
        now = f"<code>{instance.state_code}</code><name>{instance.state}</name>"
        return f"{item[1]}<currentState>{now}</currentState>{item[3]}"

    pattern = (
        r"(<item>\s*<instanceId>(i-\w+)</instanceId>\s*)<currentState>.*?</currentState>"
        r"(.*?</item>)"
    )
    body = re.sub(pattern, corrected, answer.body.decode(), flags=re.S)
    return Answer(answer.status, body.encode(), answer.kind)
