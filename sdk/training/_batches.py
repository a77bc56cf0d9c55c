"""Batches of rows of about the same length, in an order that a seed and the number of the pass give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgewright.training.corpus import Corpus, Row

__all__ = ["Grouped", "Rows", "collate"]

_POOL = 50
"""Batches sorted by length together: a choice, little padding in them, and still other neighbours each epoch."""


class Rows(Dataset):  # type: ignore[misc]  # torch is not followed
    """A corpus as transformers' Trainer reads it; `answers` are a teacher's, a tuple of arrays for each row."""

    def __init__(self, corpus: Corpus, per_token: bool, answers: Any = None) -> None:  # noqa: FBT001 - a fact
        self.corpus, self.per_token, self.answers = corpus, per_token, answers

    def __len__(self) -> int:
        return len(self.corpus)

    def __getitem__(self, at: int) -> tuple[int, Row, Any, bool]:
        return at, self.corpus[at], self.answers[at] if self.answers else (), self.per_token


class Grouped(Sampler):  # type: ignore[misc]
    """All rows once: shuffled, sorted by length in pools of 50 batches, and whole batches shuffled again.

    A short batch comes last, so that no cut moves. Padding then takes a few percent instead of half of the tokens.
    """

    def __init__(self, lengths: NDArray[np.int64], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Which pass comes next: each has an order of its own, the same whenever it is asked for."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.lengths))
        pool = _POOL * self.batch
        pools = (order[at : at + pool] for at in range(0, len(order), pool))
        order = np.concatenate([rows[np.argsort(self.lengths[rows], kind="stable")] for rows in pools])
        whole = len(order) - len(order) % self.batch
        batches = order[:whole].reshape(-1, self.batch)[rng.permutation(whole // self.batch)]
        yield from batches.flatten().tolist()
        yield from order[whole:].tolist()


def collate(rows: Sequence[tuple[int, Row, Any, bool]]) -> dict[str, Any]:
    """Rows -> tensors, padded to the longest row.

    `input_ids`, `attention_mask` (bool) and `token_type_ids` (rows, length), `labels` the targets, `teacher` a tuple,
    `rows` their numbers. Padding has the id 0, which no output depends on.
    """
    longest = max(len(row.ids) for _, row, _, _ in rows)

    def padded(arrays: Sequence[Any], fill: float) -> Any:
        out = np.full((len(arrays), longest, *arrays[0].shape[1:]), fill, arrays[0].dtype)
        for target, array in zip(out, arrays, strict=True):
            target[: len(array)] = array
        return torch.from_numpy(out)

    def stacked(arrays: Sequence[Any], fill: float) -> Any:
        return padded(arrays, fill) if rows[0][3] else torch.from_numpy(np.stack(arrays))

    return {
        "input_ids": padded([row.ids for _, row, _, _ in rows], 0),
        "attention_mask": padded([np.ones(len(row.ids), bool) for _, row, _, _ in rows], 0),
        "token_type_ids": padded([row.types for _, row, _, _ in rows], 0),
        "labels": stacked([row.target for _, row, _, _ in rows], -100),
        "teacher": tuple(_teacher(list(side), longest) for side in zip(*(row[2] for row in rows), strict=True)),
        "rows": torch.tensor([at for at, _, _, _ in rows]),
    }


def _teacher(arrays: list[Any], longest: int) -> Any:
    """One of a teacher's outputs for a batch: (rows, ...) or, where it is one for each token, (rows, length, ...)."""
    shape = arrays[0].shape
    if any(array.shape != shape for array in arrays):
        shape = (longest, *shape[1:])
    out = np.zeros((len(arrays), *shape), np.float32)
    for target, array in zip(out, arrays, strict=True):
        target[: len(array)] = array
    return torch.from_numpy(out)
