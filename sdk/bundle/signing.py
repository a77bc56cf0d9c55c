"""Signatures of bundles by the SSH keys that people have: `ssh-keygen -Y sign` over manifest.json.

The manifest names every other file with its hash, and the boards that the bundle is for. The signatures lie beside it,
in OpenSSH's own format, and are good for bundles alone (`edgewright.bundle.sshsig.NAMESPACE`). Who may sign stands in a
file of allowed signers (ssh-keygen(1)) or a root of keys (`edgewright.bundle.keys`), whose key no longer counts in a
revocation list. A key counts once, however often it signed.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgewright.bundle.bundle import MANIFEST, SIGNATURE, Bundle
from edgewright.bundle.keys import MAX_KEYS_BYTES, followed, read_roots
from edgewright.bundle.manifest import encode
from edgewright.bundle.sshsig import NAMESPACE, Signers, signatures_in, ssh_keygen, who_signed
from edgewright.errors import BundleError, UsageError, one_line
from edgewright.system.files import read_capped, write_whole
from edgewright.system.untrusted import MAX_JSON_BYTES, MAX_SIGNATURE_BYTES

if TYPE_CHECKING:
    from edgewright.bundle.manifest import Target

__all__ = ["check_placed", "check_signature", "sign", "signed_by"]


def sign(bundle: Bundle | str | Path, key: str | Path, *, target: Target | None = None, add: bool = False) -> Path:
    """Sign a bundle, every file of which is hashed first; signatures that it has are replaced.

    Args:
        bundle: a bundle or its directory.
        key: the file of a private key without a passphrase, or of a public key whose private one ssh-agent holds.
        target: the boards that it is for from now on, written into its manifest; by default as it is.
        add: keep the signatures that it has.

    Raises:
        BundleError: the bundle is not what its manifest says.
        UsageError: the key does not sign, or the others signed another target.
        StorageError: the signature cannot be written.
        MissingExtra: ssh-keygen is not installed.
    """
    opened = Bundle.of(bundle)
    opened.check_hashes()
    out = opened.directory / SIGNATURE
    manifest = read_capped(opened.directory / MANIFEST, MAX_JSON_BYTES)
    others = read_capped(out, MAX_SIGNATURE_BYTES) if add and out.is_file() else b""
    if target is not None and opened.manifest.target != target:
        if others:
            raise UsageError("the others signed another target", hint="leave out --add, and let them sign again")
        manifest = encode(replace(opened.manifest, target=target))
    made = signed_by(key, manifest, NAMESPACE)
    if made not in signatures_in(others):  # the same key signs the same bytes the same way, mostly
        others += made
    if len(others) > MAX_SIGNATURE_BYTES:
        raise UsageError(f"the signatures have {len(others)} bytes, at most {MAX_SIGNATURE_BYTES} are read")
    write_whole(opened.directory / MANIFEST, manifest, beside=_beside(opened.directory))
    write_whole(out, others, beside=_beside(opened.directory))
    return out


def signed_by(key: str | Path, data: bytes, namespace: str) -> bytes:
    """The signature of a key over some bytes. Raises UsageError and MissingExtra."""
    if not Path(key).is_file():
        raise UsageError(f"there is no key {key}", hint="make one with: ssh-keygen -t ed25519")
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        copy = Path(scratch, "signed")  # ssh-keygen writes beside what it signs
        copy.write_bytes(data)
        code, printed = ssh_keygen("-Y", "sign", "-q", "-n", namespace, "-f", str(key), str(copy))
        if code != 0:
            hint = "is it a key without a passphrase? if not, run ssh-add and give its .pub file"
            raise UsageError(f"{key} does not sign: {one_line(printed, 200)}", hint=hint)
        return Path(f"{copy}.sig").read_bytes()


def _beside(directory: Path) -> Path:
    """Where an unfinished file of a bundle lies: outside of it, where a reader would find one that is not listed."""
    root = directory.resolve()
    above = root.parent
    return above if above.stat().st_dev == root.stat().st_dev and os.access(above, os.W_OK) else root


def check_signature(bundle: Bundle | str | Path, signers: str | Path, *, revoked: str | Path | None = None) -> str:
    """The names of who signed a bundle's manifest; its other files are the manifest's (`Bundle.check_hashes`).

    Args:
        bundle: a bundle or its directory.
        signers: a file of allowed signers, or a root of keys.
        revoked: a key revocation list, or a file of public keys.

    Raises:
        BundleError: not signed, or not by as many allowed keys as are needed, or for another purpose, or over other
            bytes, or revoked.
        MissingExtra: ssh-keygen is not installed.
    """
    root = bundle.directory if isinstance(bundle, Bundle) else Path(bundle)
    if not (root / MANIFEST).is_file():
        Bundle.open(root)  # says what is missing
    if revoked is not None and not Path(revoked).is_file():
        raise UsageError(f"there is no revocation list {revoked}", hint="make one with: ssh-keygen -k -f LIST KEY.pub")
    if not Path(signers).is_file():
        raise BundleError(f"{signers} is no file of allowed signers", hint="lines of: NAME KEY-TYPE KEY")
    path = root / SIGNATURE
    signature = read_capped(path, MAX_SIGNATURE_BYTES) if path.is_file() else b""
    manifest = read_capped(root / MANIFEST, MAX_JSON_BYTES)
    return who_signed(manifest, signature, _signers(Path(signers), None if revoked is None else Path(revoked)))


def _signers(path: Path, revoked: Path | None) -> Signers:
    """Who may sign after a file of keys of either kind, less those that were revoked."""
    data, gone = read_capped(path, MAX_KEYS_BYTES), read_capped(revoked, MAX_KEYS_BYTES) if revoked else b""
    if not data.lstrip().startswith(b"{"):
        return Signers(data, gone, where=str(path))
    roots = read_roots(data, str(path))
    return followed(roots[0], roots, gone).signers(str(path), gone)


def check_placed(bundle: Bundle) -> None:
    """Check that a release in the store of a board is signed as its owner's keys ask for, where there are any.

    Whoever serves it asks at each start: a key may have been revoked since it was installed.

    Raises:
        BundleError: it is not, or the keys may not be read.
        MissingExtra: ssh-keygen is not installed.
    """
    releases = bundle.directory.parent
    keys = releases.parent / "keys"
    try:
        found = [path for name in ("root.json", "allowed_signers") if (path := keys / name).exists()]
        if releases.name != "releases" or not found:
            return
        revoked = keys / "revoked"
        check_signature(bundle, found[0], revoked=revoked if revoked.exists() else None)
    except PermissionError as error:
        hint = f"let the service's user read them: chmod -R go+rX,go-w {keys}"
        raise BundleError(f"the owner's keys cannot be read: {error.filename}", hint=hint) from error
    except BundleError as error:
        hint = f"sign it by a key that counts, and flash it; the keys stand in {keys}"
        raise BundleError(
            f"the release {bundle.directory.name} may not be served: {error.message}", hint=hint
        ) from error
