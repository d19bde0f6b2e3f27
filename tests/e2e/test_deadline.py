"""The machine ends itself: no command line, no laptop, nobody watching.

Also the bare boot that the launch's time is measured against: the same image, up to SSH.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner import keys
from provisioner.cli.output import ConsoleReporter
from provisioner.cli.wiring import image_folder
from provisioner.models import Server, ServerState, Spec
from provisioner.providers.local import LocalProvider
from provisioner.remote.ssh import Shell
from provisioner.render import commands
from provisioner.settings import load
from provisioner.store import Store
from provisioner.workflow import planning
from provisioner.workflow.waiting import SystemClock, wait_for
from tests.e2e.machine import measured

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

LIFETIME = 150  # seconds: long enough to boot where machines are emulated


@pytest.fixture
def provider(own_home: Path) -> Iterator[LocalProvider]:
    made = LocalProvider(home=own_home, images=image_folder())
    yield made
    for found in made.discover():
        made.delete(found.id)


def test_a_machine_powers_itself_off_at_its_deadline(
    provider: LocalProvider, own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "workshop.toml").write_text(
        'name = "deadline"\nusers = 2\n[environment]\npython = ["geotessera"]\n'
    )  # the environment of the other end-to-end test, so that its image serves both
    settings = load({}, file=tmp_path / "workshop.toml", environ={})
    store = Store(own_home)
    draft = planning.draft(store, provider, settings, base_image="")
    record = store.create(draft.record, draft.files)
    provider.bake(draft.spec, ConsoleReporter())
    ends = datetime.now(UTC) + timedelta(seconds=LIFETIME)
    folder = store.folder("deadline")
    own = (folder.path / "ssh_key.pub").read_text().strip()
    host = keys.new_key_pair()
    spec = planning.make_spec(record.but(expires_at=ends), settings, folder, provider, own, host)

    start = time.monotonic()
    server = provider.create(spec)

    def answers() -> Shell:
        return Shell.connect(
            server.ssh_host, server.ssh_port, key=folder.ssh_key, pins=[host.public]
        )

    shell = wait_for(answers, budget=LIFETIME - 20, clock=SystemClock())
    measured(bare_boot_seconds=round(time.monotonic() - start, 1))
    assert shell.run("systemctl is-active provision-deadline.timer").out.strip() == "active"
    assert shell.run(commands.CLOUD_INIT_STATUS).out
    shell.close()

    while (now := time.monotonic() - start) < LIFETIME + 90:
        if state(provider, spec, server) is ServerState.STOPPED:
            break
        time.sleep(1)
    else:
        pytest.fail("the machine outlived its deadline")
    assert now >= LIFETIME - 5, "not before its time"
    measured(ended_after_deadline_seconds=round(now - LIFETIME, 1))
    provider.delete(spec.id)
    assert provider.leftovers(spec.id) == []


def state(provider: LocalProvider, spec: Spec, server: Server) -> ServerState:
    found = provider.find(spec.id)
    assert found is not None, "its disk stays: there may be work on it"
    return found.state
