"""Charts as SVG, drawn here so that a report needs no network and no script.

Colours are Okabe's and Ito's, which the colour-blind tell apart; text and lines take the page's own, light or dark.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgewright.system.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Bar", "Interval", "Point", "Series", "bars", "curves", "intervals", "legend", "scatter"]

_WIDTH, _RIGHT, _ROW = 720, 60, 24
"""Units of the drawing: the width of a page's text; room for a value at the right; a line of text and its gap."""
_HEIGHT, _BOTTOM, _TOP = 340, 46, 14
"""Units of the drawing: about half the width; room for ticks and a label below, for a label above."""
_COLOURS = 8
"""The classes c0 to c7 of the page's style sheet."""
_MOST_DOTS, _MOST_TICKS = 40, 10
"""A choice: more dots, or more ticks, run into each other at this width."""
_LETTER = 7.2
"""Units of a letter: an estimate, rounded up so that no name is cut off."""


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


def legend(names: Sequence[str]) -> Markup:
    """What the colours mean, in their order."""
    items = [tag("span", tag("i", class_=f"c{at % _COLOURS}"), name, class_="key") for at, name in enumerate(names)]
    return tag("p", *items, class_="legend")


def scatter(points: Sequence[Point], x_label: str, y_label: str) -> Markup:
    """Points on a logarithmic x; areas follow the sizes; the best are joined by a line."""
    low, high = _log_ends([p.x for p in points])
    bottom, top = _ends([p.y for p in points])
    largest = max(p.size for p in points)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log(x) - math.log(low)) / (math.log(high) - math.log(low))
        up = (y - bottom) / (top - bottom)
        return 70 + across * (_WIDTH - 190), _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP - 10)

    front = sorted((p for p in points if p.best), key=lambda p: p.x)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(p.x, p.y) for p in front))
    marks = [
        _dot(point, place(point.x, point.y), largest, at if point.colour is None else point.colour)
        for at, point in enumerate(points)
    ]
    marks += _labels([point for point in points if point.name], place, largest)
    axes = [
        *_log_axis(low, high, lambda x: place(x, bottom)[0]),
        *_y_axis(bottom, top, lambda y: place(low, y)[1], 70, _WIDTH - 120),
    ]
    front_line = [tag("polyline", points=line, class_="front")] if len(front) > 1 else []
    names = [
        tag("text", x_label, x=(_WIDTH - 50) / 2, y=_HEIGHT - 6, class_="label"),
        tag("text", y_label, x=4, y=_TOP, class_="label start"),
    ]
    return _svg(_HEIGHT, *axes, *names, *front_line, *marks)


def _dot(point: Point, at: tuple[float, float], largest: float, colour: int) -> Markup:
    title = tag("title", f"{point.name}: {point.note}" if point.name else point.note)
    return tag("circle", title, cx=at[0], cy=at[1], r=_radius(point, largest), class_=f"f{colour % _COLOURS} mark")


def _radius(point: Point, largest: float) -> float:
    return 4 + 10 * math.sqrt(point.size / largest)


def _labels(
    points: Sequence[Point], place: Callable[[float, float], tuple[float, float]], largest: float
) -> list[Markup]:
    """Names to the right of the points, lower where another name is in the way."""
    taken: list[tuple[float, float]] = []
    dots = sorted((*place(p.x, p.y), _radius(p, largest)) for p in points)
    marks = []
    for point in sorted(points, key=lambda p: (-p.y, p.x)):
        x, y = place(point.x, point.y)
        right = x + 4 + _radius(point, largest)
        for across, up, radius in dots:
            if abs(up - y) < radius + 6 and across - radius < right + 4 < across + radius + 8:
                right = across + radius + 4
        free = (y + 4 + 3 * step for step in range(200))
        y = next(at for at in free if all(abs(at - b) > 13 or abs(right - a) > 110 for a, b in taken))
        taken.append((right, y))
        marks.append(tag("text", point.name, x=right, y=y, class_="small" + " strong" * point.best))
    return marks


def curves(series: Sequence[Series], x_label: str, y_label: str) -> Markup:
    """Lines over the same x, from zero."""
    right = max(x for line in series for x, _ in line.points)
    _, top = _ends([0.0, *(y for line in series for _, y in line.points)])

    def place(x: float, y: float) -> tuple[float, float]:
        return 60 + x / right * (_WIDTH - 90), _HEIGHT - _BOTTOM - y / top * (_HEIGHT - _BOTTOM - _TOP - 10)

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
    if len(seen) > _MOST_TICKS or any(b - a < right / 20 for a, b in itertools.pairwise(seen)):
        step = _step(right)
        seen = [step * at for at in range(int(right / step) + 1)]
    ticks = [tag("text", f"{x:g}", x=place(x, 0)[0], y=_HEIGHT - _BOTTOM + 16, class_="small middle") for x in seen]
    axes = _y_axis(0, top, lambda y: place(0, y)[1], 60, _WIDTH - 30)
    names = [
        tag("text", x_label, x=_WIDTH / 2, y=_HEIGHT - 6, class_="label"),
        tag("text", y_label, x=4, y=_TOP, class_="label start"),
    ]
    return _svg(_HEIGHT, *axes, *ticks, *names, *marks)


def bars(rows: Sequence[Bar]) -> Markup:
    """Horizontal bars of stacked parts, from zero."""
    left = _left([row.name for row in rows])
    room = max((len(row.words) for row in rows), default=0) * _LETTER
    longest = max((sum(value for _, value in row.parts) for row in rows), default=0)
    scale = (_WIDTH - left - max(room, _RIGHT)) / max(longest, 1e-9)
    marks = []
    for at, row in enumerate(rows):
        y, x = at * _ROW + 4.0, left
        marks.append(tag("text", _short(row.name), x=left - 8, y=y + 13, class_="small end"))
        for colour, (name, value) in enumerate(row.parts):
            title = tag("title", f"{row.name}, {name}: {value:.3g}")
            shape = {"x": x, "y": y, "width": value * scale, "height": _ROW - 8}
            marks.append(tag("rect", title, **shape, class_=f"f{colour % _COLOURS}"))
            x += value * scale
        marks.append(tag("text", row.words, x=x + 6, y=y + 13, class_="small"))
    return _svg(len(rows) * _ROW + 4, *marks)


def intervals(rows: Sequence[Interval], unit: str, line: float | None = None) -> Markup:
    """Distributions, one below the other, on a logarithmic axis; `line` is a value to compare with."""
    ends = [value for row in rows for value in (row.low, row.high)] + ([line] if line else [])
    low, high = _log_ends(ends)
    height, left = len(rows) * _ROW + 40, _left([row.name for row in rows])

    def place(x: float) -> float:
        across = (math.log(x) - math.log(low)) / (math.log(high) - math.log(low))
        return left + across * (_WIDTH - left - _RIGHT - 40)

    marks = list(_log_axis(low, high, place, 0, height - 34))
    if line:
        marks.append(tag("line", x1=place(line), x2=place(line), y1=0, y2=height - 34, class_="front"))
    for at, row in enumerate(rows):
        y = at * _ROW + 14.0
        marks += [
            tag("text", _short(row.name), x=left - 8, y=y + 4, class_="small end"),
            tag("line", x1=place(row.low), x2=place(row.high), y1=y, y2=y, class_="whisker"),
            tag("rect", tag("title", f"{row.name}: {row.words}"), x=place(row.box[0]), y=y - 6, height=12,
                width=max(place(row.box[1]) - place(row.box[0]), 1.0), class_="box"),
            *(tag("circle", cx=place(dot), cy=y, r=2.2, class_="dot") for dot in row.dots),
            tag("line", x1=place(row.middle), x2=place(row.middle), y1=y - 8, y2=y + 8, class_="middle-mark"),
            tag("text", row.words, x=place(row.high) + 6, y=y + 4, class_="small"),
        ]  # fmt: skip
    marks.append(tag("text", unit, x=(left + _WIDTH - _RIGHT) / 2, y=height - 2, class_="label"))
    return _svg(height, *marks)


def _left(names: Sequence[str]) -> float:
    """The room for names before a chart."""
    return 16 + _LETTER * max((len(_short(name)) for name in names), default=0)


def _short(name: str, most: int = 33) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _svg(height: float, *children: Markup) -> Markup:
    drawing = tag("svg", *children, viewBox=f"0 0 {_WIDTH} {height:g}", role="img")
    return tag("div", drawing, class_="plot")


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
    """Ticks at 1, 2 and 5 times powers of ten, or at all whole times where these are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [[times * 10.0**power for power in powers for times in steps] for steps in ((1, 2, 5), range(1, 10))]
    few, many = ([tick for tick in ticks if low <= tick <= high] for ticks in every)
    for tick in few if len(few) > 2 else many:
        x = place(tick)
        yield tag("line", x1=x, x2=x, y1=top, y2=y, class_="grid")
        yield tag("text", f"{tick:g}", x=x, y=y + 16, class_="small middle")


def _y_axis(low: float, high: float, place: Callable[[float], float], left: float, right: float) -> list[Markup]:
    step = _step(high - low)
    marks = []
    for at in range(round(low / step), round(high / step) + 1):
        y = place(at * step)
        marks += [
            tag("line", x1=left, x2=right, y1=y, y2=y, class_="grid"),
            tag("text", f"{at * step:.6g}", x=left - 6, y=y + 4, class_="small end"),
        ]
    return marks
