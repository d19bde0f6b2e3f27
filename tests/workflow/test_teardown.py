"""What `teardown --json` tells when it ends with something left."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import LeftOver, Refused
from provisioner.models import Resource
from provisioner.settings import Settings
from provisioner.workflow.launch import launch
from provisioner.workflow.teardown import TeardownOptions, tear_down
from tests.doubles import fake_tools


def test_what_went_is_told_beside_what_is_left(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = fake_tools(own_home)
    launch(tools, Settings(name="tessera", provider="fake"), base_image="")
    machine, disk = Resource("machine", "m-1", "rm m-1"), Resource("disk", "d-1", "rm d-1")
    there = [machine, disk]

    def delete(_: str) -> None:
        if machine in there:
            there.remove(machine)
        raise Refused("AWS does not allow you ec2:DeleteVolume")

    monkeypatch.setattr(tools.provider, "delete", delete)
    monkeypatch.setattr(tools.provider, "leftovers", lambda _: list(there))
    with pytest.raises(LeftOver) as error:
        tear_down(tools, "tessera", TeardownOptions(discard_homes=True))
    assert error.value.document["deleted"] == ["machine m-1"]
    assert error.value.document["leftovers"] == [{"kind": "disk", "id": "d-1", "remove": "rm d-1"}]
