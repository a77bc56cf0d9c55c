"""text-classification: a text or a pair of texts -> labels with scores. Scored by accuracy, in percent of the rows.

A row of a model with several labels counts when exactly its labels are above 0.5; a regression is scored by Pearson's
correlation, in percent. The other metrics are those of GLUE (Wang et al. 2018, arXiv 1804.07461, table 1): `f1` of the
second of two classes (MRPC, QQP), `matthews` (CoLA), `spearman` (STS-B).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import DataError
from edgewright.statistics import metrics
from edgewright.tasks import Choice, Example, Label, Task, gaps, number, per_label, text
from edgewright.text.encoding import pair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Settings
    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["TextClassification"]


class TextClassification(Task):
    """The answer to one text is a list of labels.

    `single_label`: the best one with its softmax probability. `multi_label`: each one whose sigmoid is above 0.5, best
    first. `regression`: each output as it is, or through the sigmoid where the source says so, as a cross-encoder does.
    """

    name = "text-classification"
    auto_class = "AutoModelForSequenceClassification"
    heads = ("ForSequenceClassification",)
    outputs = ("logits",)
    columns = (("sentence", "text"), ("label",))

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        known = {
            "regression": ("pearson", "spearman"),
            "multi_label": ("accuracy", "f1-micro", "f1-macro"),
        }.get(settings.problem, ("accuracy", "f1-micro", "f1-macro", "matthews"))
        self.metrics = (*known, "f1") if len(settings.labels) == 2 and "matthews" in known else known

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """The logits of each text, float32 (labels,). Raises EngineError where there are not as many as labels."""
        del encoding
        return list(per_label(outputs["logits"], self.settings.labels))

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[list[Label]]:
        """Logits (n, labels) -> n lists of labels."""
        one = {"multi_label": self._several, "regression": self._values}.get(self.settings.problem, self._best)
        return [one(row) for row in self.reduce(outputs, encoding)]

    def _best(self, logits: NDArray[Any]) -> list[Label]:
        best = int(logits.argmax())
        share = 1.0 / float(np.exp(logits - logits[best]).sum())
        return [Label(self.settings.labels[best], share)]

    def _several(self, logits: NDArray[Any]) -> list[Label]:
        chances = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
        order = np.argsort(-chances, kind="stable")
        return [Label(self.settings.labels[i], float(chances[i])) for i in order if chances[i] > 0.5]

    def _values(self, logits: NDArray[Any]) -> list[Label]:
        if self.settings.activation == "sigmoid":
            logits = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
        return [Label(name, float(value)) for name, value in zip(self.settings.labels, logits, strict=True)]

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

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `sentence` or `text`, and `label`: a number or name, several joined by `,`, or a value.

        A pair of texts stands in two columns such as `sentence1` and `sentence2`, or `text` and `text_pair`.
        """
        both, given = pair(row), self.column(row, 1)
        item = (text(both[0]), text(both[1])) if both else text(self.column(row, 0))
        if self.settings.problem == "regression":
            return Example(item, number(given))
        if self.settings.problem == "multi_label":
            names = given if isinstance(given, list) else [name for name in str(given).split(",") if name]
            return Example(item, frozenset(self._label(name) for name in names))
        return Example(item, self._label(given))

    def _label(self, given: Any) -> int:
        labels = self.settings.labels
        if str(given) in labels:
            return labels.index(str(given))
        if str(given).isdecimal() and int(given) < len(labels):
            return int(given)
        raise DataError(f"label {given!r} is none of {', '.join(labels)} or 0..{len(labels) - 1}")

    def measured(self, metric: str, answers: Sequence[Sequence[Label]], examples: Sequence[Example]) -> Metric:
        """Of a regression its first value counts; of several labels each is a class of its own for F1."""
        labels, problem = [example.label for example in examples], self.settings.problem
        if problem == "regression":
            values = [answer[0].score for answer in answers]
            return (metrics.spearman if metric == "spearman" else metrics.pearson)(values, labels)
        found = [[self.settings.labels.index(label.name) for label in answer] for answer in answers]
        if problem == "multi_label":
            return self._of_several(metric, [frozenset(classes) for classes in found], labels)
        return self._of_one(metric, [classes[0] for classes in found], labels)

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

    def record(self, answer: list[Label]) -> list[dict[str, Any]]:
        """Labels as objects with `name` and `score`."""
        return [{"name": name, "score": round(score, 6)} for name, score in answer]
