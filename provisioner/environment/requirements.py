"""pip's requirements files, as far as they can be installed on another machine.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement

Read = Callable[[str], str]
"""The text of a file named in another one. Raises OSError and UnicodeDecodeError."""

Join = Callable[[str, str], str]
"""Where the second file is, which the first one names."""

COMMENT = re.compile(r"(^|\s+)#.*$")
INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s+|=|(?<=^-[rc]))(\S+)")
INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url|-f|--find-links)(?:\s+|=)(\S+)")
PLAIN_OPTION = re.compile(r"--(pre|prefer-binary|(no|only)-binary(\s+|=)[\w:.,-]+)")

REFUSED = (
    (
        r"\$\{",
        "a variable of this computer means nothing on the server, and a secret can't go there",
    ),
    (r"(^|\s)--hash[=\s]", "hashes take more room than there is: export the list without them"),
    (r"--trusted-host", "certificates are always checked; network.ca_bundle names your own"),
    (
        r"^(-e|--editable)\b",
        "the server has no such folder: push the package to git, or publish it",
    ),
    (r"\bssh://|^git@", "the server has no key of yours: use https://"),
    (r"(^|[\s@+=])http:", "nothing is fetched without a certificate: use https://"),
    (r"://(?!git@)[^/\s]*@", "a password can't go there: anybody on the machine could read it"),
    (r"(^|[\s@+])file:", "the server has no such file: publish the package, or put it into git"),
)
"""What a line holds → why it can't be installed. The first that matches is told."""

LOCAL = re.compile(r"(\.|/|~|[A-Za-z]:\\)|[^\s:]+\.(whl|zip|tar\.gz)$")


@dataclass(slots=True)
class Found:
    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)


def check(line: str) -> None:
    """Raises ValueError, with the reason, unless pip on another machine can do this `line`."""
    for pattern, why in REFUSED:
        if re.search(pattern, line):
            raise ValueError(f"{line!r}: {why}")
    if address := INDEX.fullmatch(line):
        if not address[1].startswith("https://"):
            raise ValueError(f"{line!r}: an index is reached over https://")
        return
    if PLAIN_OPTION.fullmatch(line):
        return
    if line.startswith("-"):
        raise ValueError(f"{line!r}: this option of pip's is not for a requirements file here")
    if re.match(r"(git|hg|svn|bzr)?\+?https://\S+$", line):
        return
    if LOCAL.match(line):
        raise ValueError(f"{line!r}: the server has no such file: publish it, or put it into git")
    try:
        Requirement(line)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{line!r} is not a requirement: {reason}") from None


def read(name: str, read_file: Read, join: Join) -> Found:
    """All that the file `name` asks for, with what it includes.

    Raises ValueError with file, line and reason for everything that can't be installed.
    """
    found = Found()
    problems: list[str] = []
    _follow(name, read_file, join, found.requirements, found, problems, seen=(name,))
    if problems:
        raise ValueError("\n".join(problems))
    return found


def _follow(
    name: str,
    read_file: Read,
    join: Join,
    into: list[str],
    found: Found,
    problems: list[str],
    *,
    seen: tuple[str, ...],
) -> None:
    try:
        text = read_file(name)
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{name} can't be read: {getattr(error, 'strerror', '') or error}")
        return
    for number, line in lines(text):
        if include := INCLUDE.fullmatch(line):
            option, path = include.groups()
            if "://" in path:
                problems.append(f"{name}, line {number}: {line!r}: only a file beside it")
                continue
            target = join(name, path)
            if target in seen:
                problems.append(f"{name}, line {number}: {line!r}: it includes itself")
                continue
            list_ = found.constraints if option in {"-c", "--constraint"} else into
            _follow(target, read_file, join, list_, found, problems, seen=(*seen, target))
            continue
        try:
            check(line)
        except ValueError as error:
            problems.append(f"{name}, line {number}: {error}")
            continue
        if line not in into:
            into.append(line)


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and words of each line that says something; a `\\` at the end joins two."""
    pending, start = "", 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        start = start or number
        continued = raw.endswith("\\")
        pending += raw.removesuffix("\\")
        if continued:
            continue
        if line := " ".join(COMMENT.sub("", pending).split()):
            yield start, line
        pending, start = "", 0
    if line := " ".join(COMMENT.sub("", pending).split()):
        yield start, line
