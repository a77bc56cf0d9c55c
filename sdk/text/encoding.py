"""Encoded texts as the batches that a model takes, and outputs put together again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Outputs = dict[str, NDArray[Any]]
    Run = Callable[[Mapping[str, NDArray[Any]]], Outputs]

__all__ = ["Encoding", "Text", "Words", "pair", "picked", "regroup"]

Text = str | tuple[str, str]


class Words(Protocol):
    """What a tokenizer knows of its tokens, see `edgewright.text.tokenizer.Tokenizer`."""

    marks_pieces: bool

    @property
    def unknown_id(self) -> int:
        """The id of the token for what is not in the vocabulary, -1 where there is none."""

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Token ids -> tokens as the vocabulary has them."""

    def joined(self, tokens: Sequence[str]) -> str:
        """Tokens -> the text that they stand for."""

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Token ids -> text, special tokens left out or not."""


@dataclass(frozen=True)
class Encoding:
    """A batch of n rows, padded to the longest: a row for each text, or several for the windows of a long one.

    Attributes:
        feeds: input_ids, attention_mask and token_type_ids, each int64 (n, length). A task that needs the outputs of a
            few tokens alone adds `picked`, 1 where it needs them; no engine takes it, `picked` below does.
        offsets: per row, per token, the (start, end) characters that it covers; padding is left out.
        texts: per row the text or pair of texts, as it was understood; offsets count its characters.
        sequences: per row, per token, which text of the pair it belongs to, None for a special token that was added.
        words: per row, per token, the number of its word; each token is one where the tokenizer marks no pieces.
        items: per row the number of the item that it belongs to, ascending; empty where each row is an item.
        to_text: the tokenizer's way back from ids, special tokens kept.
        tokenizer: what made it, None of one made by hand.
    """

    feeds: dict[str, NDArray[np.int64]]
    offsets: tuple[list[tuple[int, int]], ...]
    texts: tuple[Text, ...] = ()
    sequences: tuple[list[int | None], ...] = ()
    words: tuple[Sequence[int | None], ...] = ()
    items: tuple[int, ...] = ()
    to_text: Callable[[Sequence[int]], str] = field(default=str, repr=False, compare=False)
    tokenizer: Words | None = field(default=None, repr=False, compare=False)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Real tokens of each text, int64 (n,)."""
        lengths: NDArray[np.int64] = self.feeds["attention_mask"].sum(axis=1)
        return lengths

    @property
    def batches(self) -> list[dict[str, NDArray[np.int64]]]:
        """What the engine is run on: several items as one padded batch, the rows of a single item one by one."""
        if len(self.offsets) == 1 or len(set(self.items)) != 1:
            return [self.feeds]
        cut = [(at, int(length)) for at, length in enumerate(self.lengths)]
        return [{name: array[at : at + 1, :length] for name, array in self.feeds.items()} for at, length in cut]

    def run(self, run: Run) -> Outputs:
        """The outputs of all rows, from one run for each of `batches`."""
        return self.joined(picked(run(batch), batch) for batch in self.batches)

    def joined(self, outputs: Iterable[Outputs]) -> Outputs:
        """The outputs of `batches`, in order, as those of one padded batch; zeros stand where padding would."""
        rows = list(outputs)
        return rows[0] if len(rows) == 1 else {name: _padded([row[name] for row in rows]) for name in rows[0]}


def picked(outputs: Outputs, feeds: Mapping[str, NDArray[Any]]) -> Outputs:
    """The outputs of a batch; where it has `picked`, those of the picked tokens alone, (tokens, ...)."""
    if "picked" not in feeds:
        return outputs
    wanted = feeds["picked"].astype(bool)
    return {name: array[wanted] for name, array in outputs.items()}


def regroup(encodings: Iterable[Encoding], outputs: Iterable[Outputs]) -> list[Outputs]:
    """The outputs of the batches of all `encodings`, in order -> the outputs of each encoding."""
    given = iter(outputs)
    return [encoding.joined([next(given) for _ in encoding.batches]) for encoding in encodings]


def _padded(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays (1, length, ...) -> (rows, longest length, ...)."""
    longest = max(row.shape[1] for row in rows)
    return np.concatenate(
        [np.pad(row, [(0, 0), (0, longest - row.shape[1]), *[(0, 0)] * (row.ndim - 2)]) for row in rows]
    )


_PAIRS = (
    ("text", "text_pair"),
    ("sentence", "text_pair"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "context"),
    ("question", "sentence"),
)


def pair(row: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """The two texts of a row with a pair of columns such as `text` and `text_pair`, `question` and `context`."""
    return next(((row[a], row[b]) for a, b in _PAIRS if row.get(a) is not None and row.get(b) is not None), None)
