"""What a failed build of container images says, out of all that BuildKit prints (`plain`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

BEFORE, AFTER = 7, 5
"""Lines that are shown around the one that says most."""

WIDTH = 300

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_STEP = re.compile(r"#(?P<step>\d+) (?P<title>\[[^\]]*\d+/\d+\] .*)")
_SAID = re.compile(r"#(?P<step>\d+) \d+\.\d+ (?P<words>.*)")
_FAILED = re.compile(r"#(?P<step>\d+) ERROR: process ")
_UNSOLVED = re.compile(r"failed to solve: (?P<words>(?!process ).*)")
_TELLING = re.compile(
    r"(^|\s)(E: |ERROR: |fatal: |[\w.]*Error: |npm (error|ERR!) )"
    r"|(^|\s)error: (?!subprocess-|metadata-gen)"
)
_NOISE = re.compile(
    r"\s*$|Requirement already |Collecting |Downloading |Using cached |"
    r"Get:\d|Hit:\d|Ign:\d|Reading |Building dependency|Fetched |Selecting |Preparing to |"
    r"Unpacking |Setting up |Processing |\s+[━╸]|"
    r"(note|hint): (This|See) |╰─> See "
)


@dataclass(frozen=True, slots=True)
class Failure:
    """`reason` is the one line that says most, `words` the tool's own around it, after the step."""

    reason: str
    words: tuple[str, ...]


def failure(lines: Iterable[str]) -> Failure | None:
    """The last build in `lines` that failed, or None when there is none."""
    titles: dict[str, str] = {}
    said: dict[str, list[str]] = {}
    found: Failure | None = None
    for raw in lines:
        line = _COLOUR.sub("", raw).rstrip().split("\r")[-1]
        if match := _STEP.fullmatch(line):
            titles[match["step"]] = match["title"]
            said[match["step"]] = []
        elif match := _SAID.fullmatch(line):
            said.setdefault(match["step"], []).append(match["words"][:WIDTH])
        elif match := _FAILED.match(line):
            step = match["step"]
            found = _told(titles.get(step, ""), said.get(step, []))
        elif match := _UNSOLVED.match(line):
            words = match["words"][:WIDTH]
            found = Failure(words, (words,))
    return found


def _told(title: str, said: list[str]) -> Failure:
    words = [line for line in said if not _NOISE.match(line)] or said
    telling = [line for line in words if _TELLING.search(line)]
    reason = (telling or words or [title])[-1]
    at = words.index(reason) if reason in words else 0
    step = [re.sub(r"\s+", " ", title)[:WIDTH]] if title else []
    return Failure(
        re.sub(r"^(E|ERROR|error): ", "", reason.strip()),
        (*step, *words[max(0, at - BEFORE) : at + AFTER]),
    )
