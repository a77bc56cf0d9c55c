"""Encoded texts as the batches that a model takes, and outputs put together again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    Outputs = dict[str, NDArray[Any]]
    Run = Callable[[Mapping[str, NDArray[Any]]], Outputs]

__all__ = ["Each", "Encoding", "Several", "Text", "Words", "pair", "picked", "regroup"]

Text = str | tuple[str, str]


_Made = TypeVar("_Made")


class Each(Sequence[_Made], Generic[_Made]):
    """What `make` makes of each of some things, made where it is asked for: most tasks never ask for most of it."""

    __slots__ = ("_make", "_things")

    def __init__(self, things: Sequence[Any], make: Callable[[Any], _Made]) -> None:
        self._things, self._make = things, make

    def __len__(self) -> int:
        return len(self._things)

    def __getitem__(self, at: Any) -> Any:
        return tuple(map(self._make, self._things[at])) if isinstance(at, slice) else self._make(self._things[at])


@runtime_checkable
class Several(Protocol):
    """An engine that makes several runs at once."""

    def __call__(self, feeds: Mapping[str, NDArray[Any]], /) -> Outputs:
        """One run."""

    def each(self, batches: Sequence[Mapping[str, NDArray[Any]]]) -> Iterable[Outputs]:
        """The outputs of each batch, in order."""


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


class Encoding(Struct, frozen=True, dict=True, eq=False):
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
        together: whether the rows of a single item are run together, those of like length, or one by one.
        unpadded: of those that are run together, whether they have one length: for a model that reads padding.
        labels: per row the label that it asks about, where a task has such.
    """

    feeds: dict[str, NDArray[np.int64]]
    offsets: Sequence[list[tuple[int, int]]]
    texts: tuple[Text, ...] = ()
    sequences: Sequence[list[int | None]] = ()
    words: Sequence[Sequence[int | None]] = ()
    items: tuple[int, ...] = ()
    to_text: Callable[[Sequence[int]], str] = str
    tokenizer: Words | None = None
    together: bool = False
    unpadded: bool = False
    labels: tuple[str, ...] = ()

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Real tokens of each text, int64 (n,)."""
        lengths: NDArray[np.int64] = self.feeds["attention_mask"].sum(axis=1)
        return lengths

    @cached_property
    def runs(self) -> list[list[int]]:
        """The rows of each engine run: several items in one, the rows of a single item one by one or together."""
        every = list(range(len(self.offsets)))
        if len(every) == 1 or len(set(self.items)) != 1:
            return [every]
        if not self.together:
            return [[row] for row in every]
        lengths, found = self.lengths.tolist(), list[list[int]]()
        if len(every) * max(lengths) <= _MOST_TOKENS and not self.unpadded:
            return [every]
        for row in sorted(every, key=lambda row: -lengths[row]):  # the first of a run is its longest
            if found and self._joins(lengths[row], lengths[found[-1][0]], len(found[-1])):
                found[-1].append(row)
            else:
                found.append([row])
        return found

    def _joins(self, length: int, longest: int, count: int) -> bool:
        """Whether a row is run with `count` others, the longest of which is so long."""
        return (count + 1) * longest <= _MOST_TOKENS and (length == longest or not self.unpadded)

    @property
    def batches(self) -> list[dict[str, NDArray[np.int64]]]:
        """What the engine is run on, see `runs`; each as long as its longest row."""
        runs = self.runs
        if len(runs) == 1 and len(runs[0]) == len(self.offsets) and not self.together:
            return [self.feeds]
        places = [(rows, self._real(rows)) for rows in runs]
        return [{name: array[rows, real] for name, array in self.feeds.items()} for rows, real in places]

    def _real(self, rows: list[int]) -> slice:
        """The columns in which some of the rows have a token."""
        real = np.flatnonzero(self.feeds["attention_mask"][rows].any(axis=0))
        return slice(int(real[0]), int(real[-1]) + 1) if real.size else slice(0)

    def run(self, run: Run) -> Outputs:
        """The outputs of all rows, from one run for each of `batches`; at once where the engine `Several` takes."""
        batches = self.batches
        every = run.each(batches) if isinstance(run, Several) and len(batches) > 1 else map(run, batches)
        return self.joined(picked(outputs, batch) for outputs, batch in zip(every, batches, strict=True))

    def joined(self, outputs: Iterable[Outputs]) -> Outputs:
        """The outputs of `batches`, in order, as those of one padded batch; zeros stand where padding would."""
        made, runs = list(outputs), self.runs
        if len(made) == 1 and not self.together:
            return made[0]
        left = not self.feeds["attention_mask"][:, 0].all()
        found = {name: _padded([one[name] for one in made], left=left) for name in made[0]}
        place = np.argsort(np.concatenate(runs), kind="stable")
        return {name: array[place] for name, array in found.items()} if self.together else found


_MOST_TOKENS = 256
"""Tokens of a run, padding and all. Measured with MiniLM on a server core, 100 texts of 14 to 59 tokens: one by one 625
ms in fp32 and 159 in int8, padded to one run 832 and 351, in runs of 150 to 330 tokens 367 and 137."""


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


def _padded(rows: Sequence[NDArray[Any]], *, left: bool) -> NDArray[Any]:
    """Arrays (n, length, ...) -> (rows, longest length, ...), zeros where a tokenizer puts padding."""
    longest = max(row.shape[1] for row in rows)
    if all(row.shape[1] == longest for row in rows):
        return np.concatenate(rows)
    gaps = ((longest - row.shape[1], 0) if left else (0, longest - row.shape[1]) for row in rows)
    return np.concatenate(
        [np.pad(row, [(0, 0), gap, *[(0, 0)] * (row.ndim - 2)]) for row, gap in zip(rows, gaps, strict=True)]
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
