"""Hooks of mkdocs: the README as the first page, the public names as the reference, other links as words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import edgewright

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the two pages that no file of docs/ holds."""
    from mkdocs.structure.files import File

    for name, content in (("index.md", (ROOT / "README.md").read_text()), ("api.md", reference())):
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links at the pages of the site; what is no page of it, such as a source file, is said and not linked."""
    home = ROOT if page.file.src_uri == "index.md" else ROOT / "docs"

    def kept(found: re.Match[str]) -> str:
        place, _, anchor = found[2].partition("#")
        target = (home / place).resolve()
        if target == ROOT / "README.md":
            return f"[{found[1]}](index.md)"
        if target.suffix != ".md" or target.parent != ROOT / "docs":
            return found[1]
        return f"[{found[1]}]({target.name}{f'#{anchor}' if anchor else ''})"

    return LINK.sub(kept, markdown)


def reference() -> str:
    """A page with every public name, by the room that it comes from."""
    rooms: dict[str, list[str]] = {}
    for name, home in sorted(edgewright._HOMES.items()):  # noqa: SLF001 - where each name lives
        module, _, own = home.partition(":")
        rooms.setdefault(module.partition(".")[0], []).append(f"::: edgewright.{module}.{own or name}")
    parts = [f"## {room}\n\n" + "\n\n".join(names) for room, names in sorted(rooms.items())]
    return "# Python\n\nEach name is reached as `edgewright.NAME`.\n\n" + "\n\n".join(parts) + "\n"
