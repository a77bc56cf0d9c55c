"""The model card of a source, README.md as the Hugging Face Hub has it: what of it goes to what is made of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from edgewright.errors import SourceError
from edgewright.system.files import read_capped
from edgewright.system.untrusted import MAX_JSON_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["CARD", "SourceCard", "hub_id", "read_card"]

CARD = "README.md"
_FRONT = re.compile(r"---\r?\n(.*?)^---\s*$", re.DOTALL | re.MULTILINE)
_LICENCE = re.compile(r"^license:[ \t]*([\"']?)([\w.+-]+)\1[ \t]*\r?$", re.MULTILINE)
_WORD = r"[\"']?([\w.+/-]+)[\"']?"
_KEPT = ("license_name", "license_link", "language", "base_model", "datasets")
"""What holds of whatever is made of a model as well (Hub documentation, "Model Cards", metadata)."""


class SourceCard(Struct, frozen=True):
    """What a source's card says.

    Attributes:
        licence: `license` of its front matter, None where it names none.
        kept: other keys of it, each with the words that it has.
        body: what follows the front matter.
    """

    licence: str | None = None
    kept: dict[str, tuple[str, ...]] = {}
    body: str = ""


def read_card(*directories: Path) -> SourceCard:
    """The card in the first of these directories that has one; an empty one where none has.

    Raises:
        SourceError: it is too large.
    """
    card = next((found for directory in directories if (found := directory / CARD).is_file()), None)
    if card is None:
        return SourceCard()
    # lists of benchmark results come before the licence can be read, and are long
    text = read_capped(card, MAX_JSON_BYTES, SourceError).decode(errors="replace")
    front = _FRONT.match(text)
    if not front:
        return SourceCard(body=text)
    licence = _LICENCE.search(front[1])
    kept = {key: tuple(words) for key in _KEPT if (words := _words(front[1], key))}
    return SourceCard(licence[2] if licence else None, kept, text[front.end() :])


def _words(front: str, key: str) -> list[str]:
    """The plain words of a key of the front matter: `key: word`, `key: [word, word]`, or a list of lines."""
    found = re.search(rf"^{key}:[ \t]*(.*)\r?\n?((?:[ \t]*-[ \t]+.*\r?\n?)*)", front, re.MULTILINE)
    if not found:
        return []
    inline = found[1].strip()
    given: Iterable[str] = (
        inline.strip("[]").split(",") if inline else re.sub(r"^\s*-\s+", "", found[2], flags=re.MULTILINE).splitlines()
    )
    return [word[1] for one in given if (word := re.fullmatch(_WORD, one.strip()))]


def hub_id(directory: Path) -> str | None:
    """`owner/name` of a directory in the cache of huggingface_hub, None of any other."""
    cached = re.fullmatch(r"models--(.+)", directory.parent.parent.name)
    return cached[1].replace("--", "/", 1) if cached and directory.parent.name == "snapshots" else None
