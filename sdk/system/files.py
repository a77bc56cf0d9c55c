"""Small reads of files that nobody has vouched for yet, and files that are written whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["alone", "into", "locked", "read_capped", "scratch_beside", "sha256", "write_whole"]


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
    with scratch_beside(place) as work:
        yield work
        try:
            work.rename(place)
        except OSError:
            if not place.is_dir():
                raise


@contextmanager
def scratch_beside(place: Path) -> Iterator[Path]:
    """A directory on the file system of `place`, gone at the end; what killed processes left of theirs goes first.

    A lock tells theirs from those that are in use. Where the system has none, nothing of others is removed.

    Raises:
        OSError: the disk is full or read-only.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{place.name}.unfinished-"
    for left in place.parent.glob(f"{glob.escape(prefix)}*"):
        with locked(left, wait=False) as gained:
            if gained:
                shutil.rmtree(left, ignore_errors=True)
    while True:
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
        with locked(work) as _:
            if not work.is_dir():  # taken for a dead one's, between those two lines
                continue
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
            return


@contextmanager
def locked(directory: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a directory against other processes, and say whether it is held; its lock goes with the process.

    It is not where another one holds it, the directory is gone, or the system or the file system has no such locks.
    """
    held = False
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        yield held


@contextmanager
def alone(directory: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """Work in a directory while no other process does; `waiting` is called if one has to be waited for."""
    with locked(directory, wait=False) as held:
        if held:
            yield
            return
    waiting()
    with locked(directory):
        yield
