"""Everybody in a table: in full, or in whatever form fits the room there is."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from datetime import datetime

from rich.cells import cell_len
from rich.text import Text

from provisioner.models import GIB, MIB
from provisioner.workflow.seats import FULL, Seat, State, by_trouble

COLOURS = {
    State.FAILED: "bold red",
    State.STARTING: "cyan",
    State.RUNNING: "green",
    State.IDLE: "yellow",
    State.STOPPED: "dim",
    State.NEVER: "blue",
    State.UNKNOWN: "dim",
}
DOTS = {
    State.FAILED: "✗",
    State.STARTING: "◌",
    State.RUNNING: "●",
    State.IDLE: "◐",
    State.STOPPED: "○",
    State.NEVER: "·",
    State.UNKNOWN: "?",
}
"""What the colours say, for whoever sees no colours."""
SHORT = {State.NEVER: "never"}


def full_lines(found: Sequence[Seat], at: datetime | None, *, notes: bool = True) -> list[Text]:
    """A heading, then a line for each, the note of whoever has one at its end."""
    named = any(seat.name for seat in found)
    headings = ("User name", *(["Name"] if named else []), "State", "Active")
    rows = [[Text(word, "bold") for word in (*headings, "Memory", "CPU", "Disk", "")]]
    for seat in found:
        cpu = "" if seat.cpu is None else f"{seat.cpu:.0f} %"
        rows.append(
            [
                _name(seat),
                *([Text(seat.name)] if named else []),
                Text(seat.state, COLOURS[seat.state]),
                Text(ago(seat.last_activity, at)),
                _share(seat.memory_used, seat.memory_percent),
                Text(cpu),
                _share(seat.disk_used, seat.disk_percent),
                _note(seat) if notes else Text(),
            ]
        )
    return _aligned(rows, right=range(len(headings), len(headings) + 3))


def _aligned(
    rows: Sequence[Sequence[Text]], *, right: Container[int] = (), gap: int = 2
) -> list[Text]:
    """Columns as wide as they need to be; the last one ends where it ends."""
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        line = Text()
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell.cell_len)
            line.append_text(Text(space) + cell if number in right else cell + Text(space))
            line.append(" " * gap)
        line.rstrip()
        lines.append(line)
    return lines


def _name(seat: Seat) -> Text:
    return Text(f"{DOTS[seat.state]} {seat.username}", COLOURS[seat.state])


def _note(seat: Seat) -> Text:
    return Text(seat.note, "red" if seat.troubles else "yellow")


def _share(used: int | None, full: float | None) -> Text:
    if used is None:
        return Text("")
    size = _brief(used)
    return Text(size) if full is None else Text(f"{size} {full:3.0f} %", warmth(full))


def _brief(size: int) -> str:
    """As sizes are typed: 512M, 1.5G."""
    return f"{size / GIB:.1f}G" if size >= GIB else f"{size / MIB:.0f}M"


def warmth(full: float | None) -> str:
    if full is None:
        return ""
    return "bold red" if full > FULL else "yellow" if full > 75 else ""


def ago(when: datetime | None, at: datetime | None) -> str:
    if when is None or at is None:
        return ""
    minutes = max(0, int((at - when).total_seconds() // 60))
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02} ago" if hours else f"{minutes} min ago" if minutes else "now"


def _medium(seat: Seat, width: int) -> Text:
    """Name, state, memory, CPU and disk in per cent."""
    made = _fitted(_name(seat), width)
    made.append(f" {SHORT.get(seat.state, seat.state):<8}", COLOURS[seat.state])
    for letter, value in (("M", seat.memory_percent), ("C", seat.cpu), ("D", seat.disk_percent)):
        colour = "" if letter == "C" else warmth(value)
        made.append(f" {letter}" + ("   -" if value is None else f"{value:3.0f}%"), colour)
    return made


def _small(seat: Seat, width: int) -> Text:
    made = _fitted(_name(seat), width)
    full = seat.memory_percent
    made.append("   -" if full is None else f"{full:3.0f}%", warmth(full))
    return made


def _tiny(seat: Seat, width: int) -> Text:
    return _fitted(_name(seat), width)


def _fitted(text: Text, width: int) -> Text:
    made = text.copy()
    made.truncate(width, overflow="ellipsis", pad=True)
    return made


FORMS: tuple[tuple[Callable[[Seat, int], Text], int], ...] = ((_medium, 3), (_small, 2), (_tiny, 1))
"""From roomy to tight, with the blanks between columns."""


def people(found: Sequence[Seat], at: datetime | None, width: int, height: int) -> Iterator[Text]:
    """Everybody in at most `height` lines, in the roomiest form that holds all of them.

    Whoever is in trouble comes first, and with words as far as there is room.
    """
    ordered = by_trouble(found)
    full = full_lines(ordered, at)
    if len(full) <= height and max(line.cell_len for line in full) <= width:
        yield from full
        return
    noted = [seat for seat in ordered if seat.note]
    bare = full_lines(ordered, at, notes=False)
    fits = max(line.cell_len for line in bare) <= width
    if fits and len(noted) + len(bare) <= height:
        yield from map(_worded, noted)
        yield from bare
        return
    worded = noted[: height // 3]
    yield from map(_worded, worded)
    yield from _packed(
        [seat for seat in ordered if seat not in worded], width, height - len(worded)
    )


def _packed(found: Sequence[Seat], width: int, height: int) -> Iterator[Text]:
    """In as many columns as it takes."""
    if not found:
        return
    names = min(18, max(cell_len(seat.username) + 2 for seat in found))
    for form, gap in FORMS:
        cells = [form(seat, names) for seat in found]
        columns = max(1, (width + gap) // (max(cell.cell_len for cell in cells) + gap))
        if -(-len(cells) // columns) <= height:
            yield from _columns(cells, columns, gap)
            return
    room = columns * max(1, height - 1)
    yield from _columns(cells[:room], columns, gap)
    yield Text(f"… and {len(cells) - room} more; a larger window shows them", "dim")


def _worded(seat: Seat) -> Text:
    return _name(seat) + Text("  ") + _note(seat)


def _columns(cells: Sequence[Text], columns: int, gap: int) -> list[Text]:
    """Top to bottom, then left to right, as a list is read."""
    rows = -(-len(cells) // columns)
    filled = [*cells, *[Text()] * (rows * columns - len(cells))]
    return _aligned([filled[row::rows] for row in range(rows)], gap=gap)
