"""text-classification: a text or a pair of texts -> labels with scores. Scored by accuracy, in percent of the rows.

A row of a model with several labels counts when exactly its labels are above 0.5; a regression is scored by Pearson's
correlation, in percent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import DataError, EngineError
from edgewright.tasks import Example, Label, Task, number, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.manifest import Settings
    from edgewright.tokenizer import Encoding

__all__ = ["TextClassification"]


class TextClassification(Task):
    """The answer to one text is a list of labels.

    `single_label`: the best one with its softmax probability. `multi_label`: each one whose sigmoid is above 0.5, best
    first. `regression`: each output as it is.
    """

    name = "text-classification"
    auto_class = "AutoModelForSequenceClassification"
    heads = ("ForSequenceClassification",)
    outputs = ("logits",)
    columns = (("sentence", "text"), ("label",))

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.metric = "pearson" if settings.problem == "regression" else "accuracy"

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> NDArray[Any]:
        """The logits, float32 (n, labels). Raises EngineError where there are not as many as labels."""
        del encoding
        logits, labels = outputs["logits"], self.settings.labels
        if logits.shape[1:] != (len(labels),):
            raise EngineError(
                f"logits have the shape {logits.shape}, the labels are {len(labels)}: {', '.join(labels)}"
            )
        return logits

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
        return [Label(name, float(value)) for name, value in zip(self.settings.labels, logits, strict=True)]

    def classes(self, reduced: NDArray[Any]) -> NDArray[Any] | None:
        """The largest logit of each row, (n, 1), or which logits are above zero, (n, labels); None for a regression."""
        if self.settings.problem == "regression":
            return None
        if self.settings.problem == "multi_label":
            above: NDArray[Any] = reduced > 0
            return above
        chosen: NDArray[Any] = reduced.argmax(axis=1, keepdims=True)
        return chosen

    def margins(self, reduced: NDArray[Any]) -> NDArray[Any]:
        """The gap of the two best logits, or with several labels the distance of the nearest one from zero."""
        nearest: NDArray[Any] = np.abs(reduced).min(axis=1)
        return nearest if self.settings.problem == "multi_label" else super().margins(reduced)

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `sentence` or `text`, and `label`: a number or name, several joined by `,`, or a value."""
        item, given = text(self.column(row, 0)), self.column(row, 1)
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

    def score(self, reduced: NDArray[Any], examples: Sequence[Example]) -> float:
        """Accuracy, or Pearson's correlation of a regression, in percent."""
        labels = [example.label for example in examples]
        if self.settings.problem == "regression":
            return float(np.corrcoef(reduced[:, 0], np.array(labels))[0, 1] * 100)
        if self.settings.problem == "multi_label":
            rows = [frozenset(np.flatnonzero(row > 0).tolist()) for row in reduced]
            return float(np.mean([a == b for a, b in zip(rows, labels, strict=True)]) * 100)
        return float((reduced.argmax(axis=1) == np.array(labels)).mean() * 100)

    def record(self, answer: list[Label]) -> list[dict[str, Any]]:
        """Labels as objects with `name` and `score`."""
        return [{"name": name, "score": round(score, 6)} for name, score in answer]
