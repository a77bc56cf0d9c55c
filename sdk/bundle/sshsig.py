"""Who signed a manifest: signatures of OpenSSH (PROTOCOL.sshsig), checked by `ssh-keygen -Y` and no code of our own.

Standard library alone, for Python 3.9 on: a board that has a key file checks with this very module.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from edgewright.errors import BundleError, MissingExtra, one_line

__all__ = ["NAMESPACE", "ssh_keygen", "who_signed"]

NAMESPACE = "edgewright-bundle"
"""A signature is good for this purpose alone: one of the same key over an e-mail or a commit is none over a bundle."""

_TIMEOUT_S = 30.0
"""A choice: signing takes milliseconds, but a key in an agent may wait for a touch."""


def ssh_keygen(*arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    """Run ssh-keygen without a terminal, so that it never asks: its exit code, and what it printed.

    Raises:
        MissingExtra: it is not installed.
        BundleError: it took too long.
    """
    argv = ["ssh-keygen", *arguments]
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            start_new_session=True,
            env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
        )
    except FileNotFoundError as error:
        raise MissingExtra("ssh-keygen is not installed", hint="run: apt install openssh-client") from error
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"ssh-keygen took longer than {_TIMEOUT_S:g} s and was ended") from error
    printed = done.stdout if done.returncode == 0 else done.stdout + done.stderr
    return done.returncode, printed.decode(errors="replace")


def who_signed(manifest: bytes, signature: bytes, signers: str, revoked: str | None = None) -> str:
    """The principal of `signers` whose key signed these very bytes.

    Args:
        manifest: the bytes of manifest.json.
        signature: those of manifest.json.sig.
        signers: the path of an allowed signers file (ssh-keygen(1), ALLOWED SIGNERS).
        revoked: the path of a key revocation list, or of a file of revoked public keys.

    Raises:
        BundleError: no signature, another key's, another purpose's, over other bytes, or of a revoked key.
        MissingExtra: ssh-keygen is not installed.
    """
    if not signature:
        raise BundleError("the bundle is not signed, and a signature is required", hint="run: edgewright sign BUNDLE")
    if not Path(signers).is_file():
        raise BundleError(f"{signers} is no file of allowed signers", hint="lines of: NAME KEY-TYPE KEY")
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        path = Path(scratch, "sig")
        path.write_bytes(signature)
        principal = _principal(str(path), signers)
        words = ["-Y", "verify", "-n", NAMESPACE, "-f", signers, "-I", principal, "-s", str(path)]
        code, printed = ssh_keygen(*words, *(["-r", revoked] if revoked else []), stdin=manifest)
    if code != 0:
        what = f"the signature of {principal} does not hold: {one_line(printed, 200)}"
        raise BundleError(what, hint="the manifest was changed, or signed for another purpose, or the key is revoked")
    return principal


def _principal(signature: str, signers: str) -> str:
    """Who has the signature's key, after the allowed signers."""
    code, printed = ssh_keygen("-Y", "find-principals", "-s", signature, "-f", signers)
    names = [name for line in printed.splitlines() for name in line.strip().split(",")]
    found = next((name for name in names if name and not name.startswith("!")), "")
    if code != 0 or not found:
        reason = one_line(printed, 200) or "no such key"
        raise BundleError(
            f"no allowed signer made the signature: {reason}", hint=f"the allowed keys stand in {signers}"
        )
    return found
