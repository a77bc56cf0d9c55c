"""feature-extraction: a text -> one vector, pooled as sentence-transformers does. Scored by Spearman's correlation.

`recall@10` is what the vectors as they are asked for, cut or quantized, keep of the whole ones: of each text of a file
the share of its ten nearest others that stay among the ten nearest.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from edgewright.errors import UsageError
from edgewright.statistics import metrics
from edgewright.tasks import Asked, Example, Task, number, text
from edgewright.text.encoding import pair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Settings
    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

    Outputs = dict[str, NDArray[Any]]
    Run = Callable[[Mapping[str, NDArray[Any]]], Outputs]

__all__ = ["FeatureExtraction"]


_TOGETHER = 512
"""Texts of a table that are encoded at a time: a choice, some MiB of token ids, and runs of a few dozen rows."""
_NEAREST = 10
"""Neighbours, as recall@10 has them."""
_QUERIES = 512
"""Rows of similarities at a time: 512 to 50,000 texts are 100 MB."""


class _Asked(Asked, frozen=True):
    """Options of encode and quantize_embeddings of sentence-transformers.

    Attributes:
        truncate_dim: so many numbers of a vector, the first, for models that were trained for it (Matryoshka, Kusupati
            et al. 2022, arXiv 2205.13147). They are not normalised again.
        quantize: `int8` numbers in -127..127, by the largest of each vector; `binary` and `ubinary` their signs, eight
            in a byte, int8 less 128 or uint8 as it is.
    """

    truncate_dim: Annotated[int, Meta(ge=1)] | None = None
    quantize: Literal["int8", "binary", "ubinary"] | None = None


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
    metrics: tuple[str, ...] = ("spearman", "pearson", "recall@10")
    columns: ClassVar[tuple[tuple[str, ...], ...]] = (("sentence1",), ("sentence2",), ("score", "label"))
    asks = _Asked
    asked: _Asked

    def __init__(self, settings: Settings, asked: _Asked | None = None) -> None:
        super().__init__(settings, asked)
        if settings.pooling == "model":
            self.outputs, self.per_token = ("sentence_embedding",), False
        if settings.table:
            self.at_a_time = _TOGETHER

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Texts -> token arrays; where the source cuts characters, of each text so many."""
        most = self.settings.characters
        return super().encode(tokenizer, [text(item)[:most] for item in items] if most else items)

    def answers(self, run: Run, tokenizer: Tokenizer, items: Sequence[Any]) -> list[Any]:
        """The vectors of several texts; those of a table together, texts of one length in a run."""
        if not self.settings.table:
            return super().answers(run, tokenizer, items)
        chunks = (items[at : at + _TOGETHER] for at in range(0, len(items), _TOGETHER))
        return [vector for chunk in chunks for vector in self._together(run, tokenizer, chunk)]

    def _together(self, run: Run, tokenizer: Tokenizer, items: Sequence[Any]) -> list[Any]:
        encoding = self.encode(tokenizer, items)
        if not encoding.lengths.all():  # of no token there is no mean, whatever it is asked with
            return super().answers(run, tokenizer, items)
        several = replace(encoding, items=(0,) * len(items), together=True, unpadded=True)
        return self.decode(several.run(partial(_never_alone, run)), encoding)

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
        """Hidden states -> n embeddings: float32 (width,), or as they were asked for."""
        return [self.shaped(vector) for vector in self.reduce(outputs, encoding)]

    def shaped(self, vector: NDArray[Any]) -> NDArray[Any]:
        """An embedding cut and quantized as it was asked for. Raises UsageError where it is not so long."""
        most = self.asked.truncate_dim
        if most is not None and most > len(vector):
            raise UsageError(
                f"truncate_dim is {most}, the model's vectors have {len(vector)} numbers", hint="ask fewer"
            )
        kept = vector[:most]
        if self.asked.quantize == "int8":
            scale = float(np.abs(kept).max(initial=0.0)) / 127 or 1.0
            return np.rint(kept / scale).astype(np.int8)
        if self.asked.quantize:
            bits = np.packbits(kept > 0)
            return bits if self.asked.quantize == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
        return kept

    def numbers(self, vector: NDArray[Any]) -> NDArray[Any]:
        """A vector as `shaped` gives it -> float64 numbers whose cosine is its similarity; signs are -1 and 1."""
        if self.asked.quantize not in ("binary", "ubinary"):
            return vector.astype(np.float64)
        bytes_ = (vector.astype(np.int16) + 128 * (self.asked.quantize == "binary")).astype(np.uint8)
        return np.unpackbits(bytes_).astype(np.float64) * 2 - 1

    def together(self, answers: list[Any]) -> Any:
        """Embeddings (n, width), as encode of sentence-transformers gives them; none are a list of none."""
        return np.stack(answers) if answers else answers

    def variant(self, metric: str) -> Task:
        """For the recall a task that reads any texts, and keeps vectors whole until they are compared."""
        own = super().variant(metric)
        return _Recall(self.settings, self.asked) if metric == "recall@10" else own

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
        first, second = np.split(np.stack([self.numbers(answer) for answer in answers]), 2)
        norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        cosines = (first * second).sum(axis=1) / np.maximum(norms, 1e-12)
        wanted = [example.label for example in examples]
        return (metrics.pearson if metric == "pearson" else metrics.spearman)(cosines, wanted)

    def record(self, answer: NDArray[Any]) -> list[float]:
        """The embedding as a list."""
        found: list[float] = answer.tolist()
        return found


def _never_alone(run: Run, feeds: Mapping[str, NDArray[Any]]) -> Outputs:
    """The outputs of a run of two rows at least: an engine adds up those of a single one in another order."""
    if len(feeds["input_ids"]) > 1:
        return run(feeds)
    return {
        name: array[:1] for name, array in run({name: np.repeat(a, 2, axis=0) for name, a in feeds.items()}).items()
    }


class _Recall(FeatureExtraction):
    """Whose answers are whole vectors of any texts; they are cut and quantized where they are compared."""

    metrics = ("recall@10",)
    lines = True

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        return self.reduce(outputs, encoding)

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with a text or a pair of them, whatever its label."""
        both = pair(row)
        given = row.get("text", row.get("sentence")) if both is None else None
        return Example(tuple(map(text, both)) if both else (text(given),), None)

    def items(self, examples: Sequence[Example]) -> list[Any]:
        """Every text of every row."""
        return [one for example in examples for one in example.item]

    def measured(self, metric: str, answers: Sequence[NDArray[Any]], examples: Sequence[Example]) -> Metric:
        """The mean over the rows of the share of neighbours that their texts keep."""
        del metric
        before, after = (_nearest(side) for side in (answers, [self.numbers(self.shaped(one)) for one in answers]))
        kept = [len({*a} & {*b}) / max(len(a), 1) for a, b in zip(before, after, strict=True)]
        ends = np.cumsum([len(example.item) for example in examples])[:-1]
        return metrics.mean([float(np.mean(some)) for some in np.split(np.array(kept), ends)])


def _nearest(vectors: Sequence[NDArray[Any]]) -> list[list[int]]:
    """For each vector the rows of its ten nearest others by cosine, of equals the first."""
    every = np.stack(vectors).astype(np.float32)
    every /= np.maximum(np.linalg.norm(every, axis=1, keepdims=True), 1e-12)
    found, most = [], min(_NEAREST, len(every) - 1)
    for begin in range(0, len(every), _QUERIES):
        near = every[begin : begin + _QUERIES] @ every.T
        near[np.arange(len(near)), begin + np.arange(len(near))] = -np.inf
        found += np.argsort(-near, axis=1, kind="stable")[:, :most].tolist()
    return found
