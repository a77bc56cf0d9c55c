"""What is built from single operations of a disk: whole files that appear at once, hashes, trees that go."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING

from edgewright.devices._onboard.disk import PIECE

if TYPE_CHECKING:
    from edgewright.devices._onboard.disk import Disk

__all__ = ["ensure_dir", "fill", "get", "put", "remove"]


def fill(disk: Disk, path: str, data: bytes, *, how: str = "write", sync: bool = True) -> None:
    """Write a file and, unless `sync_all` follows, bring its bytes to the disk; its name is not safe yet."""
    handle = disk.open(path, how)
    try:
        left = memoryview(data)
        while left:
            taken = disk.write(handle, bytes(left))
            if not taken:
                raise OSError(errno.ENOSPC, "nothing more was taken", path)
            left = left[taken:]
        if sync:
            disk.sync(handle)
    finally:
        disk.close(handle)


def put(disk: Disk, path: str, data: bytes) -> None:
    """Give `path` new content in one step: after a power cut it holds the old or the new, whole."""
    fill(disk, f"{path}.new", data)
    disk.rename(f"{path}.new", path)
    disk.sync_dir(path.rpartition("/")[0])


def get(disk: Disk, path: str, most: int) -> bytes:
    """A file's bytes. Raises OSError; EFBIG where it has more than `most`."""
    handle = disk.open(path, "read")
    pieces, size = [], 0
    try:
        while piece := disk.read(handle, PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise OSError(errno.EFBIG, f"more than {most} bytes", path)
    finally:
        disk.close(handle)
    return b"".join(pieces)


def ensure_dir(disk: Disk, path: str, mode: int = 0o755) -> None:
    """Make a directory where there is none.

    Raises:
        NotADirectoryError: the name is taken by a link or a file, or by a directory of another user.
    """
    facts = disk.stat(path)
    if facts is None:
        with suppress(FileExistsError):  # made by another process, a moment ago
            disk.mkdir(path, mode)
        disk.sync_dir(path.rpartition("/")[0] or "/")
        facts = disk.stat(path)
    if facts is None or facts.kind != "dir" or not facts.ours:
        raise NotADirectoryError(errno.ENOTDIR, "taken by something that is not a directory of this user", path)
    if facts.mode != mode:
        disk.chmod(path, mode)


def remove(disk: Disk, path: str) -> None:
    """Remove a file, a link, or a directory with all that is in it; links are not followed."""
    facts = disk.stat(path)
    if facts is None:
        return
    if facts.kind != "dir":
        disk.unlink(path)
        return
    for name in disk.list(path):
        remove(disk, f"{path}/{name}")
    disk.rmdir(path)
