"""What a board reads of a bundle's manifest: the names, sizes and hashes of its files, its version, whom it is for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Optional

from edgewright.errors import BundleError
from edgewright.system.untrusted import MAX_FILES, MAX_SIGNATURE_BYTES, check_path, strict_json

__all__ = ["MANIFEST", "SIGNATURE", "Part", "Release", "Target"]

MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
_SCHEMA = 1
"""The newest manifest that is read: that of sdk/bundle/manifest.py, which does not travel to boards."""


@dataclass(frozen=True)
class Part:
    """A file of a bundle."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Target:
    """The boards that a bundle is for, as `edgewright.bundle.manifest.Target`."""

    models: tuple[str, ...]
    architectures: tuple[str, ...]
    fleets: tuple[str, ...]
    until: Optional[int]  # noqa: UP045


@dataclass(frozen=True)
class Release:
    """A bundle as it is installed: the manifest's own bytes, its signature (empty without one), and what it lists.

    largest_bytes is the size of its largest artifact; formats are those of its artifacts, by their paths; target is
    None where it is for any board.
    """

    manifest: bytes
    signature: bytes
    version: int
    parts: tuple[Part, ...]
    largest_bytes: int
    formats: tuple[tuple[str, str], ...]
    target: Optional[Target] = None  # noqa: UP045

    @property
    def digest(self) -> str:
        """SHA-256 over manifest and signature: two releases with the same one are the same, byte for byte."""
        return hashlib.sha256(self.manifest + b"\0" + self.signature).hexdigest()

    def is_called(self, name: str) -> bool:
        """Whether a release's name is one of this release's."""
        return name.endswith(f"-{self.digest[:12]}")

    @classmethod
    def read(cls, manifest: bytes, signature: bytes) -> Release:
        """Read a manifest.

        Raises:
            BundleError: too large, a newer schema, or a name, size, hash or version that cannot be.
        """
        if len(signature) > MAX_SIGNATURE_BYTES:
            raise BundleError(f"{SIGNATURE} has {len(signature)} bytes, at most {MAX_SIGNATURE_BYTES} are read")
        tree = strict_json(manifest, MANIFEST)
        _check_schema(tree)
        count = len(_entries(tree, "artifacts")) + len(_entries(tree, "files"))
        if count > MAX_FILES:
            raise BundleError(f"{MANIFEST} lists {count} files, a bundle has at most {MAX_FILES}")
        artifacts = [_part(entry, f"artifacts[{i}]") for i, entry in enumerate(_entries(tree, "artifacts"))]
        others = [_part(entry, f"files[{i}]") for i, entry in enumerate(_entries(tree, "files"))]
        parts = (*artifacts, *others)
        folded = [part.path.casefold() for part in parts]
        if len(set(folded)) != len(folded) or {MANIFEST, SIGNATURE} & set(folded):
            raise BundleError(f"{MANIFEST} lists a name twice, or itself")
        version = _count(tree.get("version", 0), "version")
        largest = max((artifact.size_bytes for artifact in artifacts), default=0)
        formats = tuple((part.path, _format(entry)) for part, entry in zip(artifacts, tree["artifacts"]))  # noqa: B905
        return cls(manifest, signature, version, parts, largest, formats, _target(tree.get("target")))


def _check_schema(tree: Any) -> None:
    schema = tree.get("schema") if isinstance(tree, dict) else None
    if type(schema) is not int or schema < 1:
        raise BundleError(f"{MANIFEST} has no schema")
    if schema > _SCHEMA:
        what = f"{MANIFEST} has schema {schema}, this edgewright reads up to {_SCHEMA}"
        raise BundleError(what, hint="upgrade edgewright")


def _entries(tree: dict[str, Any], name: str) -> list[Any]:
    found = tree.get(name)
    if not isinstance(found, list):
        raise BundleError(f"{MANIFEST}: expected a list - at `$.{name}`")
    return found


def _part(entry: Any, where: str) -> Part:
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise BundleError(f"{MANIFEST}: expected a file with a path - at `$.{where}`")
    digest = entry.get("sha256")
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise BundleError(f"{MANIFEST}: expected a SHA-256 - at `$.{where}.sha256`")
    return Part(check_path(entry["path"]), _count(entry.get("size_bytes"), f"{where}.size_bytes"), digest)


def _format(entry: dict[str, Any]) -> str:
    found = entry.get("format")
    if not isinstance(found, str):
        raise BundleError(f"{MANIFEST}: {entry['path']} has no format")
    return found


def _target(tree: Any) -> Target | None:
    """Raises BundleError: what this board's part does not know may not be overlooked."""
    if tree is None:
        return None
    names = ("models", "architectures", "fleets")
    if not isinstance(tree, dict) or set(tree) != {*names, "until"}:
        raise BundleError(f"{MANIFEST}: a target that is not understood - at `$.target`", hint="upgrade edgewright")
    for name in names:
        if not isinstance(tree[name], list) or not all(isinstance(word, str) for word in tree[name]):
            raise BundleError(f"{MANIFEST}: expected a list of words - at `$.target.{name}`")
    until = None if tree["until"] is None else _count(tree["until"], "target.until")
    models, architectures, fleets = (tuple(tree[name]) for name in names)
    return Target(models, architectures, fleets, until)


def _count(value: Any, where: str) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise BundleError(f"{MANIFEST}: expected a whole number from 0 - at `$.{where}`")
    return value
