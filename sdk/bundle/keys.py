"""A root of keys: who may sign, of how many keys a signature is needed, and how one root hands over to the next.

    {"schema": 1, "roots": [{"root": TEXT, "signatures": SSH SIGNATURES}, ...]}
    TEXT: {"version": 2, "threshold": 1, "keys": {"alice@example.org": "ssh-ed25519 AAAA..."}}

A root follows another one whose version is one less, if as many keys of the other and of its own signed its text as
each asks for: so a new key is signed by the old ones, and whoever has the first root can go on to the last. The bytes
that are signed are those of the text, which is kept as it is. The version only grows; a bundle may say until which one
it is good, as boards know no date. After The Update Framework's root role (TUF specification 1.0, section 5.3), with
one role for everything. Standard library alone, for Python 3.9 on: boards read roots with this very module.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from edgewright.bundle.sshsig import Signers, who_signed
from edgewright.errors import BundleError
from edgewright.system.untrusted import MAX_SIGNATURE_BYTES, strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MAX_KEYS_BYTES", "NAMESPACE", "Root", "check_signed", "followed", "read_roots", "text_of", "written"]

NAMESPACE = "edgewright-keys"
"""A signature over a root is none over a bundle."""
MAX_KEYS_BYTES = 2**20
"""A choice: a thousand keys, or as many rotations, are well below."""
_SCHEMA = 1
"""The first one; it goes up when an older reader would misread a root."""
_MOST_KEYS = 64
"""A choice: people who may sign are few."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,63}")
"""No comma, star, space or quote, which mean something in a file of allowed signers."""
_KEY = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]{1,60} [A-Za-z0-9+/]{40,2000}={0,2}")
"""A public key as ssh-keygen writes it, without its comment."""


class Root(NamedTuple):
    """One root, which its text says, and the signatures over that."""

    text: str
    signatures: str
    version: int
    threshold: int
    keys: dict[str, str]

    @classmethod
    def of(cls, text: str, signatures: str, name: str) -> Root:
        """Read the text of a root. Raises BundleError."""
        tree = strict_json(text.encode(), f"{name}: a root")
        if not isinstance(tree, dict) or set(tree) != {"version", "threshold", "keys"}:
            raise BundleError(f"{name}: a root has a version, a threshold and keys, and nothing else")
        version, threshold, keys = tree["version"], tree["threshold"], tree["keys"]
        if not isinstance(keys, dict) or not 0 < len(keys) <= _MOST_KEYS:
            raise BundleError(f"{name}: a root has from 1 to {_MOST_KEYS} keys")
        for who, key in keys.items():
            if not _NAME.fullmatch(who) or not isinstance(key, str) or not _KEY.fullmatch(key):
                raise BundleError(f"{name}: {who!r} is no name, or has no public key")
        if len(set(keys.values())) < len(keys):
            raise BundleError(f"{name}: a key stands there under two names")
        if type(version) is not int or not 0 < version < 2**53:
            raise BundleError(f"{name}: version {version!r} is no whole number from 1")
        if type(threshold) is not int or not 0 < threshold <= len(keys):
            raise BundleError(f"{name}: threshold {threshold!r} is no whole number from 1 to {len(keys)}, its keys")
        return cls(text, signatures, version, threshold, keys)

    def record(self) -> dict[str, int | dict[str, str]]:
        """What it says, for people."""
        return {"version": self.version, "threshold": self.threshold, "keys": dict(self.keys)}

    def signers(self, where: str, revoked: bytes = b"") -> Signers:
        """Its keys, as those that may sign bundles and the next root."""
        lines = (f'{who} namespaces="edgewright-*" {key}\n' for who, key in self.keys.items())
        return Signers("".join(lines).encode(), revoked, self.threshold, where)


def text_of(version: int, threshold: int, keys: dict[str, str]) -> str:
    """The text of a root."""
    return json.dumps({"version": version, "threshold": threshold, "keys": keys}, sort_keys=True)


def written(roots: Sequence[Root]) -> bytes:
    """A file of roots. Law: `read_roots(written(r), "") == r`."""
    each = [{"root": root.text, "signatures": root.signatures} for root in roots]
    return json.dumps({"schema": _SCHEMA, "roots": each}, indent=1).encode() + b"\n"


def read_roots(data: bytes, name: str) -> list[Root]:
    """The roots in a file of them, oldest first; whether one follows the other is not looked at.

    Raises:
        BundleError: it is no such file, or of a newer edgewright.
    """
    if len(data) > MAX_KEYS_BYTES:
        raise BundleError(f"{name} has {len(data)} bytes, at most {MAX_KEYS_BYTES} are read")
    tree = strict_json(data, name)
    schema = tree.get("schema") if isinstance(tree, dict) else None
    if type(schema) is int and schema > _SCHEMA:
        what = f"{name} has schema {schema}, this edgewright reads up to {_SCHEMA}"
        raise BundleError(what, hint="upgrade edgewright")
    listed = tree.get("roots") if isinstance(tree, dict) else None
    if schema != _SCHEMA or not isinstance(listed, list) or not listed:
        raise BundleError(f"{name} is no file of roots of keys", hint="edgewright keys rotate makes one")
    roots = [_root(entry, name) for entry in listed]
    if any(after.version != before.version + 1 for before, after in zip(roots, roots[1:])):  # noqa: B905, RUF007
        versions = ", ".join(str(root.version) for root in roots)
        raise BundleError(f"{name} holds the versions {versions}, which are not one after the other")
    return roots


def _root(entry: Any, name: str) -> Root:
    text, signatures = (entry.get("root"), entry.get("signatures")) if isinstance(entry, dict) else (None, None)
    if not isinstance(text, str) or not isinstance(signatures, str) or len(signatures) > MAX_SIGNATURE_BYTES:
        raise BundleError(f"{name}: expected a root and its signatures, of at most {MAX_SIGNATURE_BYTES} bytes")
    return Root.of(text, signatures, name)


def followed(known: Root, sent: Sequence[Root], revoked: bytes = b"", who: Callable[..., str] = who_signed) -> Root:
    """The newest of the roots that were sent, reached from the one that is known step by step.

    Args:
        known: the root that is trusted.
        sent: roots, oldest first.
        revoked: keys whose signatures do not count, see `edgewright.bundle.sshsig.Signers`.
        who: what tells who signed, as `edgewright.bundle.sshsig.who_signed`.

    Raises:
        BundleError: a step is missing, or a root has too few signatures of the one before it or of its own.
    """
    same = next((root for root in sent if root.version == known.version), known)
    if same.text != known.text:
        raise BundleError(
            f"another root of version {known.version} is known here", hint="ask who signs for the right one"
        )
    if sent[-1].version < known.version:
        what = f"the newest root that was sent has version {sent[-1].version}, here is version {known.version}"
        raise BundleError(what, hint="versions never go down")
    for root in sent:
        if root.version > known.version + 1:
            what = f"root {root.version} was sent, {known.version} is known here, and none between them"
            raise BundleError(what, hint="send the file with all of them")
        if root.version == known.version + 1:
            for signers in (known, root):
                check_signed(root, signers, revoked, who)
            known = root
    return known


def check_signed(root: Root, by: Root, revoked: bytes = b"", who: Callable[..., str] = who_signed) -> None:
    """Raise BundleError where a root has too few signatures of another one's keys."""
    try:
        who(root.text.encode(), root.signatures.encode(), by.signers(f"root {by.version}", revoked), NAMESPACE)
    except BundleError as error:
        what = f"root {root.version} is not signed as root {by.version} asks for: {error.message}"
        hint = f"{by.threshold} of its keys sign it: edgewright keys sign FILE --key KEY"
        raise BundleError(what, hint=hint) from error
