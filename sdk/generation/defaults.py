"""How a model's own files say that it generates: the tokens that end an answer, and how tokens are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from edgewright.errors import SourceError
from edgewright.generation.sampling import Sampling
from edgewright.system.files import read_capped
from edgewright.system.untrusted import MAX_JSON_BYTES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FILE", "Defaults"]

FILE = "generation_config.json"


@dataclass(frozen=True)
class Defaults:
    """Of a model.

    Attributes:
        ends: ids of the tokens that end an answer, any of them.
        sampling: how tokens are chosen where nothing else is asked.
    """

    ends: frozenset[int]
    sampling: Sampling

    @classmethod
    def of(cls, directory: Path) -> Defaults:
        """What generation_config.json says, and where it says nothing config.json. Raises SourceError."""
        own, model = _read(directory / FILE), _read(directory / "config.json")
        ends = own.get("eos_token_id", model.get("eos_token_id"))
        listed = ends if isinstance(ends, list) else [ends]
        return cls(frozenset(end for end in listed if type(end) is int), Sampling.of(own))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = msgspec.json.decode(read_capped(path, MAX_JSON_BYTES, SourceError))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}
