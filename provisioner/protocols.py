"""Every seam of the program. Workflow knows these and nothing of what stands behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from provisioner.models import (
    Checkout,
    DataSource,
    Download,
    Findings,
    Found,
    Image,
    Link,
    LocalOptions,
    Marked,
    MaterialsSource,
    Network,
    Quote,
    Resource,
    Result,
    Server,
    Size,
    Spec,
)
from provisioner.visits import Heard, Script


class Reporter(Protocol):
    """What the human is told while something takes long. Always stderr, never stdout."""

    def step(self, title: str, *, usual: float | None = None) -> AbstractContextManager[Step]:
        """Open a step; `usual` is how many seconds it takes most times, if known."""
        ...

    def note(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...


class Step(Protocol):
    def update(self, detail: str) -> None:
        """Replace the step's small print, e.g. the current line of a build."""
        ...


class Provider(Protocol):
    """Where the machine comes from. No method sleeps, except for what it itself must settle."""

    name: str

    def check(self, spec: Spec) -> Findings:
        """Read-only preflight: all findings, not just the first."""
        ...

    def create(self, spec: Spec) -> Server:
        """Make the machine, or answer with the one that this workshop has. Returns at once.

        Raises Refused when nothing was created and nothing can be.
        """
        ...

    def find(self, workshop_id: str) -> Server | None: ...

    def delete(self, workshop_id: str) -> None:
        """One idempotent pass; what is absent is fine."""
        ...

    def leftovers(self, workshop_id: str) -> list[Resource]:
        """What still exists of this workshop outside the operator's own records."""
        ...


@runtime_checkable
class HasCapacity(Protocol):
    """Its machines share what one computer has."""

    def available(self) -> Size:
        """Free memory and disk in bytes, and cores."""
        ...


@runtime_checkable
class Discovers(Protocol):
    """Knows the workshops that exist without being told by a record."""

    def discover(self) -> list[Found]:
        """In the region or on the computer that this provider works in."""
        ...


@runtime_checkable
class DiscoversEverywhere(Protocol):
    """Its workshops may be in regions that this provider was not told of."""

    def discover_everywhere(self) -> list[Found]: ...


@runtime_checkable
class Quotes(Protocol):
    """Its machines cost money by the hour."""

    def quote(self, spec: Spec) -> Quote:
        """Raises Refused when no kind of machine fits."""
        ...


@runtime_checkable
class Pauses(Protocol):
    """Can be off overnight: disk kept, address perhaps not. Both return at once."""

    def stop(self, workshop_id: str) -> None: ...

    def start(self, workshop_id: str) -> Server: ...


@runtime_checkable
class KeepsDeadline(Protocol):
    """Writes the deadline where others can read it, such as in tags."""

    def set_deadline(self, workshop_id: str, expires_at: datetime) -> None: ...


@runtime_checkable
class ConsoleLog(Protocol):
    def console(self, workshop_id: str) -> str:
        """What the machine's serial console said so far; "" when there is none."""
        ...


@runtime_checkable
class Restarts(Protocol):
    """Can bring a machine back that ended itself, so that work on its disk can be fetched."""

    def rescue(self, workshop_id: str) -> Server:
        """Boot with the deadline and the bundle switched off."""
        ...


@runtime_checkable
class Bootstraps(Protocol):
    """Its machine was there before: no cloud-init ran on it, and its host key stays."""

    def bootstrapped(self, workshop_id: str) -> None:
        """Raises NotYet with the stage it is in, NotReady with the end of its log."""
        ...


@runtime_checkable
class Bakes(Protocol):
    """Makes golden images ahead of a launch."""

    def bake(self, spec: Spec, reporter: Reporter) -> Image:
        """Answer with the image for `spec`, making it first when it is not there."""
        ...

    def baked(self, spec: Spec) -> bool: ...

    def images(self) -> list[Image]: ...

    def prune(self, keep: Callable[[Image], bool]) -> Iterator[Image]:
        """Delete images that are in nobody's use and not kept; yields each as it goes."""
        ...


@runtime_checkable
class NeedsPackages(Protocol):
    """Stands on system packages that the operator's machine may lack."""

    def missing_packages(self, local: LocalOptions, network: Network) -> Packages | None:
        """What is needed depends on how the machine is to be made."""
        ...


class Packages(Protocol):
    """Missing system packages and the one command that installs them."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def command(self) -> str:
        """What a person would type."""
        ...

    def install(self, reporter: Reporter) -> None:
        """Install them. Raises Refused, with `command` as the hint, when that is not allowed."""
        ...


class Dns(Protocol):
    """Who keeps the workshop's name. No method sleeps.

    A record is ours when a TXT record beside it (`_provision.<hostname>`) says so with the
    workshop's id: written in the same transaction where there are any. Every method is
    idempotent. Errors: Refused for what a person must change, NotYet for "ask again".
    """

    name: str

    def check(self, hostname: str, workshop_id: str) -> Findings:
        """Read-only: credentials work, the zone exists and is delegated to, the name is free."""
        ...

    def point(self, hostname: str, address: str, workshop_id: str) -> None:
        """Make the name lead to `address`. Refused when it is somebody else's."""
        ...

    def settled(self, hostname: str, address: str) -> None:
        """Raises NotYet, naming the server, until every authoritative server says `address`.

        Never asks a recursive resolver, which would remember that there was nothing.
        """
        ...

    def clear(self, hostname: str, workshop_id: str) -> None:
        """Delete the record if it is ours; what is absent or another's is left alone."""
        ...

    def leftovers(self, hostname: str, workshop_id: str) -> list[Resource]:
        """Records of ours that still exist, with the command that deletes each."""
        ...


@runtime_checkable
class FindsMarks(Protocol):
    """A keeper of names that can list every name that workshops made."""

    def strays(self) -> list[Marked]: ...


@runtime_checkable
class Instructs(Protocol):
    """A keeper of names that can't write them: a person does, as told."""

    def instruction(self, hostname: str, address: str) -> str: ...

    def reminder(self, hostname: str) -> str:
        """What to delete by hand once the workshop is gone; "" when there is nothing."""
        ...


Links = Callable[[Sequence[Download]], Sequence[Link]]
"""Where each of some downloads is to be had from now on, in the same order."""


class Downloads(Protocol):
    """What is shared without being the operator's own: files behind https://, objects of S3."""

    def listing(self, source: DataSource) -> tuple[Download, ...]:
        """What there is now. Raises Refused for what a person must change."""
        ...

    def links(self, source: DataSource, wanted: Sequence[Download]) -> tuple[Link, ...]:
        """Good for the next hours, unless the credentials end before. Raises Refused."""
        ...


class Repositories(Protocol):
    """Git, as the operator's computer has it. Never asks; raises Refused for what must change."""

    def check(self, source: MaterialsSource) -> Findings:
        """Whether it can be fetched, without fetching it."""
        ...

    def fetch(self, source: MaterialsSource, into: Path, tell: Callable[[str], None]) -> Checkout:
        """Have the branch as it is now in the folder `into`, submodules and LFS included."""
        ...

    def mirror(self, checkout: Path, branch: str, into: Path) -> None:
        """A bare repository of that branch alone, in which nothing tells where it came from."""
        ...


class Remote(Protocol):
    """An open, authenticated, pinned connection to the server. Commands run as root.

    Every method raises NotYet when the connection is lost.
    """

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        """Run to the end; a code other than 0 is a result, not an error."""
        ...

    def receive(
        self, command: str, sink: BinaryIO, *, timeout: float = 60, stdin: bytes = b""
    ) -> Result:
        """Like `run`, with stdout going to `sink`; `timeout` is for each silence."""
        ...

    def send_tree(self, source: Path, target: str, progress: Callable[[int, int], None]) -> None:
        """Give the folder `target` the contents of `source`; `progress(there, total)` in bytes.

        Only what differs is sent, and what an earlier attempt brought counts, to the byte. Each
        file takes its place complete and at once, after all have arrived; what `source` has no
        longer goes. `target` is never another folder than before, so what has it mounted sees the
        change. Raises NotReady for a file that can't be read (before anything is sent) and when
        the server's disk is too small or full.
        """
        ...

    def fetch_tree(
        self,
        wanted: Sequence[Download],
        target: str,
        links: Links,
        progress: Callable[[int, int], None],
    ) -> None:
        """Like `send_tree`, but the server fetches the files itself; a total of 0 is unknown.

        Raises NotYet when some did not come, NotReady when one is not what it should be.
        """
        ...

    def host_key(self) -> str:
        """The public host key that this connection was verified with."""
        ...

    def close(self) -> None: ...


class Visitor(Protocol):
    """One participant's browser, as far as running a notebook needs one."""

    def login(self) -> None: ...

    def server_ready(self) -> bool: ...

    def run(self, code: str, timeout: float) -> str: ...

    def close(self) -> None: ...


class Crowd(Protocol):
    """Many participants at once."""

    def __call__(self, script: Script, hear: Callable[[Heard], None]) -> None:
        """All of it, from the first login to the last goodbye; what fails is heard, not raised.

        Ends the kernels that it began, at Ctrl-C, too. Servers and people are the caller's.
        """
        ...


class Clock(Protocol):
    """Time as waiting needs it; a test's clock makes hours pass at once."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...
