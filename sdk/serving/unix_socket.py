"""A Unix socket to listen on: private, taken over from a server that died, never from one that lives."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from edgewright.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["listening"]

_MOST_PATH_BYTES = 107
"""sun_path of unix(7) has 108 bytes, the NUL among them."""
_PRIVATE = 0o177
"""A umask that leaves reading and writing to the owner: whoever may connect may use the model."""


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A bound socket that only this user may connect to; its name goes when the block ends.

    Whoever serves holds a lock on `PATH.lock`, which the kernel frees with the process: a socket without its server is
    told from one that is served, also by two that start at once.

    Raises:
        UsageError: the path is too long for a socket.
        StorageError: it is served by another process, or taken by something else, or cannot be made.
    """
    size = len(os.fsencode(path))
    if size > _MOST_PATH_BYTES:
        raise UsageError(f"{path} has {size} bytes, a socket's path at most {_MOST_PATH_BYTES}", hint="choose another")
    lock = _lock(path)
    try:
        with _bound(path) as server:
            yield server
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(lock)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except BlockingIOError as error:
        raise StorageError(f"{path} is served by another process", hint="stop it, or choose another path") from error
    except OSError as error:
        raise StorageError(f"cannot serve at {path}: {error.strerror or error}", hint="choose another path") from error


def _lock(path: Path) -> int:
    with _told(path):
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with _told(path):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _check_stale(path)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _check_stale(path: Path) -> None:
    """Remove a socket that no one listens on. Raises StorageError where the name is anything else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StorageError(f"{path} exists and is no socket", hint="it is not replaced; choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise StorageError(f"{path} is served by another program", hint="stop it, or choose another path")


def _bound(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_PRIVATE)  # from the first moment on: bind makes the file
    try:
        with _told(path):
            server.bind(str(path))
    finally:
        os.umask(before)
    return server
