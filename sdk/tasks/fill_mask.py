"""fill-mask: a text with mask tokens -> the likeliest tokens for each. Scored by accuracy, in percent of the masks.

`perplexity` is the pseudo-perplexity of plain texts (Salazar et al. 2020, arXiv 1910.14659, section 2.3).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edgewright.errors import DataError, quoted
from edgewright.statistics import metrics
from edgewright.tasks import Choice, Example, Filling, Task, gaps, softmax, text
from edgewright.text.encoding import Encoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.statistics.metrics import Metric
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["FillMask"]

_BEST = 5
"""The default of transformers' fill-mask pipeline."""
# The gate's masks stand so near to the beginning that no tokenizer's cut takes them away.
_LATEST_WORD, _LONG_WORD = 6, 12


class FillMask(Task):
    """The answer to one text is, for each of its mask tokens, the list of the 5 likeliest fillings, best first.

    Only the masks' outputs are kept, compared and recorded: all of them together are the vocabulary times the length.
    Several masks are filled independently; `sequence` shows one filled and the others as they are.
    """

    name = "fill-mask"
    auto_class = "AutoModelForMaskedLM"
    heads = ("ForMaskedLM",)
    outputs = ("logits",)
    per_token = True
    metrics: tuple[str, ...] = ("accuracy", "perplexity")
    columns: ClassVar[tuple[tuple[str, ...], ...]] = (("text", "sentence"), ("label",))

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Texts -> token arrays. Raises DataError for a text without a mask token."""
        encoding = tokenizer.encode([text(item) for item in items])
        found = encoding.feeds["input_ids"] == tokenizer.mask_id
        for given, row in zip(encoding.texts, found, strict=True):
            if not row.any():
                mask, length = tokenizer.mask_token, tokenizer.max_length
                what = f"the text {quoted(str(given))} has no {mask} within {length} tokens"
                raise DataError(what, hint=f"write {tokenizer.mask_token} for the word to fill")
        encoding.feeds["picked"] = found.astype(np.int64)
        return encoding

    def item(self, given: Any, tokenizer: Tokenizer) -> str:
        """A text with a mask in the place of a word, or in a long word in the place of a character."""
        words = list(re.finditer(r"\S+", given))
        if not words:
            return f"{given}{tokenizer.mask_token}"
        start, end = words[min(len(words) // 2, _LATEST_WORD)].span()
        if end - start > _LONG_WORD:
            start = min((start + end) // 2, start + _LONG_WORD)
            end = start + 1
        return f"{given[:start]}{tokenizer.mask_token}{given[end:]}"

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """The logits at the masks of each text, float32 (masks, vocabulary)."""
        return [row[0] for row in self.rows(outputs, encoding)]

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[list[list[Filling]]]:
        """Logits at all masks (masks, vocabulary) -> for each text, for each mask, the fillings."""
        masks = [np.flatnonzero(row).tolist() for row in encoding.feeds["picked"]]
        rows = enumerate(zip(self.reduce(outputs, encoding), masks, strict=True))
        return [[self._fillings(*pair, encoding, at) for pair in zip(*row, strict=True)] for at, row in rows]

    @staticmethod
    def _fillings(logits: NDArray[Any], mask: int, encoding: Encoding, at: int) -> list[Filling]:
        best = np.argsort(-logits, kind="stable")[:_BEST]
        chances = softmax(logits[None])[0]
        inside = np.array([side is not None for side in encoding.sequences[at]])
        found = []
        for token in best:
            ids = encoding.feeds["input_ids"][at][: len(inside)].copy()
            ids[mask] = token
            word, sequence = (encoding.to_text(part.tolist()) for part in (ids[[mask]], ids[inside]))
            found.append(Filling(word.strip(), float(chances[token]), sequence.strip()))
        return found

    def choices(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Choice] | None:
        """The likeliest token of each mask."""
        return [Choice(row.argmax(axis=1)[:, None], gaps(row)) for row in self.reduce(outputs, encoding)]

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `text`, which has a mask, and `label`, the right token; with several masks a list of them."""
        label = self.column(row, 1)
        labels = label if isinstance(label, list) else [label]
        return Example(text(self.column(row, 0)), tuple(text(one).strip() for one in labels))

    def variant(self, metric: str) -> Task:
        """For `perplexity` a task that masks every token of a plain text in turn."""
        own = super().variant(metric)
        return _PseudoPerplexity(self.settings) if metric == "perplexity" else own

    def measured(
        self, metric: str, answers: Sequence[Sequence[Sequence[Filling]]], examples: Sequence[Example]
    ) -> Metric:
        """The share of masks whose likeliest token is the right one.

        Raises:
            DataError: a row has not as many labels as its text has masks.
        """
        del metric
        right, masks = [], []
        for answer, example in zip(answers, examples, strict=True):
            if len(answer) != len(example.label):
                raise DataError(
                    f"the text {quoted(example.item)} has {len(answer)} masks and {len(example.label)} labels"
                )
            right.append(sum(mask[0].token == label for mask, label in zip(answer, example.label, strict=True)))
            masks.append(len(answer))
        return metrics.share(right, masks)

    def record(self, answer: Sequence[Sequence[Filling]]) -> list[list[dict[str, Any]]]:
        """For each mask objects with `token`, `score` and `sequence`."""
        return [[{**filling._asdict(), "score": round(filling.score, 6)} for filling in mask] for mask in answer]


class _PseudoPerplexity(FillMask):
    """Pseudo-perplexity of texts (Salazar et al. 2020, arXiv 1910.14659, section 2.3), in the tokenizer's tokens.

    The answer to a text is each token's negative log-likelihood, in nats, given all others. Special tokens that the
    tokenizer adds are neither masked nor counted. Values of models with different tokenizers cannot be compared.
    """

    metrics = ("perplexity",)
    lines = True

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Texts -> a row for each token, masked. Raises DataError for a text without a token."""
        plain = tokenizer.encode([text(item) for item in items])
        spots = [
            (at, spot) for at, sides in enumerate(plain.sequences) for spot, s in enumerate(sides) if s is not None
        ]
        empty = sorted(set(range(len(items))) - {row for row, _ in spots})
        if empty:
            raise DataError(f"the text {quoted(items[empty[0]])} has no token to mask")
        rows, places = (list(side) for side in zip(*spots, strict=True))
        feeds = {name: array[rows] for name, array in plain.feeds.items()}
        each = np.arange(len(rows))
        feeds["truth"] = feeds["input_ids"].copy()
        feeds["input_ids"][each, places] = tokenizer.mask_id
        feeds["picked"] = np.zeros_like(feeds["truth"])
        feeds["picked"][each, places] = 1
        texts, offsets, sequences = (
            tuple(kept[row] for row in rows) for kept in (plain.texts, plain.offsets, plain.sequences)
        )
        return Encoding(feeds, offsets, texts, sequences, items=tuple(rows))

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Any]:
        """Logits at the masks (rows, vocabulary) -> for each text the loss of each of its tokens."""
        logits = outputs["logits"].astype(np.float64)
        top = logits.max(axis=1)
        totals = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        truth = encoding.feeds["truth"][encoding.feeds["picked"].astype(bool)]
        losses, owners = totals - logits[np.arange(len(truth)), truth], np.array(encoding.items)
        return [losses[owners == item].tolist() for item in dict.fromkeys(encoding.items)]

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `text` or `sentence`."""
        return Example(text(self.column(row, 0)), None)

    def measured(self, metric: str, answers: Sequence[Any], examples: Sequence[Example]) -> Metric:
        """The perplexity over all tokens of all texts."""
        del metric, examples
        return metrics.perplexity([sum(losses) for losses in answers], [len(losses) for losses in answers])
