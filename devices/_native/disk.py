"""The disk of a device without Python: each operation is one request to the runner there, which does the same calls."""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from edgewright.devices._native.talk import number
from edgewright.devices._onboard.disk import Disk, Facts, Free
from edgewright.errors import DeviceError

if TYPE_CHECKING:
    from edgewright.devices._native.talk import Talk

__all__ = ["NativeDisk"]

_HASHING_S = 600.0
"""A choice: 6 GB from a card that reads 10 MB a second."""
_NO_LINKS = (errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)
"""What forbids a second name: Android's SELinux policy does to the shell user, and some file systems know none."""


class NativeDisk(Disk):
    """Paths there. `probe` is a plain file of ours there, which is given a second name to see whether that is allowed.

    Where it is not, `link` makes a copy that is on the disk when it returns.
    """

    def __init__(self, talk: Talk, probe: str) -> None:
        self._talk = talk
        self.shares = self._links(probe)

    def _links(self, probe: str) -> bool:
        name = f"{probe}.link"
        try:
            self._ask(b"l", probe, name)
        except FileExistsError:  # of another host, a moment ago, or of one that was interrupted
            return True
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return False
        finally:
            with suppress(OSError):
                self.unlink(name)
        return True

    def _ask(self, letter: bytes, path: str = "", *fields: str | bytes, timeout_s: float = 60.0) -> list[bytes]:
        """The fields of the answer. Raises OSError."""
        each = [os.fsencode(field) if isinstance(field, str) else field for field in (path, *fields) if field != ""]
        said = self._talk.ask(letter, *each, timeout_s=timeout_s)
        if said.status:
            raise OSError(said.status, os.strerror(said.status), path or None)
        return said.fields

    def _handle(self, letter: bytes, handle: int, *fields: bytes) -> list[bytes]:
        said = self._talk.ask(letter, number(handle), *fields)
        if said.status:
            raise OSError(said.status, os.strerror(said.status))
        return said.fields

    def sha256(self, path: str, *, sync: bool = False) -> str:
        """As `Disk.sha256`, computed there."""
        (digest,) = self._ask(b"H", path, number(int(sync)), timeout_s=_HASHING_S)
        return digest.decode()

    def open(self, path: str, how: str) -> int:
        return _numbers(self._ask(b"o", path, how), 1)[0]

    def read(self, handle: int, most: int) -> bytes:
        return b"".join(self._handle(b"r", handle, number(most)))

    def read_at(self, handle: int, at: int, most: int) -> bytes:
        try:
            return b"".join(self._handle(b"p", handle, number(at), number(most)))
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            hint = "flash again, with --runner and --engine of this edgewright"
            raise DeviceError("the runner on the device is too old to look into a model's file", hint=hint) from error

    def write(self, handle: int, data: bytes) -> int:
        return _numbers(self._handle(b"w", handle, data[: 1 << 20]), 1)[0]

    def sync(self, handle: int) -> None:
        self._handle(b"f", handle)

    def close(self, handle: int) -> None:
        self._handle(b"c", handle)

    def sync_dir(self, path: str) -> None:
        self._ask(b"d", path)

    def sync_all(self, path: str) -> None:
        del path
        self._ask(b"S", timeout_s=_HASHING_S)

    def rename(self, path: str, to: str) -> None:
        self._ask(b"n", path, to)

    def link(self, path: str, to: str) -> None:
        if self.shares:
            self._ask(b"l", path, to)
        else:
            self._ask(b"C", path, to, timeout_s=_HASHING_S)

    def symlink(self, target: str, path: str) -> None:
        self._ask(b"y", target, path)

    def readlink(self, path: str) -> str:
        return os.fsdecode(self._ask(b"k", path)[0])

    def unlink(self, path: str) -> None:
        self._ask(b"u", path)

    def mkdir(self, path: str, mode: int) -> None:
        self._ask(b"m", path, number(mode))

    def rmdir(self, path: str) -> None:
        self._ask(b"x", path)

    def chmod(self, path: str, mode: int) -> None:
        self._ask(b"h", path, number(mode))

    def list(self, path: str) -> list[str]:
        return sorted(map(os.fsdecode, self._ask(b"a", path)))

    def stat(self, path: str) -> Facts | None:
        try:
            kind, *rest = self._ask(b"s", path)
        except FileNotFoundError:
            return None
        size, links, mode, seconds, nanoseconds, ours = _numbers(rest, 6)
        return Facts(kind.decode(), size, links, mode, seconds + nanoseconds / 1e9, bool(ours))

    def free(self, path: str) -> Free:
        free, inodes = _numbers(self._ask(b"v", path), 2)
        return Free(free, -1 if inodes == 2**64 - 1 else inodes)

    def now_s(self) -> float:
        seconds, nanoseconds = _numbers(self._ask(b"t"), 2)
        return seconds + nanoseconds / 1e9

    def lock(self, path: str) -> int:
        return _numbers(self._ask(b"L", path), 1)[0]


def _numbers(fields: list[bytes], count: int) -> tuple[int, ...]:
    if len(fields) != count or any(len(field) != 8 for field in fields):
        raise DeviceError("the runner's answer is not what was asked for", hint="is it as new as this edgewright?")
    return tuple(struct.unpack("<Q", field)[0] for field in fields)
