"""A page that needs nothing else, in the project's style."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

from edgewright.errors import one_line
from edgewright.system.markup import Markup, table, tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["document", "facts_table", "pipes", "plain", "section", "shown", "sortable", "tiles", "wide_table"]


def document(title: str, *body: Any) -> str:
    """A self-contained page: the title, the project's style, and what stands below its heading.

    Its one script sorts tables and moves in flame charts; without it the page is whole. A browser runs no other, and
    loads nothing: the page says so itself.
    """
    script = _own("report.js")
    pinned = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{pinned}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=allowed),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", _own("report.css")),
    )
    inside = tag("body", tag("h1", title), *body, tag("script", script))
    return "<!doctype html>\n" + tag("html", head, inside, lang="en") + "\n"


def _own(name: str) -> Markup:
    return Markup(resources.files("edgewright.reporting").joinpath(name).read_text(encoding="utf-8"))


def shown(value: Any) -> str:
    """A value for a reader: a number with four digits, nothing as a dash."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def section(title: str, *parts: Any) -> Markup:
    """A part of a page below its heading."""
    return tag("section", tag("h2", title), *parts)


def tiles(facts: Mapping[str, str]) -> Markup:
    """The few facts that a page begins with."""
    each = [tag("div", tag("span", k, class_="faint"), tag("b", v), class_="tile") for k, v in facts.items()]
    return tag("div", *each, class_="tiles")


def facts_table(facts: Mapping[str, Any]) -> Markup:
    """A table with a line for each fact."""
    lines = [tag("tr", tag("th", name.replace("_", " ")), tag("td", shown(value))) for name, value in facts.items()]
    return tag("table", *lines)


def wide_table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """A table that scrolls within itself where the screen is narrower; the columns of reasons are folded."""
    return tag("div", table(rows, _td), class_="scroll")


def sortable(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """The same, sorted by the column that is clicked at."""
    return tag("div", table(rows, _td), class_="scroll sortable")


def _td(name: str, value: Any) -> Markup:
    kind = "void" if value == "void" else "wide" if name in ("reason", "reasons", "why") else None
    return tag("td", shown(value), class_=kind)


def pipes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A table as Markdown."""
    cells = [list(rows[0]), ["---"] * len(rows[0]), *([plain(shown(value)) for value in row.values()] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in cells]


def plain(value: Any) -> str:
    """One line in which nothing is markup of a table or of HTML."""
    return one_line(str(value)).replace("|", "&#124;").replace("<", "&lt;")
