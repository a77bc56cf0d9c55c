"""Encoder-decoders that read one source at a time, whose keys and values are arrays of ours.

An artifact takes a step of one row or of as many as it has beams; the rows of a source are put together in such groups.
What a step adds to keys and values comes out of it, and is written into the slot of the next token here.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.contracts.encoder_decoder import EncoderDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Arrays = Sequence[NDArray[np.float32]]

__all__ = ["Group", "OneSourceTranslator"]


@dataclass
class Group:
    """Some rows of a source, stepped together.

    Attributes:
        cross: the keys and values of the source, as the engine left them.
        rows: how many the step takes; `used` how many of them are wanted.
        slots: of `past`, the keys and values of what was written: (rows, heads, slots, head_dim) for each.
        given: what the engine made of both for its steps.
    """

    cross: Any
    rows: int
    used: int
    slots: int = 0
    past: Arrays = ()
    given: Any = field(default=None, repr=False)


class OneSourceTranslator(EncoderDecoder):
    """An engine writes `_read`, `_room`, `_bind` and `_advance`.

    Args:
        beams: rows of the step for more than one.
        shapes: heads and head_dim of each array of keys or values.
    """

    def __init__(self, vocabulary: int, context: int, *, beams: int, shapes: Sequence[tuple[int, int]]) -> None:
        super().__init__(vocabulary, context)
        self._beams, self._shapes = beams, shapes
        self._groups: list[list[Group]] = []

    @abstractmethod
    def _read(self, ids: NDArray[np.int64]) -> Any:
        """The keys and values of a source of tokens (n,)."""

    @abstractmethod
    def _room(self, cross: Any, steps: int) -> int:
        """How many slots hold so many steps, and the source beside them where both have one room."""

    @abstractmethod
    def _bind(self, group: Group) -> Any:
        """What the steps of a group are given, once its slots are new."""

    @abstractmethod
    def _advance(self, group: Group, tokens: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A step of tokens (rows,): logits (rows, vocabulary), and what it adds (arrays, rows, heads, head_dim)."""

    def _begin(self, ids: NDArray[np.int64], mask: NDArray[np.int64], beams: int) -> None:
        rows = 1 if beams == 1 else self._beams
        self._groups = []
        for source, real in zip(ids, mask, strict=True):
            cross = self._read(source[real == 1])
            used = [min(rows, beams - at) for at in range(0, beams, rows)]
            self._groups.append([Group(cross, rows, count) for count in used])
        self._logits = np.empty((len(ids) * beams, self.vocabulary), np.float32)

    def _step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        at = 0
        for group in (group for source in self._groups for group in source):
            self._reserve(group)
            given = np.zeros(group.rows, np.int64)
            given[: group.used] = tokens[at : at + group.used]
            logits, new = self._advance(group, given)
            self._logits[at : at + group.used] = logits[: group.used]
            for array, part in zip(group.past, new, strict=True):
                array[:, :, self.length] = part
            at += group.used
        return self._logits[:at]

    def _reserve(self, group: Group) -> None:
        """Room for another token, what is there kept."""
        if self.length < group.slots:
            return
        slots, before = self._room(group.cross, self.length + 1), group.past
        group.past = [np.zeros((group.rows, heads, slots, width), np.float32) for heads, width in self._shapes]
        group.slots = slots
        for array, earlier in zip(group.past, before, strict=bool(before)):
            array[:, :, : self.length] = earlier[:, :, : self.length]
        group.given = self._bind(group)

    def _reorder(self, rows: NDArray[np.int64]) -> None:
        at = 0
        for groups in self._groups:
            count = sum(group.used for group in groups)
            self._reorder_source(groups, rows[at : at + count] - at)
            at += count

    def _reorder_source(self, groups: Sequence[Group], rows: NDArray[np.int64]) -> None:
        moved = np.flatnonzero(rows != np.arange(len(rows)))
        if not len(moved):
            return
        for arrays in zip(*(group.past for group in groups), strict=True):
            came = [arrays[row // self._beams][row % self._beams, :, : self.length].copy() for row in rows[moved]]
            for row, part in zip(moved, came, strict=True):
                arrays[row // self._beams][row % self._beams, :, : self.length] = part

    def _keep(self, sources: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
        del rows
        self._groups = [self._groups[at] for at in sources]
        return True
