"""One thing that a rehearsal brought to light, in words: what is wrong, and what to change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioner.visits import Failure, Visit


@dataclass(frozen=True, slots=True)
class Reason:
    """`warning` is worth knowing and fails nothing."""

    what: str
    change: str
    evidence: tuple[str, ...] = ()
    warning: bool = False


def people_words(names: Sequence[str], of: int) -> str:
    """ "all 30", "user01", "user01, user02 and 3 more of 30" """
    if len(names) == of and of > 1:
        return f"all {of}"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}{f' of {of}' if of > 1 else ''}"


def alike(pairs: Sequence[tuple[Visit, Failure]]) -> Iterator[tuple[str, int, list[str]]]:
    """Equal failures together: words, cell, user names."""
    groups: dict[tuple[str, int], list[str]] = defaultdict(list)
    for visit, failure in pairs:
        words = failure.words.replace(visit.username, "\0")
        groups[words, failure.cell].append(visit.username)
    for (words, cell), names in groups.items():
        yield words.replace("\0", names[0]), cell, names
