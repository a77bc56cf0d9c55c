"""Who signed some bytes: signatures of OpenSSH (PROTOCOL.sshsig), checked by `ssh-keygen -Y` and no code of our own.

A file of signatures holds one or several, one behind the other. Standard library alone, for Python 3.9 on: a board that
has its owner's keys checks with this very module.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgewright.errors import BundleError, MissingExtra, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NAMESPACE", "Signers", "signatures_in", "ssh_keygen", "who_signed"]

NAMESPACE = "edgewright-bundle"
"""A signature is good for this purpose alone: one of the same key over an e-mail or a commit is none over a bundle."""

_TIMEOUT_S = 30.0
"""A choice: signing takes milliseconds, but a key in an agent may wait for a touch."""
_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
"""How ssh-keygen begins each."""
_MOST = 16
"""A choice: each costs two processes, and no owner asks for so many."""


class Signers(NamedTuple):
    """Whose signatures count.

    Attributes:
        allowed: the text of an allowed signers file (ssh-keygen(1), ALLOWED SIGNERS).
        revoked: that of a key revocation list, or of a file of revoked public keys; empty for none.
        threshold: of how many keys signatures are needed.
        where: the file where the keys stand, for messages.
    """

    allowed: bytes
    revoked: bytes = b""
    threshold: int = 1
    where: str = "the allowed signers"


def ssh_keygen(*arguments: str, stdin: bytes = b"", inherit: tuple[int, ...] = ()) -> tuple[int, str]:
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
            pass_fds=inherit,
        )
    except FileNotFoundError as error:
        raise MissingExtra("ssh-keygen is not installed", hint="run: apt install openssh-client") from error
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"ssh-keygen took longer than {_TIMEOUT_S:g} s and was ended") from error
    printed = done.stdout if done.returncode == 0 else done.stdout + done.stderr
    return done.returncode, printed.decode(errors="replace")


def signatures_in(data: bytes) -> list[bytes]:
    """The signatures in a file of them; one that does not begin as such stands alone, for ssh-keygen to refuse."""
    first, *others = data.split(_BEGIN)
    return [*([first] if first.strip() else []), *(_BEGIN + other for other in others)]


def who_signed(data: bytes, signatures: bytes, signers: Signers, namespace: str = NAMESPACE) -> str:
    """Who of `signers` signed these very bytes, as many as are needed; a key counts once, whatever its names.

    Args:
        data: what is signed, such as the bytes of manifest.json.
        signatures: those of manifest.json.sig.
        signers: whose signatures count.
        namespace: the purpose that they are good for.

    Raises:
        BundleError: too few signatures: none, another key's, another purpose's, over other bytes, of a revoked key.
        MissingExtra: ssh-keygen is not installed.
    """
    each = signatures_in(signatures)
    if not each:
        hint = "run: edgewright sign BUNDLE --key KEY"
        raise BundleError("the bundle is not signed, and a signature is required", hint=hint)
    if len(each) > _MOST:
        raise BundleError(f"there are {len(each)} signatures, at most {_MOST} are read")
    found: dict[str, str] = {}
    problems = []
    for signature in each:
        try:
            name, key = _signed(data, signature, signers, namespace)
        except BundleError as error:
            problems.append(error)
        else:
            found.setdefault(key, name)
    names = ", ".join(found.values())
    if len(found) >= signers.threshold:
        return names
    if problems:
        raise problems[0]
    what = f"{signers.threshold} keys have to sign, {len(found)} did: {names}"
    raise BundleError(what, hint="let another one sign it too: edgewright sign BUNDLE --add --key KEY")


def _signed(data: bytes, signature: bytes, signers: Signers, namespace: str) -> tuple[str, str]:
    """The name and the fingerprint of the key that made a signature. Raises BundleError."""
    given = (signature, signers.allowed, *([signers.revoked] if signers.revoked else []))
    with _as_files(given) as (paths, handles):
        principal = _principal(paths[0], paths[1], signers.where, handles)
        words = ["-Y", "verify", "-n", namespace, "-f", paths[1], "-I", principal, "-s", paths[0]]
        revoked = ["-r", paths[2]] if signers.revoked else []
        code, printed = ssh_keygen(*words, *revoked, stdin=data, inherit=handles)
    if code != 0:
        what = f"the signature of {principal} does not hold: {one_line(printed, 200)}"
        raise BundleError(what, hint="what it is over was changed, or signed for another purpose, or the key revoked")
    return principal, printed.split()[-1]  # Good "..." signature for NAME with ED25519 key SHA256:...


def _principal(signature: str, signers: str, where: str, handles: tuple[int, ...]) -> str:
    """Who has the signature's key, after the allowed signers."""
    code, printed = ssh_keygen("-Y", "find-principals", "-s", signature, "-f", signers, inherit=handles)
    names = [name for line in printed.splitlines() for name in line.strip().split(",")]
    found = next((name for name in names if name and not name.startswith("!")), "")
    if code != 0 or not found:
        reason = one_line(printed, 200) or "no such key"
        raise BundleError(f"no allowed signer made the signature: {reason}", hint=f"the allowed keys stand in {where}")
    return found


@contextmanager
def _as_files(given: tuple[bytes, ...]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Paths by which a program that inherits the handles reads some bytes: from memory, as a disk may take nothing."""
    if not (hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()):
        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            paths = [Path(scratch, str(at)) for at in range(len(given))]
            for path, data in zip(paths, given):  # noqa: B905 - from Python 3.10 on
                path.write_bytes(data)
            yield list(map(str, paths)), ()
        return
    handles: list[int] = []
    try:
        for data in given:
            handles.append(os.memfd_create("edgewright"))
            with open(handles[-1], "wb", closefd=False) as file:
                file.write(data)
        yield [f"/proc/self/fd/{handle}" for handle in handles], tuple(handles)
    finally:
        for handle in handles:
            with suppress(OSError):
                os.close(handle)
