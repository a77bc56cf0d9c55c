"""JSON and file names that came from elsewhere, read with distrust.

Standard library alone, for Python 3.9 on: a board reads manifests with these very functions.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from edgewright.errors import BundleError

__all__ = [
    "MAX_FILES",
    "MAX_JSON_BYTES",
    "MAX_JSON_ITEMS",
    "MAX_SIGNATURE_BYTES",
    "check_path",
    "encodable",
    "json_or_none",
    "strict_json",
]

MAX_JSON_BYTES = 16 * 2**20
"""A choice: room for golden cases with their outputs, little enough that parsing it fits a small board."""
MAX_JSON_ITEMS = 2**20
"""A choice: 16 MiB of the shortest values would take 500 MiB as Python's objects, so many take some 100; golden cases
with a thousand outputs each have a tenth of it."""
MAX_FILES = 4096
"""A choice: a bundle of every format at every precision has under a hundred files."""
MAX_SIGNATURE_BYTES = 16 * 2**10
"""A choice: a signature of ssh-keygen has under 2 kB, with an RSA key of 4096 bits too."""


def strict_json(data: bytes, name: str, *, halves: bool = False) -> Any:
    """JSON with no duplicate keys, no NaN or infinity, no character that UTF-8 has not, bounded in bytes and items.

    Args:
        data: the JSON, in UTF-8.
        name: what to call it in messages.
        halves: whether an escape may be half of a surrogate pair: in a text that is asked it counts as U+FFFD.

    Raises:
        BundleError: it is not, or more than `MAX_JSON_BYTES` or `MAX_JSON_ITEMS`.
    """
    if len(data) > MAX_JSON_BYTES:
        raise BundleError(f"{name} has {len(data)} bytes, at most {MAX_JSON_BYTES} are read")
    items = sum(map(data.count, (b",", b"[", b"{", b":")))  # those in texts too: more than there are, never fewer
    if items > MAX_JSON_ITEMS:
        raise BundleError(f"{name} has {items} items, at most {MAX_JSON_ITEMS} are read")
    try:
        # decoded here: for bytes, Python's JSON guesses an encoding, and lets halves of surrogate pairs through
        tree = _STRICT.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name} is not acceptable JSON: {error}") from error
    if not halves and b"\\u" in data and not encodable(tree):
        raise BundleError(f"{name} is not acceptable JSON: it holds half of a surrogate pair, which no text can")
    return tree


def json_or_none(data: bytes | str) -> Any:
    """What JSON says, None where it is none: for what may be torn, and was ours."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):  # nested ten thousand times it is no ValueError
        return None


def encodable(tree: Any) -> bool:
    """Whether every text in what JSON gave can be written as UTF-8: half of a surrogate pair, escaped, cannot."""
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def check_path(path: str, *, pattern: re.Pattern[str] = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")) -> str:
    """A relative path of plain names joined by `/`, returned as it is.

    Raises:
        BundleError: absolute, `..`, hidden, empty or unusual parts.
    """
    parts = path.split("/")
    if len(path) > 200 or len(parts) > 4 or not all(pattern.fullmatch(part) for part in parts):
        raise BundleError(
            f"file name {path!r} is not allowed in a bundle", hint="letters, digits, '.', '_', '-', '/' only"
        )
    return path


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice!r} stands twice in one object")
    return tree


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text} is out of range")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
"""Made once: for a short request that takes longer than reading it."""
