"""What an organiser looks at on the server, or does in a participant's place, as values."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from provisioner.render.commands import compose

NO_DOCKER = 69
"""How `logs` ends when Docker does not answer."""

_SEQUENCE = r"s|\x1b\[[0-9;?]*[ -/]*[@-~]||g"
_CONTROL = r"s|[\x00-\x08\x0b-\x1f\x7f]||g"
PLAIN = f"LC_ALL=C sed -u -e {shlex.quote(_SEQUENCE)} -e {shlex.quote(_CONTROL)}"
"""A filter: what a participant's program prints must not steer the organiser's terminal, and
Compose clears lines on it whatever it is told."""


_DOCKER_ANSWERS = f"timeout 20 docker info > /dev/null || exit {NO_DOCKER}"
"""Else the filters behind it would pass its silence off as an empty log."""


def container(username: str) -> str:
    return f"jupyter-{username}"


def as_root(command: str) -> str:
    """For a login that is root already, or may become it with sudo."""
    become = 's=$(test "$(id -u)" -eq 0 || echo sudo)'
    return f"{become}; exec $s sh -c {shlex.quote(command)}"


def logs(
    services: Sequence[str],
    people: Sequence[str] = (),
    *,
    tail: int | None = None,
    since: str = "",
    follow: bool = False,
) -> str:
    """Lines of `services` and of the servers of `people`; of all services when both are empty.

    `tail` is how many lines of each, None all of them; `since` is as Docker takes it: 600s, or a
    time of RFC 3339.
    """
    parts = []
    if services or not people:
        parts.append(f"{_compose(services, tail=tail, since=since, follow=follow)} 2>&1 | {PLAIN}")
    for name in people:
        label = f" | sed -u 's/^/{name} | /'" if len(people) > 1 or services else ""
        said = _server(name, tail=tail, since=since, follow=follow)
        parts.append(f"{{ {said}; }} 2>&1 | {PLAIN}{label}")
    joined = " & ".join(parts) + " & wait" if follow and len(parts) > 1 else "; ".join(parts)
    return f"{_DOCKER_ANSWERS}; {joined}"


def _compose(
    services: Sequence[str], *, tail: int | None, since: str, follow: bool, bare: bool = False
) -> str:
    words = ["logs", "--no-color", "--timestamps", *_range(tail, since, follow)]
    return compose(*words, *(["--no-log-prefix"] if bare else []), *services)


def _server(username: str, *, tail: int | None, since: str, follow: bool) -> str:
    """What a participant's server says. When it is stopped its container is gone, with all that it
    said: then what the hub says of that name."""
    words = ["docker", "logs", "--timestamps", *_range(tail, since, follow), container(username)]
    look = f"docker container inspect {container(username)} > /dev/null 2>&1"
    note = f"echo 'The server of {username} does not run; the hub says of it:'"
    hub = _compose(["hub"], tail=None, since=since, follow=follow, bare=True)
    # A name is a word: user1 is not part of user1-b. What is only being looked up tells nothing.
    mention = (
        f"grep -E --line-buffered '(^|[^a-z0-9_-]){username}([^a-z0-9_-]|$)'"
        " | grep -v --line-buffered ' 200 GET /hub/api/'"
    )
    last = f" | tail -n {tail}" if tail is not None and not follow else ""
    return f"if {look}; then {shlex.join(words)}; else {note}; {hub} | {mention}{last}; fi"


def _range(tail: int | None, since: str, follow: bool) -> list[str]:
    return [
        *("--tail", "all" if tail is None else str(tail)),
        *(["--since", since] if since else []),
        *(["--follow"] if follow else []),
    ]


def server_runs(username: str) -> str:
    """Says "true" when the participant's container is up."""
    return shlex.join(
        ["docker", "container", "inspect", "--format", "{{.State.Running}}", container(username)]
    )


def inside(username: str, words: Sequence[str], *, terminal: bool) -> str:
    """Run `words` in a participant's container, as its user and where its files are.

    Nothing is said to run: a shell.
    """
    flags = ["--interactive", *(["--tty"] if terminal else [])]
    return shlex.join(["docker", "exec", *flags, container(username), *(words or ["bash"])])
