"""Small reads of files that nobody has vouched for yet."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_capped", "sha256"]


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def read_capped(path: Path, most: int) -> bytes:
    """The bytes of a file, never more than one over `most`, so that the caller can tell and refuse."""
    with path.open("rb") as file:
        return file.read(most + 1)
