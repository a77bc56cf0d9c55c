"""The terms under which a model and edgewright itself are passed on: most of them ask to go along."""

from __future__ import annotations

import importlib.metadata
import os
import re
from pathlib import Path

__all__ = ["licences_of", "own_licences"]

_NAMES = ("LICENSE", "NOTICE")
"""What the Apache License 2.0, section 4, wants to go along: its text, and notices where there are some."""
_MODEL_S = re.compile(r"LICENSE[A-Za-z0-9._-]*")
"""Names that a bundle may list."""
_MOST_BYTES = 2**18
"""A choice: the longest of the usual ones, the GPL, has 35 kB."""


def licences_of(home: Path) -> list[Path]:
    """The licences of a model that lie in its directory, or in a bundle's.

    They are copied to where others see them, so a link is followed within that directory, and from the hub's cache to
    its blobs, but to no other file of the user's.
    """
    found = (path for path in home.glob("LICENSE*") if _MODEL_S.fullmatch(path.name) and _lies_there(path, home))
    return sorted(path for path in found if path.stat().st_size <= _MOST_BYTES)


def _lies_there(path: Path, home: Path) -> bool:
    end, whole = (Path(os.path.realpath(one)) for one in (path, home))  # of a loop too, where `resolve` raises
    roots = [whole, *([whole.parents[1] / "blobs"] if whole.parent.name == "snapshots" else [])]
    return end.is_file() and any(end.is_relative_to(root) for root in roots)


def own_licences() -> dict[str, str]:
    """Texts by the names of their files; none where edgewright was never installed, as in a bare copy of it."""
    try:
        files = importlib.metadata.distribution("edgewright").files
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = (Path(path.locate()) for path in files or () if path.name in _NAMES)
    return {path.name: path.read_text(encoding="utf-8") for path in found if path.is_file()}
