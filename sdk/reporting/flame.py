"""A profile as a page: a flame chart over the modules of the model, bars by kind, and the tables behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgewright.measure.profile import shares
from edgewright.reporting.charts import bars
from edgewright.reporting.markup import document, section, sortable
from edgewright.reporting.operators import bar_of, facts
from edgewright.system.markup import tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgewright.contracts.operators import Operator
    from edgewright.measure.profile import Profile, Share
    from edgewright.system.markup import Markup

__all__ = ["flame", "page"]

_WIDTH, _ROW, _LETTER = 960.0, 22.0, 7.2
"""Units of the drawing: a wide screen's page, a line of text with its gap, one letter of it."""
_COLOURS = 7
"""One less than the style sheet has: neighbours get others by their names, and no colour has a meaning."""
_LEAST = 0.02
"""Units below which a frame is left out: a fiftieth of a point, which a screen shows once it is zoomed in on."""
_MOST_BARS = 16
"""A choice: what fits on a screen; the table below has all."""


@dataclass
class _Frame:
    """A module or an operator, with what it took, in the order in which its parts first ran."""

    name: str
    time_ms: float = 0.0
    parts: dict[str, _Frame] = field(default_factory=dict)

    def add(self, path: Sequence[str], time_ms: float) -> None:
        self.time_ms += time_ms
        if path:
            self.parts.setdefault(path[0], _Frame(path[0])).add(path[1:], time_ms)

    @property
    def depth(self) -> int:
        return 1 + max((part.depth for part in self.parts.values()), default=0)


def page(found: Profile) -> str:
    """One self-contained page of a profile."""
    sections = (
        ("Where the time goes, module by module", _flame_section(found)),
        ("By kind of operator", bars([bar_of(share) for share in shares(found, "kind")[:_MOST_BARS]])),
        ("By layer", bars([bar_of(share) for share in shares(found, "layer")[:_MOST_BARS]])),
        ("Every kind", _table(shares(found, "kind"))),
        ("The longest operators", _table(shares(found, "operator")[:40])),
    )
    body = [section(name, part) for name, part in sections]
    return document(
        f"Profile of {found.artifact.key}", tag("p", f"{found.title}. {facts(found)}", class_="faint"), *body
    )


def _flame_section(found: Profile) -> Markup:
    note = (
        "Width is time, depth is the module tree; the lowest frames are operators. Point at one for its share, "
        "click at it to look into it."
    )
    return tag("div", tag("p", note, class_="faint"), flame(found.trace.operators, found.trace.run_ms))


def flame(operators: Sequence[Operator], run_ms: float) -> Markup:
    """Modules from the root down, each as wide as the time that its operators took; what no operator took is empty."""
    root = _Frame("run")
    for operator in operators:
        root.add([*filter(None, operator.layer.split(".")), operator.kind], operator.time_ms)
    root.time_ms = max(run_ms, root.time_ms)
    scale = _WIDTH / root.time_ms
    marks = list(_frames(root, 0.0, 0, scale, root.time_ms))
    drawing = tag("svg", *marks, viewBox=f"0 0 {_WIDTH:g} {root.depth * _ROW:g}", role="img", class_="flame")
    return tag("div", drawing, class_="plot")


def _frames(frame: _Frame, x: float, depth: int, scale: float, whole_ms: float) -> Iterator[Markup]:
    width = frame.time_ms * scale
    if width < _LEAST:
        return
    words = f"{frame.name}: {frame.time_ms:.3g} ms, {100 * frame.time_ms / whole_ms:.1f} %"
    shape = {"x": x, "y": depth * _ROW, "width": max(width - 0.5, 0.3), "height": _ROW - 1}
    box = tag("rect", tag("title", words), **shape, class_=f"frame f{sum(map(ord, frame.name)) % _COLOURS}")
    letters = int((width - 6) / _LETTER)
    name = frame.name if len(frame.name) <= letters else f"{frame.name[: letters - 1]}…"
    text = tag("text", name if letters > 2 else "", x=x + 4, y=depth * _ROW + 15, class_="frame-name")
    yield tag("g", box, text, data_name=frame.name)
    for part in frame.parts.values():
        yield from _frames(part, x, depth + 1, scale, whole_ms)
        x += part.time_ms * scale


def _table(rows: Sequence[Share]) -> Markup:
    names = ("what", "calls", "ms", "share", "GMAC/s", "GB/s", "of peak", "bound")
    return sortable([dict(zip(names, _cells(row), strict=True)) for row in rows])


def _cells(row: Share) -> tuple[str, ...]:
    numbers = (row.time_ms, row.share, row.gmac_s, row.gb_s, row.of_peak)
    return (row.what, str(row.calls), *("" if n is None else f"{n:.3g}" for n in numbers), row.bound or "")
