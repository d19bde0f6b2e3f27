"""How the bootstrap is begun on a machine that is somebody's; see render/bootstrap.py."""

from __future__ import annotations

from provisioner.render.bootstrap import BOOTSTRAP, STATE, Bootstrap, parse_state

__all__ = ["BEGIN", "STATE", "Bootstrap", "parse_state"]

BEGIN = (
    "systemctl daemon-reload"
    " && systemctl enable --now provision-deadline.timer"  # first: what follows may fail
    f" && {{ systemctl reset-failed {BOOTSTRAP} 2> /dev/null || true; }}"
    f" && systemctl start --no-block {BOOTSTRAP}"
)
