"""The cloud as a WSGI application: each call logged, scripted, corrected, or left to moto."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
import traceback
from collections.abc import Iterable
from typing import Any

from moto.moto_api._internal.models import moto_api_backend
from moto.server import DomainDispatcherApplication, create_backend_app

from tests.cloud import attributes, launch, machines, network, prices, state, tables, world
from tests.cloud.answers import Answer, Refusal
from tests.cloud.call import Call, read
from tests.cloud.clock import CLOCK
from tests.cloud.faults import Fault, striking
from tests.cloud.hooks import Hooks
from tests.cloud.records import Records
from tests.cloud.settings import Settings
from tests.cloud.tokens import Tokens
from tests.cloud.unseen import Unseen
from tests.cloud.victim import Victim

STATE_CALLS = ("TerminateInstances", "StopInstances", "StartInstances")


class HangUp(Exception):
    """The connection ends without an answer."""


class FakeCloud:
    def __init__(self, settings: Settings) -> None:
        self.first_settings = settings
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.RLock()  # one call at a time changes anything
        self.log: list[dict[str, Any]] = []
        self.reset()

    def reset(self) -> None:
        with self.lock:
            world.install()
            moto_api_backend.reset()
            CLOCK.ahead = 0.0
            self.settings = dataclasses.replace(self.first_settings)
            self.faults: list[Fault] = []
            self.consoles: dict[str, str] = {}
            self.released = threading.Event()
            self.victim = Victim()
            self.hooks = Hooks(self.settings)
            self.machines = machines.Machines(self.settings, self.hooks.event)
            self.hooks.addresses = self.machines.addresses
            self.launch = launch.Launch(self.settings, self.machines)
            self.tokens = Tokens()
            self.unseen = Unseen(self.settings)
            self.records = Records(self.settings)
            machines.install(self.machines)
            launch.install(self.launch)
            network.install(self.settings)
            self.log.clear()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        call = read(environ)
        if call is None:
            return self.moto(environ, start_response)
        try:
            answer = self.take(call, environ)
        except HangUp:
            connection: socket.socket = environ["werkzeug.socket"]
            connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError from None
        headers = [("Content-Type", answer.kind), ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} {'OK' if answer.status < 300 else 'Refused'}", headers)
        return [answer.body]

    def take(self, call: Call, environ: dict[str, Any]) -> Answer:
        with self.lock:
            if call.action == "RunInstances" and (zone := state.zone_of(call)):
                call.facts["zone"] = zone
            entry = _logged(call, len(self.log) + 1)
            self.log.append(entry)
            fatal = self.victim.due() if call.mutating else ""
            fault = striking(self.faults, call)
            released = self.released
        if fatal == "before":
            entry["outcome"] = "killed before"
            self.victim.kill()
            raise HangUp
        effect = fault.effect if fault else ""
        if fault and effect in ("drop", "hang", "late"):
            entry["outcome"] = effect
            released.wait(0 if effect == "drop" else fault.seconds)
            if effect != "late":
                raise HangUp
        with self.lock:
            answer = self._done(call, environ, fault)
            entry["outcome"] = _outcome(answer)
            entry["params"] |= call.facts
            entry["done"] = time.time()
        if fatal == "after":
            entry["outcome"] = "killed after"
            self.victim.kill()
            raise HangUp
        if fault and effect in ("lost", "stuck"):
            entry["outcome"] = effect
            released.wait(0 if effect == "lost" else fault.seconds)
            raise HangUp
        return answer

    def _done(self, call: Call, environ: dict[str, Any], fault: Fault | None) -> Answer:
        try:
            return self._perform(call, environ, fault)
        except Exception as error:
            # Ours or moto's, a bug in here must not look like something AWS does.
            traceback.print_exc()
            return Refusal("BrokenFake", f"{type(error).__name__}: {error}", 501).answer(call)

    def _perform(self, call: Call, environ: dict[str, Any], fault: Fault | None) -> Answer:
        self.machines.settle()
        try:
            if fault and fault.effect == "error":
                raise Refusal(str(fault.error), fault.message, fault.status)
            fails = fault.error if fault and fault.effect == "fails" else None
            with self.unseen.hidden(call):
                answer = self._own(call, fails) or self._pass_on(environ)
        except Refusal as refusal:
            return refusal.answer(call)
        if call.service != "ec2":
            return answer
        self.unseen.made(call, answer)
        if call.action == "RunInstances":
            self.tokens.keep(call, answer)
        elif call.action in STATE_CALLS:
            answer = machines.with_current_states(answer)
        if call.mutating:
            network.forget_tags_of_the_gone(call.region)
        return answer

    def _own(self, call: Call, fails: str | None) -> Answer | None:
        """Our answer, a refusal, or None: then it is moto's turn."""
        match call.service, call.action:
            case "route53", "ChangeResourceRecordSets":
                return self.records.change(call)
            case "route53", "GetChange":
                return self.records.get_change(call)
            case "ssm", "GetParameter" | "GetParameters":
                return tables.parameter(call)
            case "servicequotas", "GetServiceQuota":
                return tables.quota(call, self.settings)
            case "pricing", "GetProducts":
                return prices.products(call)
            case "ec2", "GetConsoleOutput":
                return tables.console(call, self.consoles)
            case "ec2", _:
                return self._own_ec2(call, fails)
        return None

    def _own_ec2(self, call: Call, fails: str | None) -> Answer | None:
        if call.action == "RunInstances":
            if not call.dry and (again := self.tokens.replay(call)):
                return again
            self.launch.check(call)
            self.launch.fails, self.launch.wanted = fails, call
        if call.dry:
            raise Refusal("DryRunOperation")
        match call.action:
            case "RunInstances":
                self.launch.check_quota(call)
            case "ModifyInstanceAttribute":
                return attributes.modify(call)
            case "DeleteSecurityGroup":
                network.check_delete_group(call)
            case "AllocateAddress":
                network.check_address(call, self.settings)
            case "AssociateAddress":
                network.check_associate(call)
        return None

    def _pass_on(self, environ: dict[str, Any]) -> Answer:
        said: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            said[:] = status, dict(headers)

        body = b"".join(self.moto(environ, start))
        return Answer(int(said[0].split()[0]), body, said[1].get("Content-Type", "text/xml"))


def _logged(call: Call, number: int) -> dict[str, Any]:
    params = {k: v for k, v in call.params.items() if k not in ("Action", "Version")}
    if "UserData" in params:
        params["UserData"] = f"{len(params['UserData'])} characters"
    return {
        "number": number,
        "at": time.time(),
        "service": call.service,
        "action": call.action,
        "region": call.region,
        "mutating": call.mutating,
        "params": params | call.facts,
        "outcome": "under way",
    }


def _outcome(answer: Answer) -> str:
    if answer.status < 300:
        return "ok"
    text = answer.body.decode("utf-8", "replace")
    for before, after in (("<Code>", "</Code>"), ('"__type": "', '"')):
        if before in text:
            return text.partition(before)[2].partition(after)[0]
    return f"HTTP {answer.status}"
