"""The bootstrap as a unit of systemd: how it is begun, and what there is to see of it."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.errors import NotReady, NotYet
from provisioner.providers.host.upload import BOOTSTRAP, LOG

STATE = (
    f"systemctl show --property=ActiveState,Result {BOOTSTRAP};"
    f" grep '^bootstrap \\[' {LOG} 2> /dev/null | tail --lines=1;"  # apt's own words may be many
    f" tail --lines=40 {LOG} 2> /dev/null || true"
)

BEGIN = (
    "systemctl daemon-reload"
    " && systemctl enable --now provision-deadline.timer"  # first: what follows may fail
    f" && {{ systemctl reset-failed {BOOTSTRAP} 2> /dev/null || true; }}"
    f" && systemctl start --no-block {BOOTSTRAP}"
)

_UNDER_WAY = frozenset({"activating", "deactivating", "reloading"})


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """`state` is systemd's ActiveState; `log` its last announcement, and the end of all it said."""

    state: str
    result: str
    log: tuple[str, ...]

    @property
    def needed(self) -> bool:
        return self.state != "active" and self.state not in _UNDER_WAY

    @property
    def stage(self) -> str:
        """The last thing it announced: "installing Docker and Compose"."""
        said = [line.partition("] ")[2] for line in self.log if line.startswith("bootstrap [")]
        return said[-1] if said else "its first stage"

    def must_be_done(self, name: str) -> None:
        """Raises NotYet while it is under way, NotReady when it failed or was cut short."""
        if self.state == "active":
            return
        if self.state in _UNDER_WAY:
            raise NotYet(f"the bootstrap is at: {self.stage}")
        if self.state == "failed":
            message = f"the bootstrap failed ({self.result}) at: {self.stage}"
        else:
            message = f"the bootstrap was cut short at: {self.stage}"
        raise NotReady(message, hint=f"provision launch {name}", details=self.log)


def parse_state(text: str) -> Bootstrap:
    lines = text.splitlines()
    values = dict(line.split("=", 1) for line in lines[:2] if "=" in line)
    return Bootstrap(
        values.get("ActiveState", "inactive"), values.get("Result", ""), tuple(lines[2:])
    )
