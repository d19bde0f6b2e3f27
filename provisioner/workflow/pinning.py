"""known_hosts follows the machine's address; its keys are only ever replaced by launch."""

from __future__ import annotations

from provisioner.models import Server
from provisioner.protocols import Bootstraps, Provider
from provisioner.render.known_hosts import known_hosts_lines, pinned_keys
from provisioner.store import Folder, write_private


def pin(provider: Provider, folder: Folder, server: Server) -> None:
    """Name the machine's address in known_hosts, whatever it was called before.

    A machine that was there before is known to the operator's own known_hosts instead.
    """
    if isinstance(provider, Bootstraps):
        return
    pins = pinned_keys(folder.known_hosts.read_text(encoding="utf-8"))
    write_private(folder.known_hosts, known_hosts_lines(server.ssh_host, server.ssh_port, pins))
