"""Lists of named arrays in one .npz file: how batches and outputs pass between a parent and its children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import ChildFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["load", "save"]


def save(path: Path, batches: Sequence[dict[str, NDArray[Any]]]) -> None:
    """Write `batches`; `load` gives back equal ones in the same order."""
    flat = {f"{at}/{name}": array for at, batch in enumerate(batches) for name, array in batch.items()}
    with path.open("wb") as file:
        np.savez(file, **flat)  # type: ignore[arg-type]  # numpy types the values and allow_pickle alike


def load(path: Path) -> list[dict[str, NDArray[Any]]]:
    """Read what `save` wrote; pickled objects are refused.

    Raises:
        ChildFailed: it is not whole, as what a process leaves that died while it wrote.
    """
    batches: dict[int, dict[str, NDArray[Any]]] = {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            for key in stored.files:
                at, _, name = key.partition("/")
                batches.setdefault(int(at), {})[name] = stored[key]
    except Exception as error:  # of a dozen kinds, as of any torn archive
        raise ChildFailed(f"the arrays in {path.name} are not whole: {type(error).__name__}: {error}") from error
    return [batches[at] for at in sorted(batches)]
