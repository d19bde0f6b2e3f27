"""Debian 12's backports as an apt source, derived from the machine's own sources.

Debian 12's QEMU crashes guests that it emulates; its backports have one that does not. Which mirror
to ask is what this machine's apt already knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_ONE_LINE = re.compile(r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$")


@dataclass(frozen=True, slots=True)
class Source:
    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


def suite(release: Mapping[str, str]) -> str:
    """The backports suite that is needed on this release, or ""."""
    needed = release.get("ID") == "debian" and release.get("VERSION_ID") == "12"
    return f"{release.get('VERSION_CODENAME', 'bookworm')}-backports" if needed else ""


def derived(release: Mapping[str, str], apt: Path) -> str:
    """The release and its backports as one deb822 source, or "" where they are not needed.

    "" too when no source of the release itself is found: then the machine's own must do.
    """
    wanted = suite(release)
    codename = wanted.removesuffix("-backports")
    for source in sources(apt) if wanted else ():
        if codename not in source.suites:
            continue
        suites = [s for s in source.suites if s.startswith(codename)]
        lines = {
            "Types": "deb",
            "URIs": source.uri,
            "Suites": " ".join(dict.fromkeys([*suites, wanted])),
            "Components": " ".join(source.components),
            "Signed-By": source.signed_by,
        }
        return "".join(f"{key}: {value}\n" for key, value in lines.items() if value)
    return ""


def sources(apt: Path) -> Iterator[Source]:
    """All active binary sources of an /etc/apt, in either notation."""
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        if file.is_file():
            yield from _one_line(file.read_text(encoding="utf-8"))
    for file in sorted((apt / "sources.list.d").glob("*.sources")):
        yield from _deb822(file.read_text(encoding="utf-8"))


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        if match := _ONE_LINE.match(line.partition("#")[0].strip()):
            options = dict(option.partition("=")[::2] for option in (match[1] or "").split())
            signed_by = options.get("signed-by", "")
            yield Source(match[2], (match[3],), tuple(match[4].split()), signed_by)


def _deb822(text: str) -> Iterator[Source]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {
            key.lower(): " ".join(value.split())
            for key, value in re.findall(r"^([\w-]+):((?:.*\n?)(?:[ \t].*\n?)*)", stanza, re.M)
        }
        inline_key = "BEGIN" in fields.get("signed-by", "")
        if (
            "deb" not in fields.get("types", "").split()
            or fields.get("enabled", "yes").lower() == "no"
            or inline_key  # an embedded key cannot be carried over on one line
        ):
            continue
        suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
        for uri in fields.get("uris", "").split():
            yield Source(uri, tuple(suites), tuple(components), fields.get("signed-by", ""))
