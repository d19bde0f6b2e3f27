"""`ssh` and `logs`: the system's own SSH client, with this workshop's key and pinned host key."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import NoReturn

from provisioner.errors import Refused
from provisioner.protocols import Bootstraps, ConsoleLog
from provisioner.render import commands
from provisioner.settings import recorded
from provisioner.store import Folder, Record
from provisioner.workflow.tools import Tools, quietly

LOGIN = "provision"
SERVICES = frozenset({"", "hub", "proxy", "caddy"})


def split_name(name: str | None, rest: list[str]) -> tuple[str | None, list[str]]:
    """`ssh -- uptime` has a command and no name; click hands us the first word as the name."""
    if name is not None and "--" in sys.argv:
        given = len(sys.argv) - sys.argv.index("--") - 1
        words = [name, *rest]
        if len(words) == given:
            return None, words
    return name, rest


def ssh_words(folder: Folder, record: Record, words: list[str]) -> list[str]:
    """The command line of an SSH client that trusts this workshop's machine and no other."""
    if record.server is None:
        raise Refused(
            f"Workshop {record.name!r} has no machine yet", hint=f"provision launch {record.name}"
        )
    options = {
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(folder.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
    }
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return [
        "ssh",
        "-F",  # the user's own configuration may redirect any host
        "none",
        "-i",
        str(folder.ssh_key),
        "-p",
        str(record.server.ssh_port),
        *flags,
        f"{LOGIN}@{record.server.ssh_host}",
        *words,
    ]


def own_ssh_words(record: Record, words: list[str]) -> list[str]:
    """To a machine that was there before: as its owner types it."""
    host = recorded(record.settings).host_options()
    port = ["-p", str(host.port)] if host.port != 22 else []
    return ["ssh", *port, host.address, *words]


def become_ssh(tools: Tools, record: Record, words: list[str]) -> NoReturn:
    if isinstance(tools.provider, Bootstraps):
        line = own_ssh_words(record, words)
    else:
        line = ssh_words(tools.store.folder(record.name), record, words)
    if shutil.which("ssh") is None:
        raise Refused("There is no ssh command on this machine", hint="install openssh-client")
    sys.stdout.flush()
    os.execvp("ssh", line)  # noqa: S606 - no shell on this side; the words are a list


def show_logs(
    tools: Tools, record: Record, service: str, *, tail: int, follow: bool, console: bool
) -> None:
    folder = tools.store.folder(record.name)
    if console:
        if isinstance(tools.provider, ConsoleLog):
            text = tools.provider.console(record.id)
            print("\n".join(text.splitlines()[-tail:]))
            return
        raise Refused(f"A machine of the provider {tools.provider.name!r} shows no console")
    people = {person.username for person in record.people}
    if service not in SERVICES | people:
        raise Refused(
            f"There is neither a service nor a participant called {service!r}",
            hint="hub, proxy, caddy or a user name of the sheet",
        )
    if service in people:
        command = commands.container_logs(service, tail=tail, follow=follow)
    else:
        command = commands.service_logs(service, tail=tail, follow=follow)
    if follow:
        become_ssh(tools, record, [f"sudo sh -c {shlex.quote(command)}"])
    server = tools.provider.find(record.id)
    if server is None:
        raise Refused(
            f"The machine of {record.name!r} is gone", hint=f"what was saved is in {folder.logs}"
        )
    remote = tools.connect(server, folder)
    try:
        result = remote.run(command, timeout=120)
    finally:
        quietly(remote.close)
    print(result.out + result.err, end="")
