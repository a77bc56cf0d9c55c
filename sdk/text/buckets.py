"""Buckets: the lengths that an artifact of a format with fixed shapes is made for, and feeds padded to one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import EngineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["MOST_ROWS", "USUAL_LENGTH", "buckets", "check_buckets", "pad", "pick", "rows"]

_SHORTEST = 16
"""A choice: a short sentence with its two special tokens."""
MOST_ROWS = 8
"""A choice, where an engine is planned for a range of shapes: small batches; memory is set aside for all rows."""
USUAL_LENGTH = 64
"""A choice, where such an engine's kernels are tuned for one length: a sentence or two."""


def buckets(max_length: int) -> tuple[int, ...]:
    """16, 32, 64 and so on below `max_length`, then `max_length`: no text is padded to more than twice its length."""
    found = []
    length = _SHORTEST
    while length < max_length:
        found.append(length)
        length *= 2
    return (*found, max_length)


def check_buckets(chosen: Sequence[int], max_length: int) -> None:
    """Raise UsageError where they are not some of a model's buckets, or lack the longest: every text must fit one."""
    every = buckets(max_length)
    if chosen and (not set(chosen) <= set(every) or max(chosen) != max_length):
        given = "+".join(map(str, chosen))
        hint = f"take some of {', '.join(map(str, every))}, {max_length} among them"
        raise UsageError(f"buckets {given} were asked of a model of {max_length} tokens", hint=hint)


def pick(lengths: Sequence[int], length: int) -> int:
    """The smallest of the ascending `lengths` that holds `length` tokens. Raises EngineError."""
    for bucket in lengths:
        if bucket >= length:
            return bucket
    raise EngineError(f"a text has {length} tokens, the artifact takes at most {lengths[-1]}", hint="cut the text")


def rows(feeds: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, NDArray[Any]]]:
    """Each row of a batch, arrays (1, length), without its padding where a mask tells."""
    mask = feeds.get("attention_mask")
    for at in range(len(next(iter(feeds.values())))):
        # Up to the last real token: a mask may have holes
        end = None if mask is None else int(np.flatnonzero(mask[at]).max(initial=0)) + 1
        yield {name: array[at : at + 1, :end] for name, array in feeds.items()}


def pad(array: NDArray[Any], length: int, dtype: Any) -> NDArray[Any]:
    """(1, n) -> (1, length) of `dtype`, zeros at the end: a mask of zeros hides what stands there."""
    padded = np.zeros((1, length), dtype)
    padded[:, : array.shape[1]] = array
    return padded
