"""Random texts for what is measured on a model's activations, beside the real ones that a build is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    _Array: TypeAlias = npt.NDArray[Any]

__all__ = ["random_feeds"]

_MIN_ROWS = 16
"""A table with fewer rows holds token types, of which zero is the usual one."""


def random_feeds(tables: Mapping[str, int]) -> list[dict[str, _Array]]:
    """32 batches of int64 (8, 16): random ids where an input indexes a table (name -> rows), token types 0, masks 1."""
    import numpy as np

    rng, shape = np.random.default_rng(0), (8, 16)
    return [
        {
            name: rng.integers(0, rows, shape) if rows > _MIN_ROWS else np.full(shape, int(rows == 0))
            for name, rows in tables.items()
        }
        for _ in range(32)
    ]
