"""How well a masked model expects a text: every token is masked in turn, a row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright import metrics
from edgewright.errors import DataError, quoted
from edgewright.tasks import Example, text
from edgewright.tasks.fill_mask import FillMask
from edgewright.tokenizer import Encoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.metrics import Metric
    from edgewright.tokenizer import Tokenizer

__all__ = ["PseudoPerplexity"]


class PseudoPerplexity(FillMask):
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
