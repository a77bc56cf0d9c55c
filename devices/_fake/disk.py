"""A disk in memory that counts operations, fails at any of them, and forgets in a power cut what was not synced.

After a power cut a file that was not synced holds what it held at its last sync, or what it was given, or a torn
mixture; a directory that was not synced has any subset of the changes since its last sync. That is what POSIX promises,
and less than a journaling file system keeps. A rename within one directory is one change.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from edgewright.devices._fake.nodes import Node, cut_power, walk
from edgewright.devices._onboard.disk import Disk, Facts, Free

if TYPE_CHECKING:
    import random

__all__ = ["FakeDisk", "Fault", "PowerCut"]


class PowerCut(BaseException):
    """The board lost its power: nothing that handles errors handles this."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong at operation `at`, counted from 0.

    Attributes:
        kind: crash; nospace and error, where the operation can give ENOSPC and EIO; short, where it writes.
        lasts: whether every later operation of the kind fails too.
    """

    at: int
    kind: str
    lasts: bool = False


@dataclass
class _Handle:
    """An open file, and where the next byte goes or comes from."""

    node: Node
    path: str
    at: int = 0


_ALLOCATES = {"write", "open to write", "mkdir", "link", "symlink", "rename", "sync", "sync_all", "sync_dir"}


class FakeDisk(Disk):
    """See the module. `log` holds each operation and its path; `count` is its length, `fault` what shall go wrong."""

    def __init__(self, capacity_bytes: int = 2**30) -> None:
        self.capacity_bytes, self.clock_s = capacity_bytes, 1000.0
        self.fault: Fault | None = None
        self.log: list[tuple[str, str]] = []
        self._root, self._off = Node("dir", 0o755), False
        self._handles: dict[int, _Handle] = {}
        self._locks: dict[str, int] = {}

    @property
    def count(self) -> int:
        """How many operations there were."""
        return len(self.log)

    def _step(self, what: str, path: str) -> None:
        if self._off:
            raise PowerCut
        at, fault = self.count, self.fault
        self.log.append((what, path))
        if fault is None or not (at == fault.at or (fault.lasts and at > fault.at)):
            return
        if fault.kind == "crash":
            self._off = True
            raise PowerCut
        if fault.kind == "error":
            _fail(errno.EIO, path)
        if fault.kind == "nospace" and what in _ALLOCATES:
            _fail(errno.ENOSPC, path)

    def reboot(self, luck: random.Random | None = None, *, kept: bool = False) -> None:
        """Turn the power off and on. What was not synced is lost, or all kept, or as `luck` has it."""
        self._handles, self._locks, self._off, self.fault = {}, {}, False, None
        cut_power(self._root, luck, kept=kept)

    def copy(self) -> FakeDisk:
        """A disk with the same on it; its operations count from 0."""
        other = FakeDisk(self.capacity_bytes)
        other.clock_s, other._root = self.clock_s, self._root.copy({})
        return other

    def used_bytes(self) -> int:
        """The bytes of all files, each once."""
        return sum(len(node.data) for node in walk(self._root, {}).values())

    def flip(self, path: str) -> None:
        """Let a bit of a file rot, on the disk and off it."""
        node = self._find(path)
        node.data = node.saved_data = bytes([node.data[0] ^ 1]) + node.data[1:]

    def peek(self, path: str) -> bytes:
        """A file's bytes, for whoever looks on: no operation is counted, and links are followed."""
        return self._find(path, follow=True).data

    def leads(self, path: str) -> str:
        """Where a link leads, for whoever looks on."""
        return self._find(path).target

    def tree(self, path: str = "/") -> dict[str, str]:
        """Every path below a directory with its kind, for whoever looks on."""
        found: dict[str, str] = {}
        for name, node in sorted(self._find(path).names.items()):
            inner = f"{path.rstrip('/')}/{name}"
            found |= {inner: node.kind, **(self.tree(inner) if node.kind == "dir" else {})}
        return found

    # finding

    def _find(self, path: str, *, follow: bool = False) -> Node:
        node, parts = self._root, [part for part in path.split("/") if part]
        for at, part in enumerate(parts):
            if node.kind != "dir":
                _fail(errno.ENOTDIR, path)
            if part not in node.names:
                _fail(errno.ENOENT, path)
            node = node.names[part]
            if node.kind == "link" and (follow or at + 1 < len(parts)):
                above = "/".join(parts[:at])
                return self._find("/".join([above, node.target, *parts[at + 1 :]]), follow=follow)
        return node

    def _parent(self, path: str) -> tuple[Node, str]:
        above, _, name = path.rpartition("/")
        node = self._find(above)
        if node.kind != "dir":
            _fail(errno.ENOTDIR, path)
        return node, name

    def _add(self, path: str, node: Node) -> None:
        parent, name = self._parent(path)
        if name in parent.names:
            _fail(errno.EEXIST, path)
        node.mtime_s = self.clock_s
        parent.change(**{name: node})

    def _handle(self, node: Node, path: str) -> int:
        number = max(self._handles, default=2) + 1
        self._handles[number] = _Handle(node, path)
        return number

    # operations

    def open(self, path: str, how: str) -> int:
        self._step("open to read" if how == "read" else "open to write", path)
        parent, name = self._parent(path)
        if how != "read" and name not in parent.names:
            self._add(path, Node("file"))
        node = self._find(path)
        if node.kind != "file":
            _fail(errno.ELOOP if node.kind == "link" else errno.EISDIR, path)
        if how == "write":
            node.data = b""
        handle = self._handle(node, path)
        self._handles[handle].at = len(node.data) if how == "append" else 0
        return handle

    def read(self, handle: int, most: int) -> bytes:
        piece = self.read_at(handle, self._handles[handle].at, most)
        self._handles[handle].at += len(piece)
        return piece

    def read_at(self, handle: int, at: int, most: int) -> bytes:
        self._step("read", self._handles[handle].path)
        return self._handles[handle].node.data[at : at + most]

    def write(self, handle: int, data: bytes) -> int:
        at, found = self.count, self._handles[handle]
        self._step("write", found.path)
        if self.fault and self.fault.kind == "short" and self.fault.at == at:
            data = data[: max(1, len(data) // 2)]
        room = self.capacity_bytes - self.used_bytes()
        if room <= 0 and data:
            _fail(errno.ENOSPC, found.path)
        data = data[:room]
        end = found.at + len(data)
        found.node.data = found.node.data[: found.at] + data + found.node.data[end:]
        found.at, found.node.mtime_s = end, self.clock_s
        return len(data)

    def sync(self, handle: int) -> None:
        self._step("sync", self._handles[handle].path)
        self._handles[handle].node.save()

    def close(self, handle: int) -> None:
        path = self._handles.pop(handle).path  # an error or not: as Linux has it
        if self._locks.get(path) == handle:
            del self._locks[path]
        self._step("close", path)

    def sync_dir(self, path: str) -> None:
        self._step("sync_dir", path)
        self._find(path).save()

    def sync_all(self, path: str) -> None:
        self._step("sync_all", path)
        for node in walk(self._root, {}).values():
            node.save()

    def rename(self, path: str, to: str) -> None:
        self._step("rename", f"{path} -> {to}")
        node, (parent, name), (above, other) = self._find(path), self._parent(path), self._parent(to)
        old = above.names.get(other)
        if old is not None and (old.kind == "dir" or node.kind == "dir") and (old.kind != node.kind or old.names):
            _fail(errno.ENOTEMPTY if old.kind == node.kind else errno.EISDIR, to)
        if old is not None and old is not node:
            old.links -= 1
        if above is parent:
            parent.change(**{name: None, other: node})
        else:
            above.change(**{other: node})
            parent.change(**{name: None})

    def link(self, path: str, to: str) -> None:
        self._step("link", f"{path} -> {to}")
        node, (parent, name) = self._find(path), self._parent(to)
        if name in parent.names:
            _fail(errno.EEXIST, to)
        parent.change(**{name: node})
        node.links += 1

    def symlink(self, target: str, path: str) -> None:
        self._step("symlink", path)
        self._add(path, Node("link", 0o777, target=target))

    def readlink(self, path: str) -> str:
        self._step("readlink", path)
        return self._find(path).target

    def unlink(self, path: str) -> None:
        self._step("unlink", path)
        node, (parent, name) = self._find(path), self._parent(path)
        if node.kind == "dir":
            _fail(errno.EISDIR, path)
        node.links -= 1
        parent.change(**{name: None})

    def mkdir(self, path: str, mode: int) -> None:
        self._step("mkdir", path)
        self._add(path, Node("dir", mode))

    def rmdir(self, path: str) -> None:
        self._step("rmdir", path)
        node, (parent, name) = self._find(path), self._parent(path)
        if node.kind != "dir" or node.names:
            _fail(errno.ENOTEMPTY if node.kind == "dir" else errno.ENOTDIR, path)
        parent.change(**{name: None})

    def chmod(self, path: str, mode: int) -> None:
        self._step("chmod", path)
        self._find(path).mode = mode

    def list(self, path: str) -> list[str]:
        self._step("list", path)
        node = self._find(path)
        if node.kind != "dir":
            _fail(errno.ENOTDIR, path)
        return sorted(node.names)

    def stat(self, path: str) -> Facts | None:
        self._step("stat", path)
        try:
            node = self._find(path)
        except FileNotFoundError:
            return None
        return Facts(node.kind, len(node.data), node.links, node.mode, node.mtime_s, True)  # noqa: FBT003 - a record

    def free(self, path: str) -> Free:
        self._step("free", path)
        return Free(self.capacity_bytes - self.used_bytes(), -1)

    def now_s(self) -> float:
        return self.clock_s

    def lock(self, path: str) -> int:
        self._step("lock", path)
        if path in self._locks:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
        if path.rpartition("/")[2] not in self._parent(path)[0].names:
            self._add(path, Node("file"))
        self._locks[path] = self._handle(self._find(path), path)
        return self._locks[path]


def _fail(number: int, path: str) -> NoReturn:
    raise OSError(number, os.strerror(number), path)
