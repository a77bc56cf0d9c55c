"""feature-extraction: a text -> one vector, pooled as sentence-transformers does. Scored by Spearman's correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.statistics import metrics
from edgewright.tasks import Example, Task, number, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Settings
    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding

__all__ = ["FeatureExtraction"]


class FeatureExtraction(Task):
    """The answer to one text is its embedding, float32 (width,).

    Pooling and normalisation follow sentence-transformers (Reimers and Gurevych 2019, arXiv 1908.10084, section 3): the
    mean over real tokens, the first token, or the largest value over real tokens. Where the artifact gives the vector
    itself (`pooling` is `model`) it stays as it is.
    """

    name = "feature-extraction"
    auto_class = "AutoModel"
    heads = ("Model", "ModelWithProjection")
    outputs: tuple[str, ...] = ("last_hidden_state",)
    per_token: bool = True
    metrics = ("spearman", "pearson")
    columns = (("sentence1",), ("sentence2",), ("score", "label"))

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if settings.pooling == "model":
            self.outputs, self.per_token = ("sentence_embedding",), False

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """Hidden states (n, length, width), or vectors (n, width) -> n embeddings float32 (width,)."""
        if self.settings.pooling == "model":
            return list(outputs[self.outputs[0]])
        pooled = self._pool(outputs["last_hidden_state"], encoding.feeds["attention_mask"])
        if self.settings.normalize:
            pooled = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return list(pooled)

    def _pool(self, hidden: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        if self.settings.pooling == "cls":
            first: NDArray[Any] = hidden[np.arange(len(hidden)), mask.argmax(axis=1)]
            return first
        weights = mask.astype(np.float32)
        if self.settings.pooling == "max":
            largest: NDArray[Any] = np.where(weights[:, :, None] > 0, hidden, -np.inf).max(axis=1)
            return largest
        summed = np.matmul(weights[:, None, :], hidden)[:, 0]
        mean: NDArray[Any] = summed / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        return mean

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """Hidden states -> n embeddings."""
        return self.reduce(outputs, encoding)

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `sentence1`, `sentence2` and their similarity as a number."""
        return Example((text(self.column(row, 0)), text(self.column(row, 1))), number(self.column(row, 2)))

    def items(self, examples: Sequence[Example]) -> list[Any]:
        """All first sentences, then all second sentences."""
        return [example.item[side] for side in (0, 1) for example in examples]

    def measured(self, metric: str, answers: Sequence[NDArray[Any]], examples: Sequence[Example]) -> Metric:
        """The correlation of the given scores and the cosines of each pair's embeddings.

        `answers` are the embeddings of all first sentences, then of all second sentences.
        """
        first, second = np.split(np.stack(answers), 2)
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        cosines = (first * second).sum(axis=1) / np.maximum(norms, 1e-12)
        wanted = [example.label for example in examples]
        return (metrics.pearson if metric == "pearson" else metrics.spearman)(cosines, wanted)

    def record(self, answer: NDArray[Any]) -> list[float]:
        """The embedding as a list."""
        return [float(value) for value in answer]
