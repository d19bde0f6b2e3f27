"""`open`: the workshop in the organiser's browser, and how that comes to trust it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

from provisioner.cli.output import stderr
from provisioner.errors import Refused
from provisioner.models import Phase
from provisioner.sheet.forms import Sheet
from provisioner.store import Folder, Record

TRUST: Mapping[str, tuple[str, ...]] = {
    "darwin": (
        "Safari, Chrome: open {ca} in Keychain Access, then set it to Always Trust",
        "Firefox: Settings > Privacy & Security > View Certificates > Authorities > Import",
    ),
    "linux": (
        "Chrome, Chromium: certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n {name} -i {ca}",
        "Firefox: Settings > Privacy & Security > View Certificates > Authorities > Import",
    ),
}
"""sys.platform → how a browser there is told of an authority."""


def address(record: Record, username: str = "") -> str:
    """Where the workshop is; with a name, its login page with that name filled in.

    Raises Refused while it has no address.
    """
    if not record.url:
        raise Refused(
            f"Workshop {record.name!r} has no address yet", hint=f"provision launch {record.name}"
        )
    return Sheet(record.name, record.url, ()).login_url(username) if username else record.url


def show(record: Record, folder: Folder, url: str, *, here: bool = True) -> bool:
    """Print the address, and open it where there is a display. True when a browser opened it."""
    if record.phase is not Phase.READY:
        stderr.print(f"[yellow]![/] It is {record.phase}: provision status {record.name}")
    print(url, flush=True)
    for line in how_to_trust(record.name, folder.ca):
        stderr.print(line, markup=False)
    if not here or not has_display(sys.platform, os.environ):
        return False
    if webbrowser.open(url):
        return True
    stderr.print("[yellow]![/] No browser could be opened from here: copy that address into one")
    return False


def has_display(platform: str, environ: Mapping[str, str]) -> bool:
    """Whether a browser would have a window. Without one, Python would start a text browser."""
    if platform in {"darwin", "win32"} or environ.get("BROWSER"):
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def how_to_trust(name: str, ca: Path) -> tuple[str, ...]:
    """Lines for who looks at a workshop whose certificate no public authority vouches for."""
    if not ca.exists():
        return ()
    ways = TRUST.get(sys.platform, TRUST["linux"])
    return (
        f"The certificate is the workshop's own; browsers warn until they trust {ca}",
        *(f"  {way.format(ca=ca, name=f'provision-{name}')}" for way in ways),
        "  Take it out again after the workshop.",
    )
