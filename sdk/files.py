"""Small reads of files that nobody has vouched for yet, and files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["into", "read_capped", "sha256", "write_whole"]


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


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all. Raises StorageError."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        hint = "free some space, or give another file"
        raise StorageError(f"cannot write {path}: {error.strerror or error}", hint=hint) from error


@contextmanager
def into(place: Path) -> Iterator[Path]:
    """A directory to fill, which becomes `place` when it is whole; of two processes that fill it, one wins.

    Raises:
        OSError: the disk is full or read-only.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        yield work
        try:
            work.rename(place)
        except OSError:
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
