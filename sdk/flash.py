"""Bundles onto boards, so that a plug pulled at any moment leaves the old release or the new one, whole.

    checks -> files that the board lacks, by hash -> hashed there -> golden cases there -> switch -> health -> kept

What changes the board is done there, by what `edgewright.agent` sends; the layout and its promises stand in
`devices/_store.py`. A release that fails its health check is taken back by the board itself.
"""

from __future__ import annotations

import base64
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright.board import (
    Board,
    Checks,
    Ended,
    Installed,
    Prepared,
    Removed,
    Rolled,
    Row,
    Served,
    Status,
    alive,
    given_up,
    serving,
)
from edgewright.bundle import MANIFEST, SIGNATURE, Bundle
from edgewright.errors import BundleError, DeviceError, EdgewrightError
from edgewright.files import read_capped
from edgewright.footprint import least_memory_mib
from edgewright.manifest import Manifest, decode
from edgewright.strict import MAX_JSON_BYTES, MAX_SIGNATURE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgewright.contracts import Transport
    from edgewright.manifest import Artifact, File

__all__ = ["Flashed", "flash", "releases", "rollback", "status", "uninstall"]

_HASHING_S = 600.0
_END_S = 10.0


@dataclass(frozen=True)
class Flashed:
    """What a flash did.

    Attributes:
        release: the name of the release that is active now.
        changed: whether it was not before.
        sent: the files that travelled, and their bytes together; the others were on the board.
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
    rows: tuple[dict[str, Any], ...] = ()
    left: str = ""
    socket: str = ""


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

    def request(self) -> dict[str, str]:
        """What every request about it says of it."""
        given = {"manifest": self.manifest, "signature": self.signature}
        return {name: base64.b64encode(data).decode() for name, data in given.items()}

    def files(self) -> dict[str, Path]:
        """Its files by their hash."""
        listed: tuple[Artifact | File, ...] = (*self.bundle.manifest.artifacts, *self.bundle.manifest.files)
        return {file.sha256: self.bundle.directory / file.path for file in listed}


def flash(
    bundle: Bundle | str | Path,
    transport: Transport,
    *,
    root: str = "",
    python: str = "",
    allow_downgrade: bool = False,
    service: bool | None = None,
    checks: Checks | None = None,
    timeout_s: float = 600.0,
    progress: Callable[[str], None] = lambda _: None,
) -> Flashed:
    """Install a bundle on a board and make it the active release there.

    Args:
        bundle: a bundle or its directory.
        transport: the way to the board.
        root: where its releases are; by default `~/.local/share/edgewright` there.
        python: its Python, with edgewright and an engine installed; by default as `edgewright.board.Checks` says.
        allow_downgrade: install a version below the active one.
        service: install a unit of systemd that serves the active release, or with False remove it; where one is
            installed already it serves the new release, and one that is not well takes the release back.
        checks: what the release must pass there; by default golden cases, see `Checks.of`.
        timeout_s: the most seconds that each of those may take.
        progress: called with a short phrase at each stage.

    Raises:
        BundleError: the bundle is not what its manifest says, the board's keys refuse it, or its version is older.
        GateFailed: its golden cases fail on the board; what was active is active.
        DeviceError: the board lacks disk, memory or an engine, someone else is sending, or the connection failed.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    progress("check the bundle")
    package = _Package.read(opened)
    board, manifest = Board(transport, root, python), package.bundle.manifest
    formats = tuple(dict.fromkeys(artifact.format for artifact in manifest.artifacts))
    checks = checks or Checks.of(board.python, formats, timeout_s)
    progress("check the board")
    request = {**package.request(), "allow_downgrade": allow_downgrade, **msgspec.to_builtins(checks)}
    serve = serving(board.python) if service else ()
    request |= {"serve": serve, "memory_mib": least_memory_mib(package.bundle)}
    with _ending(board):
        prepared = _prepare(board, request, checks)
        if not prepared.incoming:
            socket = "" if service is None else _serve(board, request, checks)
            return Flashed(prepared.active, False, manifest.version, signer=prepared.signer, socket=socket)  # noqa: FBT003 - a record
        _send(board, prepared, package.files(), progress)
        progress("prove, switch, look at its health")
        done = board.ask("install", Installed, within_s=3 * checks.timeout_s + _HASHING_S, **request)
        socket = _serve(board, request, checks) if service is False else done.socket
    return Flashed(
        release=done.active,
        changed=True,
        version=manifest.version,
        sent=tuple(file.path for file in prepared.missing),
        sent_bytes=sum(file.size_bytes for file in prepared.missing),
        signer=done.signer,
        rows=done.rows,
        left=done.left,
        socket=socket,
    )


def _serve(board: Board, request: dict[str, Any], checks: Checks) -> str:
    """Install the service for the release that is active, or remove it; where it answers."""
    return board.ask("serve", Served, within_s=checks.timeout_s + _HASHING_S, **request).socket


def _prepare(board: Board, request: dict[str, Any], checks: Checks) -> Prepared:
    """Ask until no one is busy but senders of this host that have ended."""
    over = ""
    while True:
        prepared = board.ask("prepare", Prepared, within_s=checks.timeout_s + _HASHING_S, over=over, **request)
        busy = prepared.busy
        if busy is None:
            return prepared
        if alive(busy) or over == busy.token:
            what = f"{busy.who} is sending to this board, the last bytes came {busy.quiet_s:.0f} s ago"
            raise DeviceError(what, hint="wait for it; after 30 s of silence it is taken for gone")
        over = busy.token


@contextmanager
def _ending(board: Board) -> Iterator[None]:
    """Tell the board when a transfer failed here, so that others need not wait; what has arrived stays there."""
    try:
        yield
    except BaseException:
        given_up.add(board.token)
        with suppress(EdgewrightError):
            board.ask("end", Ended, within_s=_END_S)
        raise


def _send(board: Board, prepared: Prepared, files: dict[str, Path], progress: Callable[[str], None]) -> None:
    for file in prepared.missing:
        here = files.get(file.sha256)
        if here is None:
            raise DeviceError(f"the board asks for {file.path}, which is not in the bundle")
        progress(f"send {file.path}, {file.size_bytes / 1e6:.1f} MB")
        board.transport.push(here, f"{prepared.incoming}/{file.sha256}")


def rollback(
    transport: Transport,
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
    board = Board(transport, root, python)
    checks = checks or Checks.of(board.python, (), timeout_s)
    within_s = 2 * checks.timeout_s + _HASHING_S
    return board.ask("rollback", Rolled, within_s=within_s, heal=heal, **msgspec.to_builtins(checks))


def status(transport: Transport, *, root: str = "", python: str = "") -> Status:
    """What is installed on a board, every file hashed; nothing changes. Raises DeviceError."""
    return Board(transport, root, python).ask("status", Status, within_s=_HASHING_S)


def releases(transport: Transport, *, root: str = "", python: str = "") -> tuple[Row, ...]:
    """The releases on a board, newest first. Raises DeviceError."""
    return status(transport, root=root, python=python).releases


def uninstall(transport: Transport, *, root: str = "", python: str = "") -> tuple[str, ...]:
    """Remove every release from a board; its owner's keys stay. Gives their names. Raises DeviceError."""
    return Board(transport, root, python).ask("uninstall", Removed, within_s=_HASHING_S).removed
