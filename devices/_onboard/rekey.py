"""The next root of keys on a board: each step from the one that is there is signed by the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewright.bundle.keys import followed, read_roots, written
from edgewright.contracts.board_answers import Rekeyed
from edgewright.devices._onboard.files import put
from edgewright.devices._onboard.keys import check_signature, keys_of
from edgewright.errors import BundleError, DeviceError

if TYPE_CHECKING:
    from edgewright.contracts.board import Rekey
    from edgewright.devices._onboard.board import Board

__all__ = ["rekey"]


def rekey(board: Board, request: Rekey) -> Rekeyed:
    """Take a newer root of keys, which the ones before it signed step by step; say which releases it does not allow.

    Raises:
        BundleError: one is missing, or has too few signatures.
        DeviceError: the board has no root of keys yet: its owner alone puts the first one there.
    """
    store, sent = board.store, read_roots(request.roots, "what was sent")
    with board.locked() as state:
        keys = keys_of(store)
        if keys is None or keys.root is None:
            what = f"{store.root}/keys has no root of keys"
            raise DeviceError(
                what, hint="its owner puts the first one there, as root.json, in place of allowed_signers"
            )
        newest = followed(keys.root, sent, keys.signers.revoked, board.machine.who_signed)
        if newest != keys.root:
            put(board.disk, store.owned("root.json"), written([newest]))
            board.journal.note("keys", f"root {newest.version} follows {keys.root.version}, from {board.asker.who}")
        kept = [name for name in (state.active, state.previous) if name]
        refused = tuple(name for name in kept if not _still_signed(board, name))
    return Rekeyed(keys.root.version, newest.version, newest.threshold, tuple(newest.keys), refused)


def _still_signed(board: Board, name: str) -> bool:
    try:
        check_signature(board.store, board.machine, board.store.read(name))
    except (OSError, BundleError):
        return False
    return True
