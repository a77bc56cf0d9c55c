"""The file operations of a board, one method each: the only way in which installing touches a disk.

The same code so runs on a real file system and on one in memory that counts operations and fails at any of them. This
module, and all that it is sent with, is standard library alone for Python 3.9: a board runs it as it is.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
from abc import ABC, abstractmethod
from typing import NamedTuple

__all__ = ["PIECE", "Disk", "Facts", "Free", "RealDisk"]

_HOW = {
    "read": os.O_RDONLY,
    "write": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "append": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}


class Facts(NamedTuple):
    """What a name stands for, links not followed: kind is file, dir, link or other; mode the permission bits."""

    kind: str
    size_bytes: int
    links: int
    mode: int
    mtime_s: float
    ours: bool


class Free(NamedTuple):
    """What a file system can still take; -1 where it does not count inodes."""

    free_bytes: int
    inodes: int


PIECE = 1 << 20
"""Bytes read at a time: large enough that calls cost nothing, small beside any board's memory."""


class Disk(ABC):
    """Paths are absolute. Every method is one operation, but for `sha256`, and raises OSError.

    Attributes:
        shares: whether `link` gives a file a second name; where that is forbidden it makes a second file.
    """

    shares: bool = True

    def sha256(self, path: str, *, sync: bool = False) -> str:
        """SHA-256 of a file in hexadecimal; with `sync` its bytes are brought to the disk before they are read."""
        handle, digest = self.open(path, "read"), hashlib.sha256()
        try:
            if sync:
                self.sync(handle)
            while piece := self.read(handle, PIECE):
                digest.update(piece)
        finally:
            self.close(handle)
        return digest.hexdigest()

    @abstractmethod
    def open(self, path: str, how: str) -> int:
        """A handle to a plain file: `read`, `write` (made or emptied) or `append` (made)."""

    @abstractmethod
    def read(self, handle: int, most: int) -> bytes:
        """Up to `most` bytes; none at the end."""

    @abstractmethod
    def read_at(self, handle: int, at: int, most: int) -> bytes:
        """Up to `most` bytes from a position; none behind the end. Where `read` goes on does not change."""

    @abstractmethod
    def write(self, handle: int, data: bytes) -> int:
        """Write some of `data`, and say how much: a nearly full disk takes less than all."""

    @abstractmethod
    def sync(self, handle: int) -> None:
        """Bring a file's bytes to the disk; its name needs `sync_dir`."""

    @abstractmethod
    def close(self, handle: int) -> None:
        """Give a handle back."""

    @abstractmethod
    def sync_dir(self, path: str) -> None:
        """Bring the names in a directory to the disk."""

    @abstractmethod
    def sync_all(self, path: str) -> None:
        """Bring everything written so far to the disk that holds `path`: one wait for a tree of many files."""

    @abstractmethod
    def rename(self, path: str, to: str) -> None:
        """Give a file, link or directory another name; a file or link that has it is replaced, in one step."""

    @abstractmethod
    def link(self, path: str, to: str) -> None:
        """Give a file a second name."""

    @abstractmethod
    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link."""

    @abstractmethod
    def readlink(self, path: str) -> str:
        """Where a symbolic link leads."""

    @abstractmethod
    def unlink(self, path: str) -> None:
        """Take a file's or link's name away."""

    @abstractmethod
    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory."""

    @abstractmethod
    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""

    @abstractmethod
    def chmod(self, path: str, mode: int) -> None:
        """Set permission bits."""

    @abstractmethod
    def list(self, path: str) -> list[str]:
        """The names in a directory, sorted."""

    @abstractmethod
    def stat(self, path: str) -> Facts | None:
        """What a name stands for, links not followed; None where it is free."""

    @abstractmethod
    def free(self, path: str) -> Free:
        """What the file system of `path` can still take."""

    @abstractmethod
    def now_s(self) -> float:
        """The clock of the files' times; it may be wrong, and may jump."""

    @abstractmethod
    def lock(self, path: str) -> int:
        """Lock a file for this process alone until `close`, or its end. Raises BlockingIOError where another has it."""


class RealDisk(Disk):
    """The file system that this process sees."""

    def open(self, path: str, how: str) -> int:
        handle = os.open(path, _HOW[how] | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "not a plain file", path)
        if how != "read":
            os.fchmod(handle, 0o644)  # whatever the umask is: an app of another user reads it
        return handle

    def read(self, handle: int, most: int) -> bytes:
        return os.read(handle, most)

    def read_at(self, handle: int, at: int, most: int) -> bytes:
        return os.pread(handle, most, at)

    def write(self, handle: int, data: bytes) -> int:
        return os.write(handle, data)

    def sync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def sync_dir(self, path: str) -> None:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some file systems know no such thing, and write names through
                raise
        finally:
            os.close(handle)

    def sync_all(self, path: str) -> None:
        del path
        os.sync()

    def rename(self, path: str, to: str) -> None:
        os.replace(path, to)  # noqa: PTH105 - strings throughout: they are the fake's keys too

    def link(self, path: str, to: str) -> None:
        os.link(path, to)

    def symlink(self, target: str, path: str) -> None:
        os.symlink(target, path)  # noqa: PTH211

    def readlink(self, path: str) -> str:
        return os.readlink(path)  # noqa: PTH115

    def unlink(self, path: str) -> None:
        os.unlink(path)  # noqa: PTH108

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(path, 0o700)  # noqa: PTH102
        os.chmod(path, mode)  # noqa: PTH101 - whatever the umask is

    def rmdir(self, path: str) -> None:
        os.rmdir(path)  # noqa: PTH106

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(path, mode)  # noqa: PTH101

    def list(self, path: str) -> list[str]:
        return sorted(os.listdir(path))  # noqa: PTH208

    def stat(self, path: str) -> Facts | None:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return None
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link"}
        kind = kinds.get(stat.S_IFMT(found.st_mode), "other")
        mode = stat.S_IMODE(found.st_mode)
        return Facts(kind, found.st_size, found.st_nlink, mode, found.st_mtime, found.st_uid == os.geteuid())

    def free(self, path: str) -> Free:
        found = os.statvfs(path)
        return Free(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else -1)

    def now_s(self) -> float:
        return time.time()

    def lock(self, path: str) -> int:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            _flock(handle, path)
            removed = os.fstat(handle).st_nlink == 0
        except BaseException:
            os.close(handle)
            raise
        if removed:
            os.close(handle)
            raise BlockingIOError(errno.EAGAIN, "removed by whoever had it", path)
        return handle


def _flock(handle: int, path: str) -> None:
    """Lock an open file. Raises OSError, which names a file system that has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        what = f"the file system there, {_file_system(path) or 'which is not known'}, has no locks"
        raise OSError(errno.ENOLCK, what, path) from error


def _file_system(path: str) -> str:
    """The kind of the file system that holds a path, such as nfs4 (proc_pid_mounts(5)); "" where it is not told."""
    try:
        with open("/proc/mounts", errors="replace") as file:  # noqa: PTH123 - strings throughout
            mounts = [line.split()[1:3] for line in file]
    except (OSError, IndexError):
        return ""
    holding = [(len(place), kind) for place, kind in mounts if f"{path}/".startswith(place.rstrip("/") + "/")]
    return max(holding, default=(0, ""))[1]
