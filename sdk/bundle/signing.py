"""Signatures of bundles by the SSH keys that people have: `ssh-keygen -Y sign` over manifest.json.

The manifest names every other file with its hash. The signature lies beside it, in OpenSSH's own format, and is good
for bundles alone (`edgewright.bundle.sshsig.NAMESPACE`). Who may sign stands in a file of allowed signers
(ssh-keygen(1)), whose key no longer counts in a revocation list. One signature is kept, so that no key can be counted
twice.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from edgewright.bundle.bundle import MANIFEST, SIGNATURE, Bundle
from edgewright.bundle.sshsig import NAMESPACE, ssh_keygen, who_signed
from edgewright.errors import UsageError, one_line
from edgewright.system.files import read_capped, write_whole
from edgewright.system.untrusted import MAX_JSON_BYTES, MAX_SIGNATURE_BYTES

__all__ = ["check_signature", "sign"]


def sign(bundle: Bundle | str | Path, key: str | Path) -> Path:
    """Sign a bundle, every file of which is hashed first; a signature that it has is replaced.

    Args:
        bundle: a bundle or its directory.
        key: the file of a private key without a passphrase, or of a public key whose private one ssh-agent holds.

    Raises:
        BundleError: the bundle is not what its manifest says.
        UsageError: the key does not sign.
        StorageError: the signature cannot be written.
        MissingExtra: ssh-keygen is not installed.
    """
    opened = Bundle.of(bundle)
    opened.check_hashes()
    if not Path(key).is_file():
        raise UsageError(f"there is no key {key}", hint="make one with: ssh-keygen -t ed25519")
    out = opened.directory / SIGNATURE
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        copy = Path(scratch, MANIFEST)  # ssh-keygen writes beside what it signs
        copy.write_bytes(read_capped(opened.directory / MANIFEST, MAX_JSON_BYTES))
        code, printed = ssh_keygen("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), str(copy))
        if code != 0:
            hint = "is it a key without a passphrase? if not, run ssh-add and give its .pub file"
            raise UsageError(f"{key} does not sign: {one_line(printed, 200)}", hint=hint)
        write_whole(out, Path(f"{copy}.sig").read_bytes(), beside=_beside(opened.directory))
    return out


def _beside(directory: Path) -> Path:
    """Where an unfinished file of a bundle lies: outside of it, where a reader would find one that is not listed."""
    root = directory.resolve()
    above = root.parent
    return above if above.stat().st_dev == root.stat().st_dev and os.access(above, os.W_OK) else root


def check_signature(bundle: Bundle | str | Path, signers: str | Path, *, revoked: str | Path | None = None) -> str:
    """The name of who signed a bundle's manifest; its other files are the manifest's to check (`Bundle.check_hashes`).

    Args:
        bundle: a bundle or its directory.
        signers: a file of allowed signers.
        revoked: a key revocation list, or a file of public keys.

    Raises:
        BundleError: not signed, or not by an allowed key, or for another purpose, or over other bytes, or revoked.
        MissingExtra: ssh-keygen is not installed.
    """
    root = bundle.directory if isinstance(bundle, Bundle) else Path(bundle)
    if not (root / MANIFEST).is_file():
        Bundle.open(root)  # says what is missing
    if revoked is not None and not Path(revoked).is_file():
        raise UsageError(f"there is no revocation list {revoked}", hint="make one with: ssh-keygen -k -f LIST KEY.pub")
    path = root / SIGNATURE
    signature = read_capped(path, MAX_SIGNATURE_BYTES) if path.is_file() else b""
    manifest = read_capped(root / MANIFEST, MAX_JSON_BYTES)
    return who_signed(manifest, signature, str(signers), None if revoked is None else str(revoked))
