"""What a test may tell the cloud: POST /_fake/<word> with a JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any

from tests.cloud import state
from tests.cloud.app import FakeCloud
from tests.cloud.clock import CLOCK
from tests.cloud.faults import Fault

PREFIX = "/_fake/"


class Control:
    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self.cloud(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            answer, status = (
                self._do(path.removeprefix(PREFIX), json.loads(body or b"{}")),
                "200 OK",
            )
        except (ValueError, TypeError, LookupError) as error:
            answer, status = {"error": f"{type(error).__name__}: {error}"}, "400 Bad Request"
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def _do(self, word: str, said: dict[str, Any]) -> Any:
        cloud = self.cloud
        with cloud.lock:
            match word:
                case "reset":
                    cloud.reset()
                case "settings":
                    self._set(said)
                    return asdict(cloud.settings)
                case "script":
                    cloud.faults.append(Fault(**said))
                case "unscript":
                    cloud.faults.clear()
                case "release":
                    cloud.released.set()
                case "calls":
                    return cloud.log
                case "kill":
                    cloud.victim.arm(said["when"], int(said["number"]), said.get("pid"))
                case "victim":
                    cloud.victim.name(int(said["pid"]))
                case "killed":
                    return cloud.victim.killed
                case "console":
                    cloud.consoles[said["instance_id"]] = said["text"]
                case "advance":
                    CLOCK.ahead += float(said["seconds"])
                case "shutdown":
                    cloud.machines.settle()
                    cloud.machines.shut_itself_down(_instance(said["instance_id"]))
                case "address":
                    _instance(said["instance_id"]).nics[0].public_ip = said["public"]
                case _:
                    raise LookupError(f"there is no {PREFIX}{word}")
        return {}

    def _set(self, said: dict[str, Any]) -> None:
        known = {one.name for one in fields(self.cloud.settings)}
        if unknown := said.keys() - known:
            raise LookupError(f"no such setting: {', '.join(sorted(unknown))}")
        for name, value in said.items():
            setattr(self.cloud.settings, name, value)


def _instance(instance_id: str) -> Any:
    found = state.instance(instance_id)
    if found is None:
        raise LookupError(f"no instance {instance_id}")
    return found
