"""The server fetches files itself: by curl, which is told where on its stdin alone."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from provisioner.errors import NotReady, NotYet
from provisioner.models import Download, Result
from provisioner.protocols import Links
from provisioner.remote.tree import LONG, Line, Progress, Tree, must, part_name
from provisioner.render import data
from provisioner.survey import Entry

BATCH = 500
"""Files that one curl fetches: their addresses are made just before, and are good for hours."""

SILENCE = 60
"""Seconds without a byte after which a transfer is given up; the next attempt goes on there."""

CANNOT_GO_ON = {"33", "36"}
"""curl's codes for a keeper that gives whole files only: the part is begun anew."""

DISK_FULL = "23"
"""curl's code for what it could not write."""

PAST_THE_END = "416"
GONE = {
    "404": "it is not there",
    "410": "it is not there any more",
    "412": "it has changed since it was listed",
}
"""Answers that no repetition changes. 403 is none: a link may have ended, and is made anew."""

Part = tuple[str, Download]
Tell = Callable[[int], None]


def fetch_tree(
    line: Line, wanted: Sequence[Download], target: str, links: Links, progress: Progress
) -> None:
    """See protocols.Remote."""
    entries = {item.path: item for item in _entries(wanted)}
    tree = Tree(line, target)
    tree.look()
    missing = [
        (_part_of(item), item)
        for item in wanted
        if item.size is None or not tree.there.has(entries[item.path])
    ]
    tree.clear(entries, [name for name, _ in missing])
    if not missing and not tree.there.staged:
        return tree.settle()
    known = [item.size for item in wanted if item.size is not None]
    total = sum(known) if len(known) == len(wanted) else 0
    held = sum(tree.there.parts.values())
    needed = sum(_length(tree, item, links) for _, item in missing)
    tree.require(needed - held, f"What {target} gets")
    before = sum(item.size or 0 for item in wanted) - sum(item.size or 0 for _, item in missing)
    for number in range(0, len(missing), BATCH):
        batch = missing[number : number + BATCH]
        _bring(tree, batch, links, _from(before, total, progress))
        before += sum(item.size or 0 for _, item in batch)
        if total:
            progress(before, total)
    return tree.settle()


def _length(tree: Tree, item: Download, links: Links) -> int:
    """Bytes. Of what nobody told us the server asks; 0 when it hears nothing either."""
    if item.size is not None:
        return item.size
    (link,) = links([item])
    config = data.length_config(str(link.address), link.header)
    said = tree.line.run(data.LENGTH, stdin=config)
    found = re.findall(r"^content-length: *(\d+)\s*$", said.out, re.MULTILINE | re.IGNORECASE)
    return int(found[-1]) if said.ok and found else 0


def _bring(tree: Tree, batch: Sequence[Part], links: Links, tell: Tell) -> None:
    empty = b"".join(name.encode() + b"\0" for name, item in batch if item.size == 0)
    if empty:
        made = tree.line.run(data.make_empty(tree.target), stdin=empty)
        must(made, f"{tree.target} can't be written on the server")
    todo = [part for part in batch if part[1].size != tree.there.parts.get(part[0], 0)]
    answer = _fetch(tree, todo, links, tell) if todo else _Answer(Result(0, "", ""))
    tree.look()
    complete = [part for part in batch if _complete(tree, *part, answer, tell)]
    tree.place([(name, _entry(item)) for name, item in complete])
    full = [name for name, (_, code) in answer.codes.items() if code == DISK_FULL]
    if full:
        for name in full:
            tree.drop_part(name)
        raise NotReady(
            f"The server's disk is full: {tree.target} is not whole",
            hint="share less, or make a larger machine: a workshop's disk can't grow",
        )
    if len(complete) < len(batch):
        raise _incomplete(batch, complete, answer)


class _Answer:
    """What curl said of each part: its HTTP status and its own code."""

    def __init__(self, result: Result, said: str = "") -> None:
        self.result = result
        found = re.findall(r"^code (\w+) (\d+) (\d+)$", said, re.MULTILINE)
        self.codes = {name: (status, code) for name, status, code in found}

    def of(self, name: str) -> tuple[str, str]:
        return self.codes.get(name, ("000", "0" if self.result.ok else str(self.result.code)))


def _fetch(tree: Tree, todo: Sequence[Part], links: Links, tell: Tell) -> _Answer:
    where = links([item for _, item in todo])
    wanted = [
        (name, str(link.address), link.header) for (name, _), link in zip(todo, where, strict=True)
    ]
    config = data.curl_config(wanted, tree.target, silence=SILENCE)
    sink = _Sizes(tell)
    result = tree.line.receive(data.fetch(tree.target), sink, timeout=LONG, stdin=config)
    if result.code == 127:
        raise NotReady(
            "The server has no curl, which fetches the data",
            hint="there: sudo apt-get install curl",
        )
    answer = _Answer(result, sink.text)
    for name, _ in todo:
        if answer.of(name)[1] in CANNOT_GO_ON:
            tree.drop_part(name)
    return answer


class _Sizes(io.BytesIO):
    """Tells each "size N" as it comes, and keeps all that is said."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell, self.text = tell, ""

    def write(self, chunk: Any, /) -> int:
        text = bytes(chunk).decode("ascii", "replace")
        self.text += text
        if sizes := re.findall(r"^size (\d+)$", self.text[-1000:], re.MULTILINE):
            self._tell(int(sizes[-1]))
        return len(text)


def _complete(tree: Tree, name: str, item: Download, answer: _Answer, tell: Tell) -> bool:
    """Raises NotReady for a file that is whole and not the one that was asked for."""
    status, code = answer.of(name)
    if name not in tree.there.parts or (item.size not in (None, tree.there.parts[name])):
        return False
    if not item.sha256:
        return item.size is not None
    if code != "0" and status != PAST_THE_END:
        return False
    sink = _Sizes(tell)
    must(
        tree.line.receive(data.checksum(tree.target, name), sink, timeout=LONG),
        f"{item.path} can't be read on the server",
    )
    (found,) = re.findall(r"^([0-9a-f]{64}) ", sink.text, re.MULTILINE) or [""]
    if found == item.sha256:
        return True
    tree.drop_part(name)
    if status == PAST_THE_END:
        return False  # what was there was longer than what is: begun anew
    raise NotReady(
        f"{item.path} is not the file that sha256 in workshop.toml tells of; it was removed",
        details=(f"wanted  {item.sha256}", f"came    {found}"),
        hint="whoever publishes it says which sum is right; somebody may have put up another file",
    )


def _incomplete(
    batch: Sequence[Part], complete: Sequence[Part], answer: _Answer
) -> NotReady | NotYet:
    missing = [part for part in batch if part not in complete]
    name, item = missing[0]
    status, _ = answer.of(name)
    more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    lines = tuple(line for line in answer.result.err.strip().splitlines() if "http" not in line)
    if status in GONE:
        return NotReady(f"The server could not fetch {item.path}{more}: {GONE[status]}")
    why = f"HTTP {status}" if status not in {"000", "200", "206"} else "the transfer broke off"
    return NotYet(f"the server could not fetch {item.path}{more}: {why}", details=lines[-3:])


def _part_of(item: Download) -> str:
    return part_name("fetch", item.path, item.size or "", item.mtime, item.version, item.sha256)


def _entry(item: Download) -> Entry:
    return Entry(item.path, "f", item.size or 0, item.mtime)


def _entries(wanted: Sequence[Download]) -> Iterator[Entry]:
    """The files, and the folders that they are in."""
    folders = {
        str(folder) for item in wanted for folder in list(PurePosixPath(item.path).parents)[:-1]
    }
    yield from (Entry(folder, "d") for folder in sorted(folders))
    yield from (_entry(item) for item in wanted)


def _from(before: int, total: int, progress: Progress) -> Tell:
    return lambda size: progress(min(before + size, total) if total else before + size, total)
