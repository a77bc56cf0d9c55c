"""The owner's keys of a board: who may sign for it, and which fleet it is of.

ROOT/keys/allowed_signers   names and keys, changed by the owner's hand alone; or in its place
ROOT/keys/root.json         a root of keys (`edgewright.bundle.keys`), replaced by the next one (`rekey.py`)
ROOT/keys/revoked           keys that count no more
ROOT/keys/fleet             names; only what is signed for one of them is installed
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from edgewright.bundle.keys import MAX_KEYS_BYTES, Root, read_roots
from edgewright.bundle.sshsig import Signers
from edgewright.devices._onboard.files import get
from edgewright.errors import BundleError, DeviceError

if TYPE_CHECKING:
    from edgewright.devices._onboard.machine import Machine
    from edgewright.devices._onboard.release import Release
    from edgewright.devices._onboard.store import Store

__all__ = ["Keys", "check_allowed", "check_signature", "fleets_of", "keys_of"]

_MOST_LINKS = 8
"""As many as a path of any sense has."""


class Keys(NamedTuple):
    """Who may sign for a board, and the root of keys that says so, None for a file of allowed signers."""

    signers: Signers
    root: Root | None = None


def keys_of(store: Store) -> Keys | None:
    """The owner's keys, None where there are none and anything goes.

    Raises:
        BundleError: the root of keys is none.
        DeviceError: others may change them, or there are two files of them.
    """
    root, signers = store.owned("root.json"), store.owned("allowed_signers")
    if root and signers:
        what = f"{store.root}/keys has both root.json and allowed_signers"
        raise DeviceError(what, hint="the board's owner removes one of them")
    if not (root or signers):
        return None
    path = store.owned("revoked")
    revoked = _read(store, path) if path else b""
    if signers:
        return Keys(Signers(_read(store, signers), revoked, where=signers))
    newest = read_roots(_read(store, root), root)[-1]
    return Keys(newest.signers(root, revoked), newest)


def _read(store: Store, path: str) -> bytes:
    """A file of the owner's, where links lead to. Raises OSError."""
    for _ in range(_MOST_LINKS):
        facts = store.disk.stat(path)
        if facts is None or facts.kind != "link":
            break
        end = store.disk.readlink(path)
        path = end if end.startswith("/") else f"{path.rpartition('/')[0]}/{end}"
    return get(store.disk, path, MAX_KEYS_BYTES)


def check_allowed(store: Store, machine: Machine, release: Release) -> str:
    """Check that a release may be active on a board, after its owner's word and the release's own; who signed it.

    Raises:
        BundleError: it is not signed as the board's keys ask for, or is for other boards.
        DeviceError: others than the owner may change the keys.
    """
    signer = check_signature(store, machine, release)
    _check_target(store, machine, release)
    return signer


def check_signature(store: Store, machine: Machine, release: Release) -> str:
    """Who signed a release, after the board's own keys; "" on a board that has none, where anything goes."""
    keys = keys_of(store)
    return machine.who_signed(release.manifest, release.signature, keys.signers) if keys else ""


def _check_target(store: Store, machine: Machine, release: Release) -> None:
    """Check that a release is for this board, and good for the root of keys that it has."""
    target, fleets = release.target, fleets_of(store)
    if fleets and not (target and set(target.fleets) & fleets):
        named = ", ".join(target.fleets) if target and target.fleets else "none"
        what = f"this board is of the fleet {', '.join(sorted(fleets))}, the bundle is for {named}"
        raise BundleError(what, hint="sign it for the fleet: edgewright sign BUNDLE --target fleet=NAME")
    if target is None:
        return
    if target.fleets and not fleets:
        what = f"the bundle is for the fleet {', '.join(target.fleets)}, this board is of none"
        raise BundleError(what, hint=f"its owner says so there: echo NAME > {store.root}/keys/fleet")
    if target.models or target.architectures:
        _check_machine(machine, target.models, target.architectures)
    keys = keys_of(store)
    version = keys.root.version if keys and keys.root else 0
    if target.until is not None and version > target.until:
        what = f"the bundle was good until version {target.until} of the root of keys, this board has {version}"
        raise BundleError(what, hint="sign it again: edgewright sign BUNDLE --until VERSION")


def _check_machine(machine: Machine, models: tuple[str, ...], architectures: tuple[str, ...]) -> None:
    facts = machine.facts()
    names = [str(facts.get(name) or "") for name in ("model", "product")]
    if models and not any(fnmatchcase(name, pattern) for name in names for pattern in models):
        what = (
            f"the bundle is for {', '.join(models)}, this board is a {' '.join(filter(None, names)) or 'nameless one'}"
        )
        raise BundleError(what, hint="flash what is for this board")
    if architectures and facts.get("architecture") not in architectures:
        what = f"the bundle is for {', '.join(architectures)}, this board is {facts.get('architecture')}"
        raise BundleError(what, hint="flash what is for this board")


def fleets_of(store: Store) -> set[str]:
    """What the owner calls a board. Raises OSError and DeviceError."""
    path = store.owned("fleet")
    return set(_read(store, path).decode(errors="replace").split()) if path else set()
