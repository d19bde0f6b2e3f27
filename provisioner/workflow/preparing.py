"""A machine of our own before it can run anything: its host key, its bundle, its bootstrap."""

from __future__ import annotations

from provisioner.errors import NotReady, NotYet
from provisioner.models import Result
from provisioner.render import bootstrap, commands, delivery
from provisioner.render.known_hosts import known_hosts_lines, pinned_keys
from provisioner.store import write_private
from provisioner.workflow.checks import SLOW_FACTOR, Climb, look_at_bootstrap
from provisioner.workflow.waiting import wait_for

SEND_BUDGET = 120.0
"""Seconds for a few kilobytes over a connection that may break."""


def replace_host_key(climb: Climb, *, kind: str) -> None:
    """Swap the key that rode in user-data for one that never left the machine.

    The new one is pinned before it is put to use, beside the old one, so that a kill between any
    two lines leaves a machine that can be reached.
    """
    if climb.record.host_key_replaced:
        return
    server, folder = climb.server, climb.folder
    title = "The machine has its own host key"
    with climb.tools.step(climb.record.name, "host-key", title, kind=kind):
        prepared = climb.remote.run(commands.PREPARE_HOST_KEY)
        words = prepared.out.split()
        if not prepared.ok or len(words) < 2 or words[0] != "ssh-ed25519":
            raise NotReady("the machine could not make a host key", details=(prepared.err.strip(),))
        new = f"{words[0]} {words[1]}"
        pins = pinned_keys(folder.known_hosts.read_text(encoding="utf-8"))
        both = [new, *(pin for pin in pins if pin != new)]
        write_private(folder.known_hosts, known_hosts_lines(server.ssh_host, server.ssh_port, both))
        must(
            climb.remote.run(commands.COMMIT_HOST_KEY), "the machine did not take its new host key"
        )
        climb.reconnect()
        wait_for(
            lambda: _proves(climb, new),
            budget=60 * (SLOW_FACTOR if server.slow else 1),
            clock=climb.tools.clock,
        )
        write_private(
            folder.known_hosts, known_hosts_lines(server.ssh_host, server.ssh_port, [new])
        )
        folder.host_key.unlink(missing_ok=True)
        climb.advance(host_key_replaced=True)


def _proves(climb: Climb, key: str) -> None:
    if climb.remote.host_key() != key:
        climb.reconnect()
        raise NotYet("the machine still answers with its first host key")


def send_bundle(climb: Climb, *, kind: str) -> None:
    """The machine's bootstrap waits for it."""
    if climb.bundle is None:
        raise RuntimeError("this climb was begun without a bundle")
    archive = delivery.bundle_archive(climb.bundle)

    def send() -> None:
        try:
            sent = climb.remote.run(delivery.put_bundle(len(archive)), stdin=archive)
        except NotYet:
            climb.reconnect()
            raise
        must(sent, "the bundle could not be put on the machine")

    with climb.tools.step(climb.record.name, "bundle", "Sending the bundle", kind=kind):
        wait_for(send, budget=SEND_BUDGET, clock=climb.tools.clock)


def bootstrap_failed(climb: Climb) -> bool:
    """Whether an earlier launch left it so: it is begun again then, see `begin_again`."""
    return _look(climb).state == "failed"


def begin_again(climb: Climb, *, failed_before: bool) -> None:
    """Begin the bootstrap where cloud-init did not, or where it failed in an earlier launch.

    One that failed in this launch stays as it is, for its words to be told.
    """
    seen = _look(climb)
    if not seen.needed or seen.missing or (seen.state == "failed" and not failed_before):
        return
    must(climb.remote.run(bootstrap.BEGIN), "the bootstrap could not be begun again")


def _look(climb: Climb) -> bootstrap.Bootstrap:
    return wait_for(lambda: look_at_bootstrap(climb), budget=SEND_BUDGET, clock=climb.tools.clock)


def must(result: Result, words: str) -> None:
    if not result.ok:
        raise NotReady(words, details=(result.err.strip(),))
