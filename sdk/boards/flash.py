"""Bundles onto boards, so that a plug pulled at any moment leaves the old release or the new one, whole.

    checks -> files that the board lacks, by hash -> hashed there -> golden cases there -> switch -> health -> kept

Before that, where it is asked for, edgewright and an engine are installed there: `edgewright.boards.install`.
What changes the board is done there, by what `edgewright.boards.agent` sends; the layout and its promises stand in
`devices/_onboard/store.py`. A release that fails its health check is taken back by the board itself.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from edgewright.boards.connect import board_of
from edgewright.boards.install import Equipment, equip
from edgewright.boards.transfer import Transfer
from edgewright.bundle.bundle import MANIFEST, SIGNATURE, Bundle
from edgewright.bundle.flat_bytes import kernels
from edgewright.bundle.keys import written
from edgewright.bundle.manifest import Manifest, decode
from edgewright.bundle.onnx_bytes import Malformed, operators, stamp
from edgewright.bundle.rotation import roots_in
from edgewright.contracts.board import Candidate, Inspect, Install, List, Prepare, Rekey, RollBack, Serve, Uninstall
from edgewright.contracts.board_commands import Checks, Engines, Server
from edgewright.errors import BundleError
from edgewright.inference.footprint import least_memory_mib
from edgewright.system.files import read_capped
from edgewright.system.progress import silent
from edgewright.system.shown import brief
from edgewright.system.untrusted import MAX_JSON_BYTES, MAX_SIGNATURE_BYTES
from edgewright.system.words import counted, human

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgewright.boards.board import Board
    from edgewright.boards.install import Outfitter
    from edgewright.bundle.manifest import Artifact, File
    from edgewright.contracts.board_answers import Cell, Installed, Listing, Prepared, Rekeyed, Rolled, Row, Status
    from edgewright.contracts.transport import Transport

__all__ = ["Flashed", "flash", "listing", "rekey", "releases", "rollback", "status", "uninstall"]

_HASHING_S, _ASK_S = 600.0, 120.0
"""Choices: 6 GB of releases from a card that reads 10 MB a second; a Python that starts on a busy board."""


@dataclass(frozen=True)
class Flashed:
    """What a flash did.

    Attributes:
        release: the name of the release that is active now.
        changed: whether it was not before.
        sent: the files that travelled, and their bytes together; the others were on the board.
        equipment: what was installed there before; None where that was not asked for.
        signer: who signed it, after the board's keys; "" where the board asks for no signature.
        rows: what the self-test on the board printed, an object for each artifact.
        left: what could not be cleaned up, in words.
        socket: where the board's service answers; "" where it has none, or did not tell.
    """

    release: str
    changed: bool
    version: int
    sent: tuple[str, ...] = ()
    sent_bytes: int = 0
    signer: str = ""
    rows: tuple[dict[str, Cell], ...] = ()
    left: str = ""
    socket: str = ""
    equipment: Equipment | None = None

    def __repr__(self) -> str:
        sent = (
            f"sent {counted(len(self.sent), 'file')}, {human(self.sent_bytes)}" if self.changed else "as it was before"
        )
        return brief(self, self.release, f"version {self.version}", sent, self.left)


@dataclass(frozen=True)
class _Package:
    """A bundle as it goes to a board: the bytes that were checked are those that are sent."""

    bundle: Bundle
    manifest: bytes
    signature: bytes

    @classmethod
    def read(cls, opened: Bundle) -> _Package:
        opened.check_hashes()
        manifest = read_capped(opened.directory / MANIFEST, MAX_JSON_BYTES)
        if decode(manifest, Manifest, MANIFEST) != opened.manifest:
            raise BundleError(f"{opened.directory / MANIFEST} changed while it was read", hint="try again")
        path = opened.directory / SIGNATURE
        return cls(opened, manifest, read_capped(path, MAX_SIGNATURE_BYTES) if path.is_file() else b"")

    def files(self) -> dict[str, Path]:
        """Its files by their hash."""
        listed: tuple[Artifact | File, ...] = (*self.bundle.manifest.artifacts, *self.bundle.manifest.files)
        return {file.sha256: self.bundle.directory / file.path for file in listed}


def flash(
    bundle: Bundle | str | Path,
    board: Board | Transport,
    *,
    root: str = "",
    python: str = "",
    allow_downgrade: bool = False,
    service: bool | None = None,
    install: Outfitter | None = None,
    checks: Checks | None = None,
    timeout_s: float = 600.0,
    progress: Callable[[str], None] = silent,
) -> Flashed:
    """Install a bundle on a board and make it the active release there.

    Args:
        bundle: a bundle or its directory.
        board: the board, or the way to one with a Python; `root` and `python` are for such a way.
        root: where its releases are; by default `~/.local/share/edgewright` there.
        python: its Python, with edgewright and an engine installed; by default as `contracts.board.Checks` says.
        allow_downgrade: install a version below the active one.
        service: install a unit of systemd that serves the active release, or with False remove it; where one is
            installed already it serves the new release, and one that is not well takes the release back.
        install: how edgewright and an engine come to a board that lacks them: `equipment.by_wheels` or `by_pip`.
        checks: what the release must pass there; by default golden cases, see `Checks.of`.
        timeout_s: the most seconds that each of those may take.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: the bundle is not what its manifest says, the board's keys refuse it, or its version is older.
        GateFailed: its golden cases fail on the board; what was active is active.
        DeviceError: the board lacks disk, memory or an engine, someone else is sending, or the connection failed.
    """
    opened = Bundle.of(bundle)
    progress("check the bundle")
    package = _Package.read(opened)
    there, manifest = board_of(board, root, python), package.bundle.manifest
    formats = tuple(dict.fromkeys(artifact.format for artifact in manifest.artifacts))
    own = "" if install else there.python
    checks, transfer = checks or Checks.of(_engines(package.bundle, formats, own), timeout_s), Transfer(there)
    candidate = Candidate(package.manifest, package.signature, allow_downgrade)
    server, needs = Server(own) if service else None, least_memory_mib(package.bundle)
    with transfer.ending():
        equipment = equip(transfer, formats, checks, install, candidate, progress) if install else None
        progress("check the board")
        asked = Prepare(transfer.token, "", candidate, checks, server, needs)
        wanted = transfer.prepared(asked, checks.timeout_s + _HASHING_S)
        if not wanted.incoming:
            socket = "" if service is None else _serve(there, server, checks)
            known = Flashed(wanted.active, changed=False, version=manifest.version, signer=wanted.signer)
            return replace(known, equipment=equipment, socket=socket)
        transfer.send(wanted, package.files(), progress)
        progress("prove, switch, look at its health")
        asking = Install(transfer.token, candidate, checks, server)
        done = there.answer(asking, within_s=3 * checks.timeout_s + _HASHING_S)
        socket = _serve(there, server, checks) if service is False else done.socket
    return replace(_flashed(done, wanted, manifest.version), equipment=equipment, socket=socket)


def _engines(bundle: Bundle, formats: tuple[str, ...], python: str) -> Engines:
    """What the board's engines are asked, so that an older one is found before anything is sent."""
    stamps, names, files = list[bytes](), list[str](), list[bytes]()
    for artifact in bundle.manifest.artifacts:
        with (bundle.directory / artifact.path).open("rb", buffering=0) as file, _told(artifact):
            given = artifact.size_bytes, partial(_read, file.fileno())
            if artifact.path.endswith(".onnx"):
                stamps.append(stamp(*given))
                names += operators(*given)
            elif artifact.format == "tflite":
                files += kernels(*given)
    return Engines(
        formats,
        python=python,
        stamps=tuple(dict.fromkeys(stamps)),
        operators=tuple(dict.fromkeys(names)),
        kernels=tuple(dict.fromkeys(files)),
    )


def _read(number: int, at: int, count: int) -> bytes:
    return os.pread(number, count, at)


@contextmanager
def _told(artifact: Artifact) -> Iterator[None]:
    try:
        yield
    except Malformed as error:
        raise BundleError(f"{artifact.path}: {error}", hint="build the bundle again") from error


def _serve(board: Board, server: Server | None, checks: Checks) -> str:
    """Install the service for the release that is active, or remove it; where it answers."""
    return board.answer(Serve(server, checks.timeout_s), within_s=checks.timeout_s + _HASHING_S).socket


def _flashed(done: Installed, wanted: Prepared, version: int) -> Flashed:
    return Flashed(
        release=done.active,
        changed=True,
        version=version,
        sent=tuple(file.path for file in wanted.missing),
        sent_bytes=sum(file.size_bytes for file in wanted.missing),
        signer=done.signer,
        rows=done.rows,
        left=done.left,
    )


def rollback(
    board: Board | Transport,
    *,
    root: str = "",
    python: str = "",
    heal: bool = False,
    checks: Checks | None = None,
    timeout_s: float = 600.0,
) -> Rolled:
    """Make the previous release of a board the active one, after its golden cases; with `heal` only if need be.

    Raises:
        DeviceError: there is none, or it is damaged; nothing is deleted.
        GateFailed: its golden cases fail; what was active is active.
    """
    there = board_of(board, root, python)
    checks = checks or Checks.of(Engines((), python=there.python), timeout_s)
    return there.answer(RollBack(heal, checks), within_s=2 * checks.timeout_s + _HASHING_S)


def rekey(board: Board | Transport, roots: str | Path, *, root: str = "", python: str = "") -> Rekeyed:
    """Give a board a newer root of keys, see `edgewright.bundle.keys`.

    Raises:
        UsageError: the file cannot be read.
        BundleError: it holds no roots, or one does not follow the board's.
        DeviceError: the board has no root yet, or cannot be reached.
    """
    return board_of(board, root, python).answer(Rekey(written(roots_in(roots))), within_s=_ASK_S)


def status(board: Board | Transport, *, root: str = "", python: str = "") -> Status:
    """What is installed on a board, every file hashed; nothing changes. Raises DeviceError."""
    return board_of(board, root, python).answer(Inspect(), within_s=_HASHING_S)


def listing(board: Board | Transport, *, root: str = "", python: str = "") -> Listing:
    """What is installed on a board, in an instant: no file is hashed. Raises DeviceError."""
    return board_of(board, root, python).answer(List(), within_s=_ASK_S)


def releases(board: Board | Transport, *, root: str = "", python: str = "") -> tuple[Row, ...]:
    """The releases on a board, newest first. Raises DeviceError."""
    return status(board, root=root, python=python).releases


def uninstall(board: Board | Transport, *, root: str = "", python: str = "") -> tuple[str, ...]:
    """Remove every release from a board; its owner's keys stay. Gives their names. Raises DeviceError."""
    return board_of(board, root, python).answer(Uninstall(), within_s=_HASHING_S).removed
