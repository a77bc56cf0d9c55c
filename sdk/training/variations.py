"""More rows for a teacher to answer: words swapped for near ones, sentences joined.

The data augmentation of TinyBERT (Jiao et al., arXiv 1909.10351, section 3.2) with the nearest word embeddings alone.
A near word may say the opposite, so a variation has no label: the teacher answers what comes out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewright.data import rows as data
from edgewright.errors import UsageError
from edgewright.tasks import Example

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgewright.tasks import Task

__all__ = ["Variations", "neighbours"]

_NEAREST = 15
"""A choice, as the 15 candidates of TinyBERT's augmentation (Jiao et al. 2020)."""
_JOINED = 0.3
"""A choice: most texts stay one, and some become as long as the longest."""
_RATES = (0.1, 0.3, 0.5)
"""Of words replaced: a choice, from nearly the same to hardly the same, for a teacher labels each anew."""
_HELD = 1000
"""Texts kept to be joined to another: a choice, enough for variety, few enough for memory."""


@dataclass(frozen=True)
class Variations:
    """Adds `copies` variations after each row.

    Attributes:
        near: for a word, the words that may stand in its place.
        copies: of each row.
        seed: the same one gives the same rows.
    """

    near: Mapping[str, Sequence[str]]
    copies: int
    seed: int

    @property
    def name(self) -> str:
        """What tells two of them apart."""
        return f"{self.copies} variations by seed {self.seed}, {len(self.near)} words"

    def __call__(self, rows: Iterable[Example]) -> Iterator[Example]:
        """The rows, each followed by its variations."""
        rng = random.Random(self.seed)  # noqa: S311 - repeatable on purpose
        held: list[str] = []
        for row in rows:
            if not isinstance(row.item, str):
                raise UsageError("rows with two texts are not varied", hint="leave --copies out")
            yield row
            held[_HELD - 1 :] = []
            held.insert(rng.randrange(len(held) + 1), row.item)
            for _ in range(self.copies):
                yield Example(self._varied(row.item, held, rng), None)

    def _varied(self, text: str, held: Sequence[str], rng: random.Random) -> str:
        if rng.random() < _JOINED:
            text = " ".join((text, rng.choice(("", "and", "but", ",", ".")), rng.choice(held)))
        rate = rng.choice(_RATES)
        words = (
            rng.choice(self.near[word]) if word in self.near and rng.random() < rate else word for word in text.split()
        )
        return " ".join(words)


def neighbours(rows: Path, task: Task, model: Any, vocabulary: Mapping[str, int]) -> dict[str, list[str]]:
    """For each word of the rows that is one token: up to 15 such words with the nearest embeddings."""
    from torch.nn import functional

    used: dict[str, None] = {}
    for row in data.stream(rows, task):
        if isinstance(row.item, str):
            used.update(dict.fromkeys(row.item.split()))
    words = [word for word in used if word in vocabulary and word.isalpha() and len(word) > 1]
    if len(words) < 2:
        raise UsageError(f"{rows} has {len(words)} words that are one token, 2 are needed to vary rows")
    table = model.get_input_embeddings().weight.detach()[[vocabulary[word] for word in words]]
    table = functional.normalize(table - table.mean(0), dim=-1)
    nearest = (table @ table.T).topk(min(_NEAREST + 1, len(words))).indices[:, 1:].tolist()
    return {word: [words[at] for at in row] for word, row in zip(words, nearest, strict=True)}
