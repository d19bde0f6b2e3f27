"""A machine that was started again: when it can be reached."""

from __future__ import annotations

from provisioner.errors import NotYet
from provisioner.models import Server, ServerState
from provisioner.workflow.tools import Tools
from provisioner.workflow.waiting import wait_for

START_BUDGET = 300.0
"""Seconds; clouds take half a minute."""


def running_again(tools: Tools, workshop_id: str) -> Server:
    """The machine once it runs and has its address. Raises NotReady."""

    def look() -> Server:
        server = tools.provider.find(workshop_id)
        if server is None or server.state is not ServerState.RUNNING or not server.address:
            raise NotYet("the machine is on its way")
        return server

    return wait_for(look, budget=START_BUDGET, clock=tools.clock)
