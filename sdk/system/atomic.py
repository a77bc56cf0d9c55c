"""Directories that appear whole or not at all: written beside their place, then moved there in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.errors import StorageError
from edgewright.system.files import scratch_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["staged"]

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Linux's <fcntl.h> and <linux/fs.h>: paths are taken from the working directory; two names change places."""


@contextmanager
def staged(out: Path, *, marker: str, force: bool) -> Iterator[Path]:
    """A new directory beside `out` that becomes `out` when the block ends well, and vanishes when it does not.

    Args:
        out: where the directory shall appear.
        marker: a file that a directory must hold for `force` to replace it; nothing else is ever deleted.
        force: replace an existing `out`.

    Raises:
        StorageError: `out` exists and may not be replaced, as a checkout of git never is, or the disk is full or
            read-only.
    """
    _check_free(out, marker, force=force)
    try:
        with scratch_beside(out) as work:
            work.chmod(0o755)
            yield work
            _sync(work)
            _check_free(out, marker, force=force)  # a build takes minutes, and others are at work too
            _swap(work, out)
    except OSError as error:
        hint = "free some space and try again" if error.errno == errno.ENOSPC else "nothing was changed"
        raise StorageError(f"cannot write {out}: {error.strerror or error}", hint=hint) from error


def _check_free(out: Path, marker: str, *, force: bool) -> None:
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not out.is_dir() or not (out / marker).is_file():
        raise StorageError(
            f"{out} exists and has no {marker}", hint="it is not replaced, not even by --force; choose another place"
        )
    if not force:
        raise StorageError(f"{out} exists", hint="use --force to replace it")
    if os.path.lexists(out / ".git"):
        hint = "--force would remove it with its history; make the new one elsewhere and copy its files"
        raise StorageError(f"{out} has a .git", hint=hint)


def _sync(work: Path) -> None:
    """Bring every file to the disk before the directory gets its name."""
    for folder, _, files in os.walk(work):
        for path in (Path(folder, name) for name in (*files, ".")):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _swap(work: Path, out: Path) -> None:
    """Give `work` the name `out`; what had it ends up under the name of `work`, and goes with it."""
    if not out.exists():
        work.rename(out)
    elif not _exchange(work, out):
        aside = Path(f"{work}.old")
        out.rename(aside)
        work.rename(out)
        aside.rename(work)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step (renameat2, Linux 3.15); False where the system or file system has no such call."""
    if sys.platform != "linux":
        return False
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
