"""HTML and SVG that cannot be broken by what they show: every text is escaped, unless it is markup made here."""

from __future__ import annotations

import html
from importlib import resources
from typing import Any

__all__ = ["Markup", "document", "tag"]

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


def document(title: str, *body: Any) -> str:
    """A self-contained page: the title, the project's style, and what stands below its heading."""
    style = Markup(resources.files("edgewright.reporting").joinpath("report.css").read_text())
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", style),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", tag("h1", title), *body), lang="en") + "\n"
