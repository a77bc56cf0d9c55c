"""Charts as SVG, drawn here so that a report needs no network and no script.

Each is drawn twice, for a wide screen and for a phone, and the style sheet shows the one that fits: letters are of one
size on both. Colours are Okabe's and Ito's, which the colour-blind tell apart; text and lines take the page's own,
light or dark.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgewright.statistics.latency import median, percentile
from edgewright.system.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "DISTRIBUTION",
    "Bar",
    "Interval",
    "Point",
    "Series",
    "bars",
    "curves",
    "distribution",
    "intervals",
    "legend",
    "scatter",
]

_WIDE, _NARROW = 720, 360
"""Units of the drawing, which are about pixels: the width of a page's text, and of a phone's screen."""
_RIGHT, _ROW, _LINE = 60, 24, 15
"""Units of the drawing: room for a value at the right; a line of text and its gap; a line alone."""
_HEIGHT, _BOTTOM, _TOP = 340, 46, 14
"""Units of the drawing: about half the width; room for ticks and a label below, for a label above."""
_COLOURS = 8
"""The classes c0 to c7 of the page's style sheet."""
_MOST_DOTS, _MOST_TICKS, _MOST_NAMES = 40, 10, 40
"""A choice: more dots, ticks or names run into each other at this width."""
_LETTER = 7.2
"""Units of a letter: an estimate, rounded up so that no name is cut off."""
_SMALL_LETTER = 6.8
"""The same of small text, which names are."""
DISTRIBUTION = (
    "Box: the middle half of the runs; line: from the 1st to the 95th percentile; dots: each process's median."
)
"""What stands below a chart of `distribution`s."""
_RINGS = 24
"""A choice: how many distances a name is tried at, each a third of a line further from its point."""


@dataclass(frozen=True)
class Point:
    """A point of a scatter: place, size in its own unit, and what it is; a colour by its number, else by its order."""

    x: float
    y: float
    size: float
    name: str
    note: str
    best: bool = False
    colour: int | None = None


@dataclass(frozen=True)
class Series:
    """A line of a chart: (x, y) in order."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Bar:
    """A bar of parts: (name, value), and the words at its end."""

    name: str
    parts: tuple[tuple[str, float], ...]
    words: str


@dataclass(frozen=True)
class Interval:
    """A row of a chart of distributions: whiskers, box, middle, single dots, and the words at its end."""

    name: str
    low: float
    box: tuple[float, float]
    middle: float
    high: float
    dots: tuple[float, ...]
    words: str


def distribution(name: str, processes: Sequence[Sequence[float]], words: str) -> Interval:
    """Samples of several processes: the 1st to the 95th percentile, the middle half, and each process's median."""
    ordered = sorted(sample for process in processes for sample in process)
    low, *box, high = (percentile(ordered, of) for of in (1, 25, 75, 95))
    dots = tuple(median(sorted(process)) for process in processes)
    return Interval(name, low, (box[0], box[1]), median(ordered), high, dots, words)


def legend(names: Sequence[str]) -> Markup:
    """What the colours mean, in their order."""
    items = [tag("span", tag("i", class_=f"c{at % _COLOURS}"), name, class_="key") for at, name in enumerate(names)]
    return tag("p", *items, class_="legend")


def _twice(draw: Callable[[float], Markup]) -> Markup:
    """A drawing at both widths."""
    return tag("div", tag("div", draw(_WIDE), class_="wide"), tag("div", draw(_NARROW), class_="narrow"), class_="plot")


def scatter(points: Sequence[Point], x_label: str, y_label: str) -> Markup:
    """Points on a logarithmic x; areas follow the sizes; the best are joined by a line."""
    return _twice(lambda width: _scatter(points, x_label, y_label, width))


def _scatter(points: Sequence[Point], x_label: str, y_label: str, width: float) -> Markup:
    low, high = _log_ends([p.x for p in points])
    bottom, top = _ends([p.y for p in points])
    largest = max(p.size for p in points)
    left, right = (70.0, width - 120) if width == _WIDE else (44.0, width - 40)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log(x) - math.log(low)) / (math.log(high) - math.log(low))
        up = (y - bottom) / (top - bottom)
        return left + across * (right - left), _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP - 10)

    front = sorted((p for p in points if p.best), key=lambda p: p.x)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(p.x, p.y) for p in front))
    marks = [
        _dot(point, place(point.x, point.y), largest, at if point.colour is None else point.colour)
        for at, point in enumerate(points)
    ]
    dots = [_Box.around(*place(p.x, p.y), _radius(p, largest)) for p in points]
    named = [(p.name, dot, p.best) for p, dot in zip(points, dots, strict=True) if p.name]
    room = _Box(left, _TOP + 6, width, _HEIGHT - _BOTTOM)
    axes = [
        *_log_axis(low, high, lambda x: place(x, bottom)[0]),
        *_y_axis(bottom, top, lambda y: place(low, y)[1], left, right),
    ]
    front_line = [tag("polyline", points=line, class_="front")] if len(front) > 1 else []
    names = [
        tag("text", x_label, x=(left + right) / 2, y=_HEIGHT - 6, class_="label"),
        tag("text", y_label, x=4, y=_TOP, class_="label start"),
    ]
    return _svg(width, _HEIGHT, *axes, *names, *front_line, *marks, *_labels(named, dots, room))


def _dot(point: Point, at: tuple[float, float], largest: float, colour: int) -> Markup:
    title = tag("title", f"{point.name}: {point.note}" if point.name else point.note)
    return tag("circle", title, cx=at[0], cy=at[1], r=_radius(point, largest), class_=f"f{colour % _COLOURS} mark")


def _radius(point: Point, largest: float) -> float:
    return 4 + 10 * math.sqrt(point.size / largest)


@dataclass(frozen=True)
class _Box:
    """A part of a drawing."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, radius: float) -> _Box:
        return cls(x - radius, y - radius, x + radius, y + radius)

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def meets(self, other: _Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, other: _Box) -> bool:
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


def _labels(named: Sequence[tuple[str, _Box, bool]], dots: Sequence[_Box], room: _Box) -> list[Markup]:
    """A name beside each point, where it covers neither a point nor another name; a line leads to it from far away.

    The best come first. A name for which there is no room stands in no place: its point says it when pointed at.
    """
    taken, marks = [*dots], []
    for name, dot, best in sorted(named, key=lambda one: (not one[2], one[1].top, one[1].left))[:_MOST_NAMES]:
        places = _beside(dot, len(name) * _SMALL_LETTER)
        ring, box = next(
            ((ring, box) for ring, box in places if box.within(room) and not any(map(box.meets, taken))), (0, None)
        )
        if box is None:
            continue
        taken.append(box)
        if ring > 1:
            x, y = dot.middle
            near = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
            marks.append(tag("line", x1=x, y1=y, x2=near[0], y2=near[1], class_="leader"))
        marks.append(tag("text", name, x=box.left, y=box.bottom - 3, class_="small" + " strong" * best))
    return marks


def _beside(dot: _Box, wide: float) -> Iterator[tuple[int, _Box]]:
    """Places for a name near a point: right, left, above, below and at the corners, ever further away."""
    (x, y), high = dot.middle, 13.0
    for ring in range(_RINGS):
        off = 4 + ring * _LINE / 3
        right, left = dot.right + off, dot.left - off - wide
        above, below = dot.top - off - high, dot.bottom + off
        level = y - high / 2
        for at in (
            *((right, level), (left, level), (x - wide / 2, above), (x - wide / 2, below)),
            *((right, above), (right, below), (left, above), (left, below)),
        ):
            yield ring, _Box(at[0], at[1], at[0] + wide, at[1] + high)


def curves(series: Sequence[Series], x_label: str, y_label: str, *, from_zero: bool = True) -> Markup:
    """Lines over the same x; y from zero, or for what is never near it, such as a score, from below the least."""
    return _twice(lambda width: _curves(series, x_label, y_label, width, from_zero=from_zero))


def _curves(series: Sequence[Series], x_label: str, y_label: str, width: float, *, from_zero: bool) -> Markup:
    right = max(x for line in series for x, _ in line.points)
    bottom, top = _ends([*([0.0] if from_zero else []), *(y for line in series for _, y in line.points)])

    def place(x: float, y: float) -> tuple[float, float]:
        up = (y - bottom) / (top - bottom)
        return 60 + x / right * (width - 90), _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP - 10)

    marks = []
    for at, line in enumerate(series):
        places = [place(x, y) for x, y in line.points]
        marks.append(
            tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places), class_=f"s{at % _COLOURS} curve")
        )
        for (x, y), (tokens, value) in zip(places, line.points, strict=True) if len(places) <= _MOST_DOTS else ():
            title = tag("title", f"{line.name}: {value:.3g} at {tokens:g}")
            marks.append(tag("circle", title, cx=x, cy=y, r=3.5, class_=f"f{at % _COLOURS}"))
    seen = sorted({x for line in series for x, _ in line.points})
    least = right / 20 if width == _WIDE else right / 9
    if len(seen) > _MOST_TICKS or any(b - a < least for a, b in itertools.pairwise(seen)):
        step = _step(right)
        seen = [step * at for at in range(int(right / step) + 1)]
    ticks = [tag("text", f"{x:g}", x=place(x, 0)[0], y=_HEIGHT - _BOTTOM + 16, class_="small middle") for x in seen]
    axes = _y_axis(bottom, top, lambda y: place(0, y)[1], 60, width - 30)
    names = [
        tag("text", x_label, x=width / 2, y=_HEIGHT - 6, class_="label"),
        tag("text", y_label, x=4, y=_TOP, class_="label start"),
    ]
    return _svg(width, _HEIGHT, *axes, *ticks, *names, *marks)


def bars(rows: Sequence[Bar]) -> Markup:
    """Horizontal bars of stacked parts, from zero."""
    return _twice(lambda width: _bars(rows, width))


def _bars(rows: Sequence[Bar], width: float) -> Markup:
    """On a narrow screen the name and the words stand above the bar."""
    narrow = width == _NARROW
    left = 0.0 if narrow else _left([row.name for row in rows])
    room = 0.0 if narrow else max(_RIGHT, max((len(row.words) for row in rows), default=0) * _LETTER)
    longest = max((sum(value for _, value in row.parts) for row in rows), default=0)
    scale = (width - left - room) / max(longest, 1e-9)
    high = _ROW + _LINE * narrow
    marks = []
    for at, row in enumerate(rows):
        y, x = at * high + 4.0 + _LINE * narrow, left
        name = tag("text", _short(row.name), x=left - 8, y=y + 13, class_="small end")
        marks.append(tag("text", *_above(row.name, row.words), x=0, y=y - 4, class_="small") if narrow else name)
        for colour, (part, value) in enumerate(row.parts):
            title = tag("title", f"{row.name}, {part}: {value:.3g}")
            shape = {"x": x, "y": y, "width": value * scale, "height": _ROW - 8}
            marks.append(tag("rect", title, **shape, class_=f"f{colour % _COLOURS}"))
            x += value * scale
        if not narrow:
            marks.append(tag("text", row.words, x=x + 6, y=y + 13, class_="small"))
    return _svg(width, len(rows) * high + 4, *marks)


def _above(name: str, words: str) -> tuple[str | Markup, ...]:
    """A name, whose ends tell it from others, and its words on one line of a narrow drawing."""
    most = max(int(_NARROW / _SMALL_LETTER) - len(words) - 2, 8)
    cut = name if len(name) <= most else f"{name[: most // 3]}…{name[len(name) - most + most // 3 + 1 :]}"
    return cut, tag("tspan", words, class_="faint", dx=8)


def intervals(rows: Sequence[Interval], unit: str, line: float | None = None) -> Markup:
    """Distributions, one below the other, on a logarithmic axis; `line` is a value to compare with."""
    return _twice(lambda width: _intervals(rows, unit, line, width))


def _intervals(rows: Sequence[Interval], unit: str, line: float | None, width: float) -> Markup:
    narrow = width == _NARROW
    ends = [value for row in rows for value in (row.low, row.high)] + ([line] if line else [])
    low, high = _log_ends(ends)
    deep = _ROW + _LINE * narrow
    height, left = len(rows) * deep + 40, 8.0 if narrow else _left([row.name for row in rows])
    right = 8.0 if narrow else 12.0 + max(_RIGHT, max(len(row.words) for row in rows) * _LETTER)

    def place(x: float) -> float:
        across = (math.log(x) - math.log(low)) / (math.log(high) - math.log(low))
        return left + across * (width - left - right)

    marks = list(_log_axis(low, high, place, 0, height - 34))
    if line:
        marks.append(tag("line", x1=place(line), x2=place(line), y1=0, y2=height - 34, class_="front"))
    for at, row in enumerate(rows):
        y = at * deep + 14.0 + _LINE * narrow
        name = tag("text", _short(row.name), x=left - 8, y=y + 4, class_="small end")
        marks += [
            tag("text", *_above(row.name, row.words), x=0, y=y - 12, class_="small") if narrow else name,
            tag("line", x1=place(row.low), x2=place(row.high), y1=y, y2=y, class_="whisker"),
            tag("rect", tag("title", f"{row.name}: {row.words}"), x=place(row.box[0]), y=y - 6, height=12,
                width=max(place(row.box[1]) - place(row.box[0]), 1.0), class_="box"),
            *(tag("circle", cx=place(dot), cy=y, r=2.2, class_="dot") for dot in row.dots),
            tag("line", x1=place(row.middle), x2=place(row.middle), y1=y - 8, y2=y + 8, class_="middle-mark"),
            *([] if narrow else [tag("text", row.words, x=width - right + 12, y=y + 4, class_="small")]),
        ]  # fmt: skip
    marks.append(tag("text", unit, x=(left + width - right) / 2, y=height - 2, class_="label"))
    return _svg(width, height, *marks)


def _left(names: Sequence[str]) -> float:
    """The room for names before a chart."""
    return 16 + _SMALL_LETTER * max((len(_short(name)) for name in names), default=0)


def _short(name: str, most: int = 38) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _svg(width: float, height: float, *children: Markup) -> Markup:
    return tag("svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img")


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Round ends with some air."""
    low, high = min(values), max(values)
    step = _step((high - low) or abs(high) * 0.1 or 1.0)
    return (0.0 if low == 0 else math.floor(low / step - 0.3) * step), math.ceil(high / step + 0.1) * step


def _step(span: float, count: int = 5) -> float:
    size = 10.0 ** math.floor(math.log10(span / count))
    return next(size * times for times in (1, 2, 5, 10) if span / (size * times) <= count)


def _log_ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low / 1.15, high * 1.15) if high / low > 1.05 else (low / 1.3, high * 1.3)


def _log_axis(
    low: float, high: float, place: Callable[[float], float], top: float = _TOP + 10, y: float = _HEIGHT - _BOTTOM
) -> Iterator[Markup]:
    """Ticks at 1, 2 and 5 times powers of ten, at all whole times where these are few, else in equal steps."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [[times * 10.0**power for power in powers for times in steps] for steps in ((1, 2, 5), range(1, 10))]
    step = _step(high - low)
    every.append([step * at for at in range(math.ceil(low / step), math.floor(high / step) + 1)])
    inside = [[tick for tick in ticks if low <= tick <= high] for ticks in every]
    for tick in next((ticks for ticks in inside if len(ticks) > 2), inside[-1]):
        x = place(tick)
        yield tag("line", x1=x, x2=x, y1=top, y2=y, class_="grid")
        yield tag("text", f"{tick:g}", x=x, y=y + 16, class_="small middle")


def _y_axis(low: float, high: float, place: Callable[[float], float], left: float, right: float) -> list[Markup]:
    step = _step(high - low)
    marks = []
    for at in range(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1):
        y = place(at * step)
        marks += [
            tag("line", x1=left, x2=right, y1=y, y2=y, class_="grid"),
            tag("text", f"{at * step:.6g}", x=left - 6, y=y + 4, class_="small end"),
        ]
    return marks
