"""Making roots of keys: the first one, the next one signed by the one before it, one more signature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.bundle.keys import MAX_KEYS_BYTES, NAMESPACE, Root, check_signed, followed, read_roots, text_of, written
from edgewright.bundle.signing import signed_by
from edgewright.bundle.sshsig import signatures_in
from edgewright.errors import BundleError, UsageError
from edgewright.system.files import read_capped, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["countersign", "roots_in", "rotate", "standing"]

_MAX_PUBLIC_BYTES = 2**14
"""A choice: a public key has under 1 kB."""


def rotate(
    path: str | Path,
    keys: Sequence[str | Path],
    *,
    add: Mapping[str, str | Path] | None = None,
    remove: Sequence[str] = (),
    threshold: int | None = None,
) -> Path:
    """Write the next root of keys into a file of them, or the first one where there is none.

    Args:
        path: the file.
        keys: private keys that sign it, of those that the last root has and of its own.
        add: files of public keys, by the names of who has them.
        remove: names whose keys count no more.
        threshold: of how many keys a signature is needed; by default as before, 1 at first.

    Raises:
        UsageError: a name is not there, or there already, or a file holds no public key, or a key does not sign.
        BundleError: the file is no file of roots, or one does not follow another.
        StorageError: it cannot be written.
    """
    file = Path(path)
    roots = _roots(file) if file.exists() else []
    known, last = dict(roots[-1].keys) if roots else {}, roots[-1] if roots else None
    for name in remove:
        if known.pop(name, None) is None:
            raise UsageError(f"{file} has no key of {name}", hint=f"it has keys of {', '.join(known) or 'nobody'}")
    for name, public in (add or {}).items():
        if name in known:
            raise UsageError(f"{file} has a key of {name} already", hint=f"give --remove {name} too")
        known[name] = _public(Path(public))
    if not known:
        raise UsageError(
            f"a root without keys lets nobody sign, and {file} would have none", hint="give --add NAME=KEY.pub"
        )
    needed = threshold if threshold is not None else min(last.threshold, len(known)) if last else 1
    text = text_of(last.version + 1 if last else 1, needed, known)
    try:
        root = Root.of(text, "", str(file))
    except BundleError as error:
        raise UsageError(error.message) from error
    return _kept(file, roots, _signed(root, keys))


def countersign(path: str | Path, keys: Sequence[str | Path]) -> Path:
    """Add signatures to the newest root in a file of them. Raises as `rotate` does."""
    file = Path(path)
    *roots, last = roots_in(file)
    return _kept(file, roots, _signed(last, keys))


def roots_in(path: str | Path) -> list[Root]:
    """The roots in a file of them, oldest first. Raises UsageError where it cannot be read, and BundleError."""
    try:
        return read_roots(read_capped(Path(path), MAX_KEYS_BYTES), str(path))
    except OSError as error:
        hint = "edgewright keys rotate makes one"
        raise UsageError(f"cannot read the roots of keys in {path}: {error.strerror}", hint=hint) from error


def standing(path: str | Path) -> tuple[Root, str]:
    """The newest root in a file, and why boards would not take it, in words; "" where they would."""
    file, problem = Path(path), ""
    try:
        _roots(file)
    except BundleError as error:
        problem = str(error)
    return roots_in(file)[-1], problem


def _roots(file: Path) -> list[Root]:
    """The roots in a file, each of which follows the one before it, the first one itself. Raises BundleError."""
    roots = roots_in(file)
    check_signed(roots[0], roots[0])
    followed(roots[0], roots)
    return roots


def _signed(root: Root, keys: Sequence[str | Path]) -> Root:
    signatures = root.signatures
    for key in keys:
        made = signed_by(key, root.text.encode(), NAMESPACE)
        if made not in signatures_in(signatures.encode()):
            signatures += made.decode()
    return root._replace(signatures=signatures)


def _kept(file: Path, roots: Sequence[Root], newest: Root) -> Path:
    write_whole(file, written([*roots, newest]))
    return file


def _public(path: Path) -> str:
    """The public key in a file, without its comment. Raises UsageError."""
    if not path.is_file():
        raise UsageError(f"there is no public key {path}", hint="give NAME=KEY.pub")
    words = read_capped(path, _MAX_PUBLIC_BYTES).decode(errors="replace").split()
    if len(words) < 2:
        raise UsageError(f"{path} holds no public key", hint="give the .pub file that ssh-keygen wrote")
    return " ".join(words[:2])
