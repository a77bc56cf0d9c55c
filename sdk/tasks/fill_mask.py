"""fill-mask: a text with mask tokens -> the likeliest tokens for each. Scored by accuracy, in percent of the masks.

`perplexity` is the pseudo-perplexity of plain texts (Salazar et al. 2020, arXiv 1910.14659, section 2.3).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from edgewright.errors import DataError, quoted
from edgewright.statistics import metrics
from edgewright.tasks import Asked, Choice, Example, Filling, Task, gaps, softmax, text
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


class _Asked(Asked, frozen=True):
    """Options of transformers' pipeline of that name.

    Attributes:
        top_k: the fillings of a mask, 5 by default; 0 is the whole vocabulary.
    """

    top_k: Annotated[int, Meta(ge=0)] | None = None


class FillMask(Task):
    """The answer to one text with one mask token is the list of its 5 likeliest fillings, best first.

    Of several masks it is a list of such lists: they are filled independently, and `sequence` shows one filled and the
    others, and all special tokens, as they are. Only the masks' outputs are kept, compared and recorded: all of them
    together are the vocabulary times the length.
    """

    name = "fill-mask"
    auto_class = "AutoModelForMaskedLM"
    heads = ("ForMaskedLM",)
    outputs = ("logits",)
    per_token = True
    metrics: tuple[str, ...] = ("accuracy", "perplexity")
    columns: ClassVar[tuple[tuple[str, ...], ...]] = (("text", "sentence"), ("label",))
    asks = _Asked
    asked: _Asked

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

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Any]:
        """Logits at all masks (masks, vocabulary) -> for each text the fillings of its mask, or a list for each."""
        masks = [np.flatnonzero(row).tolist() for row in encoding.feeds["picked"]]
        rows = zip(self.reduce(outputs, encoding), masks, strict=True)
        found = [self._of_text(logits, places, encoding, at) for at, (logits, places) in enumerate(rows)]
        return [fillings[0] if len(fillings) == 1 else fillings for fillings in found]

    def _of_text(self, logits: NDArray[Any], masks: Sequence[int], encoding: Encoding, at: int) -> list[list[Filling]]:
        """The fillings of each mask of a text; transformers leaves special tokens out where it has one alone."""
        assert encoding.tokenizer  # noqa: S101 - a tokenizer of ours made it
        tokenizer, ids = encoding.tokenizer, encoding.feeds["input_ids"][at][: int(encoding.lengths[at])]
        most = _BEST if self.asked.top_k is None else self.asked.top_k
        found = []
        for mask, row in zip(masks, logits, strict=True):
            chances, fillings = softmax(row[None])[0], []
            for token in np.argsort(-row, kind="stable")[: most or None].tolist():
                whole = tokenizer.decode(_with(ids, mask, token), skip_special=len(masks) == 1)
                word = tokenizer.decode([token], skip_special=False)
                fillings.append(Filling(score=float(chances[token]), token=token, token_str=word, sequence=whole))
            found.append(fillings)
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
        return _PseudoPerplexity(self.settings) if metric == "perplexity" else own.asking(top_k=_BEST)

    def measured(self, metric: str, answers: Sequence[Any], examples: Sequence[Example]) -> Metric:
        """The share of masks whose likeliest token is the right one.

        Raises:
            DataError: a row has not as many labels as its text has masks.
        """
        del metric
        right, masks = [], []
        for answer, example in zip(answers, examples, strict=True):
            each = answer if isinstance(answer[0], list) else [answer]
            if len(each) != len(example.label):
                raise DataError(
                    f"the text {quoted(example.item)} has {len(each)} masks and {len(example.label)} labels"
                )
            best = (mask[0]["token_str"].strip() for mask in each)
            right.append(sum(word == label for word, label in zip(best, example.label, strict=True)))
            masks.append(len(each))
        return metrics.share(right, masks)


def _with(ids: NDArray[Any], place: int, token: int) -> list[int]:
    """Token ids with another one in a place."""
    found: list[int] = ids.tolist()
    found[place] = token
    return found


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
