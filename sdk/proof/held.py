"""What the gate found of an artifact that passed it, or was kept in spite of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgewright.bundle.manifest import Decoding, Parity, Score, Shortlisted, TensorSpec

__all__ = ["Held"]


@dataclass(frozen=True)
class Held:
    """An artifact's signature, and how it stands beside the eager model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parity: Parity
    score: Score | None = None
    decoding: Decoding | None = None
    shortlist: Shortlisted | None = None
