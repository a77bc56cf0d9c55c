"""HTML and SVG that cannot be broken by what they show: every text is escaped, unless it is markup made here."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Markup", "table", "tag"]

_VOID = ("meta", "link", "br", "img")


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element: children and attributes are escaped; a trailing `_` of an attribute is dropped, `_` becomes `-`."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{words}>")
    inside = "".join(child if isinstance(child, Markup) else html.escape(_text(child)) for child in children)
    return Markup(f"<{name}{words}>{inside}</{name}>")


def _text(value: Any) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _cell(_: str, value: Any) -> Markup:
    return tag("td", value)


def table(rows: Sequence[Mapping[str, Any]], cell: Callable[[str, Any], Markup] = _cell) -> Markup:
    """A table with a line for each of at least one row; `cell` makes a column's name and a value a `td`."""
    heads = tag("tr", *(tag("th", name) for name in rows[0]))
    lines = [tag("tr", *(cell(name, value) for name, value in row.items())) for row in rows]
    return tag("table", tag("thead", heads), tag("tbody", *lines))
