"""How much there is to share, and what speaks against sharing it, before anything exists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import ProvisionError
from provisioner.models import DataSource, Finding, Findings, Severity
from provisioner.render.materials import is_repository
from provisioner.settings import Settings
from provisioner.survey import survey
from provisioner.workflow.tools import Tools

SHOWN = 5
"""Files that a finding of many names."""


@dataclass(frozen=True, slots=True)
class Measured:
    size: int  # bytes, as far as known
    findings: Findings = ()


def is_folder(source: DataSource) -> bool:
    return "://" not in source.source


def data_bytes(tools: Tools, settings: Settings) -> int:
    """What all shared data takes on the server's disk; what nobody knows is not in it."""
    data = sum(measure(tools, source).size for source in settings.data_sources())
    return data + _materials_bytes(settings)


COPIES = 3
"""Of the materials, on the server: what participants see, what they saw before, what is arriving.

Everybody's own copy is in their home, and counts there.
"""


def _materials_bytes(settings: Settings) -> int:
    """A repository's size is not known before it is fetched: as much as one person may have."""
    source = settings.materials_source()
    if source is None:
        return 0
    if is_repository(source.source) or not Path(source.source).is_dir():
        return settings.limits().disk
    return COPIES * survey(Path(source.source)).size


def measure(tools: Tools, source: DataSource) -> Measured:
    return _folder(source) if is_folder(source) else _downloads(tools, source)


def _folder(source: DataSource) -> Measured:
    if not Path(source.source).is_dir():
        return _error(
            f"the folder {source.source} for {source.path} does not exist",
            f"make it, or change [[data]] source for {source.path}",
        )
    found = survey(Path(source.source))
    findings = []
    if found.problems:
        findings.append(
            Finding(
                Severity.ERROR,
                "data",
                _some(found.problems),
                "make it readable for you, or move it out of the folder",
            )
        )
    if found.from_outside:
        outside = f"also shared, from outside of the folder: {'; '.join(found.from_outside)}"
        hint = "remove the link, if that is not for everybody"
        findings.append(Finding(Severity.WARNING, "data", outside, hint))
    if found.left_out:
        left = [item.words for item in found.left_out]
        findings.append(Finding(Severity.WARNING, "data", f"not copied: {_some(left)}"))
    return Measured(found.size, tuple(findings))


def _downloads(tools: Tools, source: DataSource) -> Measured:
    if tools.downloads is None:
        return Measured(0)
    try:
        sizes = [item.size for item in tools.downloads.listing(source)]
    except ProvisionError as error:
        return _error(error.message, error.hint)
    size = sum(item or 0 for item in sizes)
    if None in sizes:
        return Measured(
            size,
            (
                Finding(
                    Severity.WARNING,
                    "data",
                    f"nobody says from here how large {source.source} is: the machine's disk is "
                    "planned without it",
                    "a larger --disk for each leaves room",
                ),
            ),
        )
    return Measured(size)


def _error(message: str, hint: str) -> Measured:
    return Measured(0, (Finding(Severity.ERROR, "data", message, hint),))


def _some(lines: list[str]) -> str:
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more
