"""What a source's own library says to the same texts: asked where the eager model is, judged by a gate."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

__all__ = ["Asked", "Told", "ToldRow"]


class Asked(Struct, frozen=True):
    """The items of the gate and the first of the labelled rows.

    Attributes:
        items: a text, two as a list, or an object of what a task asks.
        batch: places of items that make one padded batch.
    """

    items: tuple[Any, ...]
    batch: tuple[int, ...] = ()


class ToldRow(Struct, frozen=True):
    """What the library makes of one item.

    Attributes:
        ids: token ids as its tokenizer gives them, cut where it cuts; several lists for the windows of a long context.
        types: segment ids; None where its tokenizer gives the model none.
        answer: what its pipeline answers, as plain JSON values.
    """

    ids: tuple[tuple[int, ...], ...]
    types: tuple[tuple[int, ...], ...] | None
    answer: Any


class Told(Struct, frozen=True):
    """All of it.

    Attributes:
        library: what answered, with its version.
        rows: one for each item.
        batch: the padded ids of `Asked.batch`.
        length: where it cuts.
        tokenizer: its tokenizer as tokenizer.json would say it, to tell what differs.
        sides: of cutting and padding.
    """

    library: str
    rows: tuple[ToldRow, ...]
    batch: tuple[tuple[int, ...], ...]
    length: int
    tokenizer: str
    sides: tuple[str, str]
