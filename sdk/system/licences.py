"""The terms under which a model and edgewright itself are passed on: most of them ask to go along."""

from __future__ import annotations

import importlib.metadata
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
    """The licences of a model that lie in its directory, or in a bundle's."""
    found = (path for path in home.glob("LICENSE*") if _MODEL_S.fullmatch(path.name) and path.is_file())
    return sorted(path for path in found if path.stat().st_size <= _MOST_BYTES)


def own_licences() -> dict[str, str]:
    """Texts by the names of their files; none where edgewright was never installed, as in a bare copy of it."""
    try:
        files = importlib.metadata.distribution("edgewright").files
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = (Path(path.locate()) for path in files or () if path.name in _NAMES)
    return {path.name: path.read_text(encoding="utf-8") for path in found if path.is_file()}
