"""Several items as programs have them: lists, generators, and columns of NumPy, pandas, Polars and Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewright.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["several"]

_LISTS = ("tolist", "to_list", "to_pylist")
"""What gives the values of a column as a list: of NumPy and pandas, of Polars, of Arrow."""


def several(items: Any) -> Iterable[Any] | None:
    """What gives items one by one, None where `items` is itself one. No library is imported to tell its arrays.

    Raises:
        DataError: it is a table, or an array of another number of dimensions than one.
    """
    if isinstance(items, (str, bytes, dict, tuple, set, frozenset)) or not hasattr(items, "__iter__"):
        return None
    shape = getattr(items, "shape", (0,))
    if len(shape) != 1:
        what = f"a {type(items).__name__} of the shape {tuple(shape)} is no column of texts"
        raise DataError(what, hint='give one column; pairs as [{"text": ..., "text_pair": ...}, ...]')
    way = next((name for name in _LISTS if hasattr(items, name)), None)
    return getattr(items, way)() if way else items  # type: ignore[no-any-return]
