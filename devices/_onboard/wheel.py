"""Wheels on a board: laid out as the trees that Python imports from, and held against the hashes that they came with.

A wheel is a zip archive with a list of its files and their SHA-256, its RECORD. Neither pip nor venv need be there.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from typing import TYPE_CHECKING

from edgewright.devices._onboard.files import ensure_dir, fill, get
from edgewright.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgewright.devices._onboard.disk import Disk

__all__ = ["MAX_WHEEL_BYTES", "lay_out", "listed", "wheel_hash", "whole"]

MAX_WHEEL_BYTES = 2**29
"""A choice: the wheels of engines have some tens of megabytes, with CUDA hundreds."""
_MAX_NAME_BYTES = 255
"""NAME_MAX of limits.h."""
_MAX_RECORD_BYTES = 2**24
"""A choice: a line of some 100 bytes a file, for more files than any wheel has."""


def lay_out(disk: Disk, data: bytes, folder: str, most_bytes: int) -> None:
    """Write the files of a wheel below `folder`, which is made; nothing is synced yet.

    Raises:
        DeviceError: it is no wheel, holds a name that leads elsewhere, or more than `most_bytes`.
    """
    made = {folder}
    disk.mkdir(folder, 0o755)
    for name, content in _unpacked(data, most_bytes):
        path = _placed(name)
        if path:
            _make_above(disk, folder, path, made)
            fill(disk, f"{folder}/{path}", content, sync=False)


def _unpacked(data: bytes, most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the files in a zip archive. Raises DeviceError."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename and not entry.is_dir()]
            _check_size(sum(entry.file_size for entry in entries), most_bytes)
            for entry in entries:
                yield entry.filename, archive.read(entry)
    except DeviceError:
        raise
    except Exception as error:  # what the library raises over a torn archive is of a dozen kinds
        hint = "remove the host's cached wheels"
        raise DeviceError(f"a wheel cannot be unpacked: {type(error).__name__}: {error}", hint=hint) from error


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise DeviceError(f"a wheel unpacks to {size} bytes, {most_bytes} were announced")


def _make_above(disk: Disk, folder: str, path: str, made: set[str]) -> None:
    parts = path.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        above = "/".join((folder, *parts[:depth]))
        if above not in made:
            ensure_dir(disk, above)
            made.add(above)


def _placed(name: str) -> str | None:
    """Where a file of a wheel goes; None for what only an installer with scripts needs.

    After the binary distribution format: `NAME.data/purelib` and `platlib` are spread over the root.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or not part.isprintable() for part in parts):
        raise DeviceError(f"a wheel holds the file name {name!r}, which leads elsewhere")
    if any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
        raise DeviceError(f"a wheel holds a file name of over {_MAX_NAME_BYTES} bytes, which no file can have")
    if not parts[0].endswith(".data"):
        return name
    return "/".join(parts[2:]) if parts[1] in ("purelib", "platlib") else None


def whole(disk: Disk, folder: str) -> bool:
    """Whether the files of a tree are those of its RECORD."""
    try:
        (info,) = [name for name in disk.list(folder) if name.endswith(".dist-info")]
        record = get(disk, f"{folder}/{info}/RECORD", _MAX_RECORD_BYTES)
        rows = listed(record)
        return bool(rows) and all(_as_record(disk.sha256(f"{folder}/{path}")) == digest for path, digest in rows)
    except (OSError, ValueError, DeviceError):
        return False


def listed(record: bytes) -> list[tuple[str, str]]:
    """The paths in a tree that a RECORD names, with their hashes as it writes them. Raises ValueError."""
    try:
        rows = [row for row in csv.reader(io.StringIO(record.decode())) if len(row) == 3 and row[1]]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return [(path, row[1]) for row in rows if (path := _placed(row[0]))]


def wheel_hash(data: bytes) -> str:
    """A hash as a RECORD writes it."""
    return _as_record(hashlib.sha256(data).hexdigest())


def _as_record(digest: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")
