"""A bundle as one file, for systems that carry files: the same bundle gives the same bytes.

The file is a plain POSIX tar (ustar, not compressed: models do not shrink). A writer MUST put `manifest.json` first,
then `manifest.json.sig` where there is one, then the files that the manifest lists, by name; with mode 0644, owner 0
and time 0. A reader MUST refuse everything else: it knows from the manifest which header comes next, byte for byte, so
that no link, no strange name, no other size and no file beside those listed is ever looked at.
"""

from __future__ import annotations

import hashlib
import tarfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgewright.bundle.bundle import MANIFEST, SIGNATURE, Bundle
from edgewright.bundle.manifest import Manifest, decode
from edgewright.errors import BundleError, quoted, stands_for
from edgewright.system.atomic import staged
from edgewright.system.files import check_free, plain, scratch, writing
from edgewright.system.untrusted import MAX_JSON_BYTES, MAX_SIGNATURE_BYTES, check_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgewright.bundle.manifest import Artifact, File

__all__ = ["opened", "pack", "unpack"]

_PIECE = 1 << 20
"""Bytes read at a time: large enough that calls cost nothing, small beside any board's memory."""
_BLOCK = tarfile.BLOCKSIZE
_MOST_BYTES = 8**11 - 1
"""Of a member: eleven octal digits."""


def pack(bundle: Bundle | str | Path, out: str | Path, *, force: bool = False) -> Path:
    """Write a bundle as one file, after every hash has been checked.

    Args:
        bundle: a bundle or its directory.
        out: the file; a pipe or a device is written to as it stands.
        force: replace a file that is there.

    Raises:
        BundleError: the bundle is not what its manifest says.
        StorageError: `out` exists, or cannot be written.
    """
    source, target = Bundle.of(bundle), Path(out)
    check_free(target, force=force)
    _check_packable(source)
    source.check_hashes()
    with writing(target) as file:
        _write(source, file)
    return target


def _check_packable(source: Bundle) -> None:
    """Raise BundleError for a file that no header of ustar can describe, before gigabytes are hashed."""
    every: list[Artifact | File] = [*source.manifest.artifacts, *source.manifest.files]
    for one in every:
        if _header(one.path, one.size_bytes) is None:
            what = f"{one.path} has {one.size_bytes} bytes and a name of {len(one.path)} characters"
            hint = f"a packed file has at most {_MOST_BYTES} bytes and 100 characters in a name; copy the directory"
            raise BundleError(f"{what}, which the packed form cannot hold", hint=hint)


def _write(source: Bundle, file: BinaryIO) -> None:
    every: list[Artifact | File] = [*source.manifest.artifacts, *source.manifest.files]
    listed = sorted(one.path for one in every)
    signed = [SIGNATURE] if (source.directory / SIGNATURE).is_file() else []
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
        for path in (MANIFEST, *signed, *listed):
            with (source.directory / path).open("rb") as content:
                archive.addfile(_member(path, (source.directory / path).stat().st_size), content)


def _member(path: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.size = size
    return member


def unpack(packed: str | Path, out: str | Path, *, force: bool = False) -> Bundle:
    """Read a packed bundle into a directory, which appears whole or not at all.

    Raises:
        BundleError: the file is not what `pack` writes, or not what its manifest says.
        StorageError: `out` exists, or cannot be written.
    """
    with staged(Path(out), marker=MANIFEST, force=force) as work:
        _read(Path(packed), work)
        Bundle.open(work)
    return Bundle.open(out)


@contextmanager
def opened(source: str | Path) -> Iterator[Bundle]:
    """A bundle from its directory, or from a packed file, unpacked for as long as the block lasts."""
    if not Path(source).is_file():
        yield Bundle.open(source)
        return
    with scratch() as work:
        stands_for(work / "bundle", source)
        yield unpack(source, work / "bundle")


def _read(packed: Path, work: Path) -> None:
    """Write what a packed bundle holds: the one sequence of headers that `pack` would have written, or nothing."""
    try:
        file = plain(packed)
    except OSError as error:
        raise BundleError(f"cannot read {packed}: {error.strerror}") from error
    with file:
        reader = _Reader(packed, file)
        size = reader.size(MANIFEST, MAX_JSON_BYTES)
        if size is None:
            raise BundleError(f"{packed} is no packed bundle: {reader.found()} stands where {MANIFEST} should be")
        reader.copy(size, work / MANIFEST)
        record = decode((work / MANIFEST).read_bytes(), Manifest, MANIFEST)
        size = reader.size(SIGNATURE, MAX_SIGNATURE_BYTES)
        if size is not None:
            reader.copy(size, work / SIGNATURE)
        listed: list[Artifact | File] = [*record.artifacts, *record.files]
        for one in sorted(listed, key=lambda one: one.path):
            reader.listed(one, work)
        reader.end()


class _Reader:
    """Reads a packed bundle from its beginning; `header` is that of the next member."""

    def __init__(self, packed: Path, file: BinaryIO) -> None:
        self._packed, self._file, self._header = packed, file, file.read(_BLOCK)

    def size(self, path: str, most: int) -> int | None:
        """The size of the next member where it is `path`, else None. Raises BundleError where it is above `most`."""
        octal = self._header[124:135]
        size = int(octal, 8) if octal.isdigit() and not octal.strip(b"01234567") else -1
        if size < 0 or self._header != _header(path, size):
            return None
        if size > most:
            raise BundleError(f"{self._packed}: {path} has {size} bytes, at most {most} are read")
        return size

    def found(self) -> str:
        """What the next member is called, in words."""
        name = self._header[:100].rstrip(b"\0").decode(errors="replace")
        return quoted(name) if name else "the end"

    def listed(self, one: Artifact | File, work: Path) -> None:
        """Write a file that the manifest lists. Raises BundleError where another one comes."""
        check_path(one.path)
        if self._header != _header(one.path, one.size_bytes):
            what = f"{self._packed} holds {self.found()} where {one.path} of {one.size_bytes} bytes should be"
            raise BundleError(what, hint="pack the bundle again")
        digest = self.copy(one.size_bytes, work / one.path)
        if digest != one.sha256:
            what = f"{self._packed}: {one.path} has SHA-256 {digest[:12]}…, the manifest says {one.sha256[:12]}…"
            raise BundleError(what, hint="copy it again")

    def copy(self, size: int, target: Path) -> str:
        """Write the next member's content, and go on to the one after it; SHA-256 of it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        digest, left = hashlib.sha256(), size
        with target.open("xb") as out:
            while left and (piece := self._file.read(min(left, _PIECE))):
                out.write(piece)
                digest.update(piece)
                left -= len(piece)
        if left or self._file.read(-size % _BLOCK).strip(b"\0"):
            raise BundleError(f"{self._packed} ends {left} bytes before the end of {target.name}", hint="copy it again")
        self._header = self._file.read(_BLOCK)
        return digest.hexdigest()

    def end(self) -> None:
        """Raise BundleError where anything follows."""
        end = self._file.tell() - len(self._header) + 2 * _BLOCK
        rest = self._header + self._file.read(2 * tarfile.RECORDSIZE)
        if rest.strip(b"\0"):
            raise BundleError(f"{self._packed} holds {self.found()} that the manifest does not list")
        if end - 2 * _BLOCK + len(rest) != end + -end % tarfile.RECORDSIZE:
            raise BundleError(
                f"{self._packed} ends with {len(rest)} zeros, which is no tar's end", hint="copy it again"
            )


def _header(path: str, size: int) -> bytes | None:
    """The header of a member; None where the format has none: of 8 GiB, or a part of its name over 100 characters."""
    try:
        return _member(path, size).tobuf(tarfile.USTAR_FORMAT)
    except ValueError:
        return None
