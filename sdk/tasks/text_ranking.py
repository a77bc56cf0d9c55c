"""text-ranking: a query and texts -> the texts by how well they answer it. Scored by nDCG@10, in percent.

The normalised discounted cumulative gain (Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR
techniques") with the labels themselves as gains, as trec_eval and scikit-learn have it; `mrr@10` is the mean of one
over the place of the first text with a label above 0, and nothing beyond ten (Voorhees 1999, the TREC-8 question
answering track). A query without such a text counts as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypedDict

import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from edgewright.errors import DataError, EngineError
from edgewright.statistics import metrics
from edgewright.tasks import Asked, Choice, Example, Task, gaps, number, softmax, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["TextRanking"]

_DEPTH = 10
"""Places that count, as nDCG@10 has them."""
_FORM = 'give {"query": "...", "texts": ["...", "..."]}'


class _Ranked(TypedDict):
    """A text, its score in 0..1, and its place among those that were given, the first being 0."""

    corpus_id: int
    score: float
    text: str


class _Asked(Asked, frozen=True):
    """Options of CrossEncoder.rank of sentence-transformers.

    Attributes:
        top_k: so many texts, the best ones; 0 is all, as by default.
    """

    top_k: Annotated[int, Meta(ge=0)] | None = None


class TextRanking(Task):
    """The answer to a query with texts is the texts, the best first, as CrossEncoder.rank of sentence-transformers.

    The model reads each text behind the query (Nogueira and Cho 2019, arXiv 1901.04085), texts of like length in one
    run of the engine. A score is the sigmoid of a model's one output, or of two the second one's softmax.
    """

    name = "text-ranking"
    auto_class = "AutoModelForSequenceClassification"
    heads = ("ForSequenceClassification",)
    outputs = ("logits",)
    gate = "pairs"
    metrics = ("ndcg@10", "mrr@10")
    columns: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("query", "question"),
        ("texts", "documents", "passages"),
        ("labels", "label", "relevance"),
    )
    parts = ("query", "texts")
    second = "texts"
    asks = _Asked
    asked: _Asked

    def taken(self, given: Any, where: str = "the item") -> Any:
        """A query and texts, as {"query", "texts"}. Raises DataError."""
        if not isinstance(given, dict) or set(given) != {"query", "texts"}:
            found = f"the keys {', '.join(map(str, given))}" if isinstance(given, dict) else f"a {type(given).__name__}"
            raise DataError(f"{where} is {found}, where a query and its texts should be", hint=_FORM)
        return {"query": text(given["query"]), "texts": _texts(given["texts"], where)}

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Queries with texts -> a row for each text. Raises DataError for anything else."""
        taken = [self.taken(item) for item in items]
        pairs = [(item["query"], one) for item in taken for one in item["texts"]]
        owners = [at for at, item in enumerate(taken) for _ in item["texts"]]
        unpadded = self.settings.reads_padding
        return replace(tokenizer.encode(pairs), items=tuple(owners), together=True, unpadded=unpadded)

    def item(self, given: Any, tokenizer: Tokenizer) -> Any:
        """Of a pair the first text as the query; of a plain text its first words."""
        del tokenizer
        query, one = (" ".join(given.split()[:4]), given) if isinstance(given, str) else given
        return {"query": query, "texts": [one]}

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """The logits of each query's texts, float32 (texts, outputs). Raises EngineError of more than two outputs."""
        logits, owners = outputs["logits"], np.array(encoding.items)
        if logits.shape[-1] not in (1, 2):
            raise EngineError(f"a model that ranks has one output or two, this one has {logits.shape[-1]}")
        return [logits[owners == item] for item in dict.fromkeys(encoding.items)]

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[list[_Ranked]]:
        """Logits (rows, outputs) -> the texts of each query, the best first."""
        owners, found = np.array(encoding.items), []
        for item, logits in zip(dict.fromkeys(encoding.items), self.reduce(outputs, encoding), strict=True):
            rows = np.flatnonzero(owners == item).tolist()
            order = np.argsort(-_rates(logits), kind="stable")[: self.asked.top_k or None].tolist()
            scores = _scores(logits)
            texts = [encoding.texts[row][1] for row in rows]
            found.append([_Ranked(corpus_id=at, score=float(scores[at]), text=texts[at]) for at in order])
        return found

    def choices(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Choice] | None:
        """The best text of each query; the margin is that of its logit, or of the gap of its two."""
        rates = [_rates(logits)[None] for logits in self.reduce(outputs, encoding)]
        return [Choice(row.argmax(axis=1)[:, None], gaps(row)) for row in rates]

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `query`, and `texts` with their `labels`; or with `positive` and `negative` texts.

        A label is how well a text answers, 0 for not at all.
        """
        query = text(self.column(row, 0))
        if row.get("positive") is not None and row.get("texts") is None:
            good, bad = (_listed(row.get(side) or []) for side in ("positive", "negative"))
            return Example({"query": query, "texts": [*good, *bad]}, (1.0,) * len(good) + (0.0,) * len(bad))
        texts, labels = _texts(self.column(row, 1), "the row"), self.column(row, 2)
        if not isinstance(labels, list) or len(labels) != len(texts):
            count = len(labels) if isinstance(labels, list) else "no list of"
            raise DataError(f"the row has {len(texts)} texts and {count} labels")
        gains = tuple(number(label) for label in labels)
        if min(gains) < 0:
            raise DataError(f"label {min(gains):g} is below 0, the label of a text that does not answer")
        return Example({"query": query, "texts": texts}, gains)

    def variant(self, metric: str) -> Task:
        """The task that answers with all texts."""
        return super().variant(metric).asking(top_k=None)

    def measured(self, metric: str, answers: Sequence[Any], examples: Sequence[Example]) -> Metric:
        """The mean over the queries."""
        rate = _reciprocal if metric == "mrr@10" else _ndcg
        ranked = ([e.label[one["corpus_id"]] for one in a] for a, e in zip(answers, examples, strict=True))
        return metrics.mean([rate(gains) for gains in ranked])


def _texts(given: Any, where: str) -> list[str]:
    found = [text(one) for one in _listed(given)]
    if not found:
        raise DataError(f"{where} has no texts to rank", hint=_FORM)
    return found


def _listed(given: Any) -> list[Any]:
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise DataError(f"{given!r} is not a list of texts", hint=_FORM)
    return list(given)


def _rates(logits: NDArray[Any]) -> NDArray[Any]:
    """What orders texts, before it becomes a probability, where many may be 1: (texts,)."""
    rates: NDArray[Any] = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    return rates


def _scores(logits: NDArray[Any]) -> NDArray[Any]:
    """The probability that a text answers, (texts, 1 or 2) -> float64 (texts,)."""
    both = logits if logits.shape[1] == 2 else np.concatenate([np.zeros_like(logits), logits], axis=1)
    scores: NDArray[Any] = softmax(both)[:, 1]
    return scores


def _ndcg(gains: Sequence[float]) -> float:
    best = _dcg(sorted(gains, reverse=True))
    return _dcg(gains) / best if best else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / float(np.log2(place + 2)) for place, gain in enumerate(gains[:_DEPTH]))


def _reciprocal(gains: Sequence[float]) -> float:
    return next((1 / (place + 1) for place, gain in enumerate(gains[:_DEPTH]) if gain > 0), 0.0)
