"""Commands told that an instance began or ended, so that something real can boot for it."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

from moto.ec2.models.instances import Instance

from tests.cloud import state
from tests.cloud.settings import Settings

PATIENCE = 60.0


class Hooks:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.running: list[subprocess.Popen[bytes]] = []
        self.addresses: dict[str, str] = {}

    def event(self, name: str, instance: Instance) -> None:
        command = self.settings.on_run if name in ("run", "start") else self.settings.on_end
        if not command:
            return
        process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(json.dumps(self._said(name, instance)).encode())
        process.stdin.close()
        self.running = [one for one in self.running if one.poll() is None] + [process]

    def _said(self, name: str, instance: Instance) -> dict[str, Any]:
        nic = instance.nics.get(0)
        public = nic and (nic.public_ip or self.addresses.get(nic.id))
        return {
            "event": name,
            "instance_id": instance.id,
            "user_data": str(instance.user_data or ""),
            "type": instance.instance_type,
            "image": instance.image_id,
            "region": instance.region_name,
            "zone": instance.availability_zone,
            "private_address": instance.private_ip,
            "public_address": public,
            "shutdown_behavior": instance.instance_initiated_shutdown_behavior,
            "tags": {tag["key"]: tag["value"] for tag in instance.get_tags()},
        }

    def finish(self) -> None:
        """The cloud ends, and so does everything in it."""
        if self.settings.on_end:
            for backend in state.clouds():
                for instance in state.instances(backend):
                    if instance.state in ("pending", "running"):
                        self.event("exit", instance)
        for process in self.running:
            process.wait(PATIENCE)
