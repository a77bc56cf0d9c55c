"""text-classification: a text or a pair of texts -> a label with its score. Scored by accuracy, in percent of the rows.

A row of a model with several labels counts when exactly its labels are above 0.5; a regression is scored by Pearson's
correlation, in percent. The other metrics are those of GLUE (Wang et al. 2018, arXiv 1804.07461, table 1): `f1` of the
second of two classes (MRPC, QQP), `matthews` (CoLA), `spearman` (STS-B).
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from edgewright.statistics import metrics
from edgewright.tasks import Asked, Choice, Example, Label, Task, gaps, number, per_label, softmax, text
from edgewright.text.encoding import pair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Settings
    from edgewright.statistics.metrics import Metric
    from edgewright.tasks._labels import Labels
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["TextClassification"]


_Function = Literal["sigmoid", "softmax", "none"]


class _Asked(Asked, frozen=True):
    """Options of transformers' pipeline of that name.

    Attributes:
        top_k: the labels of an answer, which is then a list, the likeliest first; 0 is all.
        function_to_apply: what makes scores of logits; by default the model's own.
    """

    top_k: Annotated[int, Meta(ge=0)] | None = None
    function_to_apply: _Function | None = None


class TextClassification(Task):
    """The answer to one text is the likeliest label, as transformers' pipeline of that name gives it.

    Scores are the softmax of the logits; the sigmoid where a text may have several labels, and of a model with one
    output; and the outputs as they are of a regression, unless the source names the sigmoid, as a
    cross-encoder does. A text by itself is answered by a list of that one label, texts
    in a list and pairs by the label. With `top_k` each answer is a list.
    """

    name = "text-classification"
    auto_class = "AutoModelForSequenceClassification"
    heads = ("ForSequenceClassification",)
    outputs = ("logits",)
    columns = (("sentence", "text"), ("label", "labels"))

    asks = _Asked
    asked: _Asked

    def __init__(self, settings: Settings, asked: _Asked | None = None) -> None:
        super().__init__(settings, asked)
        known = {
            "regression": ("pearson", "spearman"),
            "multi_label": ("accuracy", "f1-micro", "f1-macro"),
        }.get(settings.problem, ("accuracy", "f1-micro", "f1-macro", "matthews"))
        self.metrics = (*known, "f1") if len(settings.labels) == 2 and "matthews" in known else known
        self.written: Labels | None = None

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """The logits of each text, float32 (labels,). Raises EngineError where there are not as many as labels."""
        del encoding
        return list(per_label(outputs["logits"], self.settings.labels))

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Any]:
        """Logits (n, labels) -> n labels, or with `top_k` n lists of them."""
        return [self._answer(row) for row in self.reduce(outputs, encoding)]

    def _answer(self, logits: NDArray[Any]) -> Label | list[Label]:
        scores = _FUNCTIONS[self.function](logits.astype(np.float64))
        if self.asked.top_k is None:
            best = int(logits.argmax())
            return Label(label=self.settings.labels[best], score=float(scores[best]))
        order = np.argsort(-logits, kind="stable")[: self.asked.top_k or None]
        return [Label(label=self.settings.labels[at], score=float(scores[at])) for at in order]

    @property
    def function(self) -> _Function:
        """What makes scores of logits."""
        if self.asked.function_to_apply:
            return self.asked.function_to_apply
        if self.settings.problem == "regression" and self.settings.activation == "sigmoid":
            return "sigmoid"
        return _OF_PROBLEM[self.settings.problem]

    def alone(self, item: Any, answer: Any) -> Any:
        """Of a text with one label, as transformers has it, a list of that label."""
        return [answer] if isinstance(item, str) and isinstance(answer, dict) else answer

    def variant(self, metric: str) -> Task:
        """Where a row may have several labels, or values, the task that answers all of them."""
        own = super().variant(metric)
        return own if self.settings.problem == "single_label" else own.asking(top_k=None)

    def choices(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Choice] | None:
        """One for each text: the largest logit, or with several labels which logits are above zero.

        The margin is the gap of the two best logits, or the distance of the nearest one from zero.
        """
        rows = [row[None] for row in self.reduce(outputs, encoding)]
        if self.settings.problem == "regression":
            return None
        if self.settings.problem == "multi_label":
            return [Choice(row > 0, np.abs(row).min(axis=1)) for row in rows]
        return [Choice(row.argmax(axis=1, keepdims=True), gaps(row)) for row in rows]

    def item(self, given: Any, tokenizer: Tokenizer) -> Any:
        """A text or a pair as it is."""
        del tokenizer
        return tuple(given) if isinstance(given, list) else given

    def raw_label(self, row: Mapping[str, Any]) -> Any:
        """The label, of anything but a regression."""
        given = [row[name] for name in self.columns[1] if row.get(name) is not None]
        return given[0] if given and self.settings.problem != "regression" else None

    def reading(self, labels: Sequence[Any]) -> Task:
        """The task that reads labels as a file writes them: names or numbers, lists or vectors of 0 and 1."""
        from edgewright.tasks._labels import Labels

        found = copy(self)
        found.written = Labels.of(self.settings.labels, labels, several=self.settings.problem == "multi_label")
        return found

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `sentence` or `text`, and `label`: a name or number, several of them, or a value.

        Several are a list, joined by `,`, or a vector of a 0 or 1 for each label of the model. A pair of texts stands
        in two columns such as `sentence1` and `sentence2`, or `text` and `text_pair`.
        """
        both, given = pair(row), self.column(row, 1)
        item = (text(both[0]), text(both[1])) if both else text(self.column(row, 0))
        if self.settings.problem == "regression":
            return Example(item, number(given))
        if self.settings.problem == "multi_label":
            return Example(item, self._known.several(given))
        return Example(item, self._known.one(given))

    @property
    def _known(self) -> Labels:
        from edgewright.tasks._labels import Labels

        return self.written or Labels.either(self.settings.labels)

    def measured(self, metric: str, answers: Sequence[Any], examples: Sequence[Example]) -> Metric:
        """Of a regression its first value counts; of several labels each above 0.5 is a class of its own for F1."""
        wanted, problem, labels = [example.label for example in examples], self.settings.problem, self.settings.labels
        if problem == "regression":
            values = [next(one["score"] for one in answer if one["label"] == labels[0]) for answer in answers]
            return (metrics.spearman if metric == "spearman" else metrics.pearson)(values, wanted)
        if problem == "multi_label":
            above = [frozenset(labels.index(one["label"]) for one in row if one["score"] > 0.5) for row in answers]
            return self._of_several(metric, above, wanted)
        best = [answer[0] if isinstance(answer, list) else answer for answer in answers]
        return self._of_one(metric, [labels.index(one["label"]) for one in best], wanted)

    def _of_one(self, metric: str, found: Sequence[int], wanted: Sequence[int]) -> Metric:
        classes = len(self.settings.labels)
        if metric == "matthews":
            return metrics.matthews(wanted, found, classes)
        if metric == "accuracy":
            return metrics.mean([a == b for a, b in zip(found, wanted, strict=True)])
        right, guesses, golds = metrics.counts(wanted, found, classes)
        if metric == "f1":
            return metrics.f1(right[:, 1], guesses[:, 1], golds[:, 1])
        return metrics.f1(right, guesses, golds, "macro" if metric == "f1-macro" else "micro")

    def _of_several(self, metric: str, found: Sequence[frozenset[int]], wanted: Sequence[frozenset[int]]) -> Metric:
        if metric == "accuracy":
            return metrics.mean([a == b for a, b in zip(found, wanted, strict=True)])
        every = range(len(self.settings.labels))
        guesses, golds = (np.array([[at in one for at in every] for one in side]) for side in (found, wanted))
        return metrics.f1(guesses & golds, guesses, golds, "macro" if metric == "f1-macro" else "micro")

    def record(self, answer: Label | list[Label]) -> list[dict[str, Any]]:
        """Labels as objects with `label` and `score`: a list in any case, of one label where one was asked."""
        found: list[dict[str, Any]] = super().record(answer if isinstance(answer, list) else [answer])
        return found


def _sigmoid(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(-np.abs(logits))
    chances: NDArray[Any] = np.where(logits >= 0, 1.0, powers) / (1.0 + powers)
    return chances


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    shares: NDArray[Any] = softmax(logits[None])[0]
    return shares


_FUNCTIONS: dict[_Function, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "none": np.asarray,
}
_OF_PROBLEM: dict[str, _Function] = {"single_label": "softmax", "multi_label": "sigmoid", "regression": "none"}
