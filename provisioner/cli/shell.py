"""`ssh`, `exec` and `logs`: the system's own SSH client, with this workshop's pinned host key."""

from __future__ import annotations

import difflib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from provisioner.cli import wiring
from provisioner.errors import NotReady, Refused, UsageError
from provisioner.models import Result, ServerState
from provisioner.protocols import Bootstraps, ConsoleLog
from provisioner.render import looking
from provisioner.sections.base import parse_duration
from provisioner.settings import recorded
from provisioner.store import Folder, Record
from provisioner.workflow.tools import Tools, quietly

LOGIN = "provision"
SERVICES = ("hub", "proxy", "caddy")
LINES = 200


@dataclass(frozen=True, slots=True)
class Look:
    """Which lines of a log: the last `tail` (None: all) of those since a time, Docker's way."""

    tail: int | None = LINES
    since: str = ""
    follow: bool = False


def split_name(name: str | None, rest: list[str]) -> tuple[str | None, list[str]]:
    """`ssh -- uptime` has a command and no name; click hands us the first word as the name."""
    if name is not None and "--" in sys.argv:
        given = len(sys.argv) - sys.argv.index("--") - 1
        words = [name, *rest]
        if len(words) == given:
            return None, words
    return name, rest


def split_person(words: list[str]) -> tuple[str | None, str, list[str]]:
    """`[NAME] USER -- COMMAND…` as click hands it to us, without the dashes."""
    given = len(sys.argv) - sys.argv.index("--") - 1 if "--" in sys.argv else 0
    cut = len(words) - given
    names, command = words[:cut], words[cut:]
    if len(names) == 1:
        return None, names[0], command
    if len(names) == 2 and ("--" in sys.argv or wiring.record_of(names[0])):
        return names[0], names[1], command
    raise UsageError(
        "Say whose server, then -- and the command",
        hint="provision exec user03 -- ls -l\nprovision exec NAME user03 -- ls -l",
    )


def split_services(words: list[str], config: Path | None) -> tuple[str | None, list[str]]:
    """`[NAME] [SERVICE|USER]…`: the first word may be any of the three, a workshop before all."""
    if not words or wiring.record_of(words[0]) is not None:
        return (words[0], words[1:]) if words else (None, [])
    usual = wiring.settings(config, {}, only={"name"}).name
    if words[0] in SERVICES or wiring.record_of(usual) is not None:
        return None, words
    return words[0], words[1:]


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


def become_ssh(
    tools: Tools, record: Record, words: list[str], *, terminal: bool = False
) -> NoReturn:
    """`terminal`: the command gets one, as a shell without a command does anyway."""
    if isinstance(tools.provider, Bootstraps):
        line = own_ssh_words(record, words)
    else:
        line = ssh_words(tools.store.folder(record.name), record, words)
    if shutil.which("ssh") is None:
        raise Refused("There is no ssh command on this machine", hint="install openssh-client")
    sys.stdout.flush()
    options = ["-t"] if terminal else []
    os.execvp("ssh", [line[0], *options, *line[1:]])  # noqa: S606 - no shell here; words are a list


def become_person(tools: Tools, record: Record, username: str, words: list[str]) -> NoReturn:
    """Run `words` in a participant's server; ends with their exit code.

    Raises Refused when there is no such participant, or when the server does not run.
    """
    check_person(record, username)
    if "true" not in _ask(tools, record, looking.server_runs(username)).out:
        raise Refused(
            f"The server of {username!r} does not run",
            hint=f"it starts when they log in at {record.url}"
            f"\nor start everybody's: provision prewarm {record.name}"
            f"\nor theirs alone, as an instructor: {record.url}/hub/admin",
        )
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    command = looking.inside(username, words, terminal=terminal)
    become_ssh(tools, record, [looking.as_root(command)], terminal=terminal)


def check_person(record: Record, username: str) -> None:
    """Raises UsageError, with the name that was meant, when nobody is called so."""
    people = [person.username for person in record.people]
    if username in people:
        return
    near = difflib.get_close_matches(username, people, n=1, cutoff=0.6)
    raise UsageError(
        f"There is no participant {username!r} in {record.name!r}",
        hint=f"did you mean {near[0]}?" if near else f"provision users list {record.name}",
    )


def moment(text: str, *, now: datetime | None = None) -> str:
    """`--since` in Docker's words: "10m" is 600s, a time without a zone is this machine's own.

    Raises UsageError.
    """
    if not text:
        return ""
    try:
        seconds = parse_duration(text)
    except ValueError:
        try:
            when = datetime.fromisoformat(text).astimezone(UTC)
        except ValueError:
            raise UsageError(
                f"--since: {text!r} is neither a duration nor a time",
                hint="--since 10m, or --since 2026-11-24T14:00",
            ) from None
        if when > (now or datetime.now(UTC)):
            raise UsageError(f"--since: {text} has not come yet") from None
        return when.isoformat(timespec="seconds").replace("+00:00", "Z")
    if seconds <= 0:
        raise UsageError("--since: say how long ago", hint="--since 10m")
    return f"{seconds:.0f}s"


def show_logs(tools: Tools, record: Record, names: Sequence[str], look: Look) -> None:
    people = {person.username for person in record.people}
    for name in names:
        if name not in people and name not in SERVICES:
            near = difflib.get_close_matches(name, [*SERVICES, *sorted(people)], n=1)
            raise UsageError(
                f"There is neither a service nor a participant called {name!r}",
                hint=f"did you mean {near[0]}?" if near else "hub, proxy, caddy or a user name",
            )
    command = looking.logs(
        [name for name in names if name in SERVICES],
        [name for name in names if name not in SERVICES],
        tail=look.tail,
        since=look.since,
        follow=look.follow,
    )
    if look.follow:
        become_ssh(tools, record, [looking.as_root(command)])
    result = _ask(tools, record, command)
    if result.code == looking.NO_DOCKER:
        raise NotReady(
            f"Docker does not answer on the machine of {record.name!r}",
            details=tuple(result.err.splitlines()[-3:]),
            hint=f"provision ssh {record.name} -- sudo systemctl status docker",
        )
    if not result.ok:
        raise NotReady(
            "Not all logs could be read",
            details=tuple((result.out + result.err).splitlines()[-3:]),
            hint=f"provision status {record.name}",
        )
    print(result.out + result.err, end="")


def show_console(tools: Tools, record: Record, tail: int | None) -> None:
    if not isinstance(tools.provider, ConsoleLog):
        raise Refused(f"A machine of the provider {tools.provider.name!r} shows no console")
    lines = tools.provider.console(record.id).splitlines()
    print("\n".join(lines if tail is None else lines[-tail:]))


def _ask(tools: Tools, record: Record, command: str) -> Result:
    """What `command` says on the server. Raises Refused when that does not run, NotReady."""
    folder = tools.store.folder(record.name)
    server = tools.provider.find(record.id)
    if server is None:
        raise Refused(
            f"The machine of {record.name!r} is gone", hint=f"what was saved is in {folder.logs}"
        )
    if server.state is not ServerState.RUNNING:
        raise Refused(
            f"The machine of {record.name!r} is off",
            hint=f"provision start {record.name}\nwhat was saved is in {folder.logs}",
        )
    remote = tools.connect(server, folder)
    try:
        return remote.run(command, timeout=120)
    finally:
        quietly(remote.close)
