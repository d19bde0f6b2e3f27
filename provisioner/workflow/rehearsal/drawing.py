"""Plots as SVG text, without a script: as much of a plotting library as three pictures need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 860.0
LEFT, RIGHT, TOP, BOTTOM = 110.0, 16.0, 10.0, 40.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a row; `kind` is a class of the page's style."""

    start: float
    end: float
    kind: str
    says: str


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    bars: tuple[Bar, ...]
    crossed: float | None = None  # where it came to a bad end


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    kind: str
    points: tuple[tuple[float, float], ...]
    stepped: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across, at a value of x."""

    at: float
    says: str


def ticks(most: float, about: int = 6) -> tuple[float, ...]:
    """Round numbers from 0 up to `most` or a bit beyond."""
    if most <= 0:
        return (0.0, 1.0)
    rough = most / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough * 0.999)
    return tuple(round(step * number, 10) for number in range(math.ceil(most / step - 1e-9) + 1))


def timeline(rows: Sequence[Row], *, seconds: float, marks: Sequence[Mark] = ()) -> Markup:
    """One row a person, time to the right."""
    each = 16.0 if len(rows) <= 60 else 8.0
    frame = _Frame(ticks(seconds), (0.0,), len(rows) * each)
    drawn: list[Markup] = []
    for number, row in enumerate(rows):
        y = TOP + number * each
        if each > 10 or number % 5 == 0:
            drawn.append(
                Markup('<text class="label" x="{}" y="{}" text-anchor="end">{}</text>').format(
                    _n(LEFT - 6), _n(y + each - 4), row.label
                )
            )
        drawn += [
            Markup(
                '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
            ).format(
                bar.kind,
                _n(frame.x(bar.start)),
                _n(y + 1),
                _n(max(0.8, frame.x(bar.end) - frame.x(bar.start))),
                _n(each - 3),
                bar.says,
            )
            for bar in row.bars
        ]
        if row.crossed is not None:
            drawn.append(
                Markup('<text class="cross" x="{}" y="{}">✕</text>').format(
                    _n(frame.x(row.crossed) + 2), _n(y + each - 4)
                )
            )
    return frame.around(drawn, "seconds since the first login", marks)


def chart(
    lines: Sequence[Line], *, x: str, y: str, y_most: float = 0.0, marks: Sequence[Mark] = ()
) -> Markup:
    """Lines over a common x; `y_most` 0: as high as the highest."""
    points = [point for line in lines for point in line.points]
    widest = max([at for at, _ in points] + [mark.at for mark in marks], default=1.0)
    highest = y_most or max((value for _, value in points), default=1.0)
    frame = _Frame(ticks(widest), ticks(highest, 4), 180.0)
    drawn = [
        Markup('<polyline class="line {}" points="{}"><title>{}</title></polyline>').format(
            line.kind, frame.path(line), line.label
        )
        for line in lines
        if line.points
    ]
    drawn.append(
        Markup(
            '<text class="label side" transform="translate(60 {}) rotate(-90)">{}</text>'
        ).format(_n(TOP + 90), y)
    )
    return frame.around(drawn, x, marks)


@dataclass(frozen=True)
class _Frame:
    """Axes, and where a value lies between them."""

    x_ticks: tuple[float, ...]
    y_ticks: tuple[float, ...]
    height: float

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / (self.x_ticks[-1] or 1)

    def y(self, value: float) -> float:
        return TOP + self.height * (1 - value / (self.y_ticks[-1] or 1))

    def path(self, line: Line) -> str:
        return " ".join(f"{_n(self.x(x))},{_n(self.y(y))}" for x, y in _corners(line))

    def around(self, drawn: Sequence[Markup], x_label: str, marks: Sequence[Mark]) -> Markup:
        floor = TOP + self.height
        height = floor + BOTTOM
        parts = [
            Markup(
                '<svg viewBox="0 0 {} {}" role="img" xmlns="http://www.w3.org/2000/svg">'
            ).format(_n(WIDTH), _n(height))
        ]
        for tick in self.x_ticks:
            parts.append(_rule(self.x(tick), TOP, self.x(tick), floor, "grid"))
            parts.append(_text(self.x(tick), floor + 15, f"{tick:g}", "middle"))
        for tick in self.y_ticks[: len(self.y_ticks) if len(self.y_ticks) > 1 else 0]:
            parts.append(_rule(LEFT, self.y(tick), WIDTH - RIGHT, self.y(tick), "grid"))
            parts.append(_text(LEFT - 6, self.y(tick) + 4, f"{tick:g}", "end"))
        parts += drawn
        for mark in marks:
            at = self.x(mark.at)
            anchor = "end" if at > WIDTH / 2 else "start"
            parts.append(_rule(at, TOP, at, floor, "mark"))
            parts.append(_text(at + (-5 if anchor == "end" else 5), TOP + 11, mark.says, anchor))
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, floor + 32, x_label, "middle"))
        return Markup("").join([*parts, Markup("</svg>")])


def _corners(line: Line) -> Iterator[tuple[float, float]]:
    before = None
    for x, y in line.points:
        if line.stepped and before is not None:
            yield x, before
        yield x, y
        before = y


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        kind, _n(x1), _n(y1), _n(x2), _n(y2)
    )


def _text(x: float, y: float, words: str, anchor: str) -> Markup:
    return Markup('<text class="label" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        _n(x), _n(y), anchor, escape(words)
    )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
