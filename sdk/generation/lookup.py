"""Guessing what comes next from what came before: prompt lookup, which needs no second model.

Where the last tokens stood in the text already, what followed them there is read along with the next token, and kept as
far as the model agrees (speculative decoding, arXiv 2211.17192, with the guesses of n-grams).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["drafted"]

_LONGEST, _SHORTEST = 3, 2
"""Tokens that must be the same: three guess best, two often enough (transformers' prompt lookup takes up to 2)."""


def drafted(tokens: Sequence[int], most: int, room: int) -> list[int]:
    """Up to `most` tokens that came after the last ones the last time, [] where they are new."""
    for size in range(_LONGEST, _SHORTEST - 1, -1):
        tail = list(tokens[-size:])
        for at in range(len(tokens) - size - 1, -1, -1):
            if tokens[at] == tail[0] and list(tokens[at : at + size]) == tail:
                return list(tokens[at + size : at + size + min(most, room)])
    return []
