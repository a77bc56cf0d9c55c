"""A page that needs nothing else, in the project's style."""

from __future__ import annotations

from importlib import resources
from typing import Any

from edgewright.system.markup import Markup, tag

__all__ = ["document"]


def document(title: str, *body: Any) -> str:
    """A self-contained page: the title, the project's style, and what stands below its heading."""
    style = Markup(resources.files("edgewright.reporting").joinpath("report.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", style),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", tag("h1", title), *body), lang="en") + "\n"
