"""The bootstrap as a unit of systemd: how it is begun, and what there is to see of it."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.errors import NotReady, NotYet
from provisioner.render.bundle import ROOT

BOOTSTRAP = "provision-bootstrap.service"
LOG = "/var/log/provision-bootstrap.log"
MARK = f"{ROOT}/bootstrapped"
"""What bootstrap.sh leaves when it got to its end."""

_MARKED = "Bootstrapped"

STATE = (
    f"systemctl show --property=LoadState,ActiveState,Result,Job {BOOTSTRAP};"
    f" [ ! -e {MARK} ] || echo {_MARKED}=yes;"
    f" grep '^bootstrap \\[' {LOG} 2> /dev/null | tail --lines=1;"  # apt's own words may be many
    f" tail --lines=40 {LOG} 2> /dev/null || true"
)

BEGIN = (
    f"systemctl daemon-reload && systemctl enable {BOOTSTRAP}"
    f" && {{ systemctl reset-failed {BOOTSTRAP} 2> /dev/null || true; }}"
    f" && systemctl start --no-block {BOOTSTRAP}"
)
"""Again, where it failed or was cut short. Every step of it asks first whether it is done."""

_UNDER_WAY = frozenset({"activating", "deactivating", "reloading"})
_PROPERTIES = frozenset({"LoadState", "ActiveState", "Result", "Job", _MARKED})


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """`state` is systemd's ActiveState; `log` its last announcement, and the end of all it said."""

    state: str
    result: str
    log: tuple[str, ...]
    marked: bool = False  # it got to its end, before this boot perhaps
    queued: bool = False  # systemd will start it
    missing: bool = False  # systemd knows no such unit

    @property
    def done(self) -> bool:
        return self.marked or self.state == "active"

    @property
    def needed(self) -> bool:
        return not (self.done or self.queued or self.state in _UNDER_WAY)

    @property
    def stage(self) -> str:
        """The last thing it announced: "installing Docker and Compose"."""
        said = [line.partition("] ")[2] for line in self.log if line.startswith("bootstrap [")]
        return said[-1] if said else "its first stage"

    def must_be_done(self, name: str) -> None:
        """Raises NotYet while it is under way, NotReady when it failed or was cut short.

        Both with the end of its log.
        """
        if self.done:
            return
        if not self.needed:
            raise NotYet(f"the bootstrap is at: {self.stage}", details=self.log)
        if self.state == "failed":
            message = f"the bootstrap failed ({self.result}) at: {self.stage}"
        else:
            message = f"the bootstrap was cut short at: {self.stage}"
        raise NotReady(message, hint=f"provision launch {name}", details=self.log)


def parse_state(text: str) -> Bootstrap:
    """What `STATE` printed: properties first, then the log."""
    lines = text.splitlines()
    values: dict[str, str] = {}
    while lines and lines[0].partition("=")[0] in _PROPERTIES:
        key, _, value = lines.pop(0).partition("=")
        values[key] = value
    return Bootstrap(
        state=values.get("ActiveState", "inactive"),
        result=values.get("Result", ""),
        log=tuple(lines),
        marked=_MARKED in values,
        queued=values.get("Job", "") not in {"", "0"},
        missing=values.get("LoadState", "") == "not-found",
    )
