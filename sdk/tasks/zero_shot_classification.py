"""zero-shot-classification: a text and labels of the asker's own -> the labels with scores. Scored by accuracy.

A model of natural language inference is asked of each label whether the text entails a sentence with it (Yin et al.
2019, arXiv 1909.00161), as transformers' pipeline of that name does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import numpy as np
from msgspec.structs import replace

from edgewright.errors import DataError, UsageError
from edgewright.statistics import metrics
from edgewright.tasks import Asked, Choice, Example, Task, gaps, per_label, softmax, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["ZeroShotClassification"]

_TEMPLATE = "This example is {}."
"""The default of transformers' pipeline."""
_ASKED_OF_GATES = ("good", "bad")
"""The labels that the gate's texts are asked about: any would do, and each costs a run."""


class _Answer(TypedDict):
    """A text, and the labels with their probabilities, the likeliest first."""

    sequence: str
    labels: list[str]
    scores: list[float]


class _Asked(Asked, frozen=True):
    """Options of transformers' pipeline of that name.

    Attributes:
        candidate_labels: the labels, where an item has none of its own.
        hypothesis_template: the sentence, with {} for a label; "This example is {}." by default.
        multi_label: whether several labels may be right, each scored by itself.
    """

    candidate_labels: tuple[str, ...] | None = None
    hypothesis_template: str | None = None
    multi_label: bool | None = None


class ZeroShotClassification(Task):
    """The answer to a text is its labels, with the softmax over their entailments.

    With `multi_label`, or one label, the score of each is the softmax of its entailment and its contradiction. A label
    is an engine run; what is too long is cut from the text, and never from the sentence with the label.
    """

    name = "zero-shot-classification"
    auto_class = "AutoModelForSequenceClassification"
    heads = ("ForSequenceClassification",)
    outputs = ("logits",)
    metrics = ("accuracy",)
    columns: ClassVar[tuple[tuple[str, ...], ...]] = (("text", "sentence", "sequence"), ("label", "labels"))
    parts = ("sequence", "candidate_labels")
    second = "candidate_labels"
    asks = _Asked
    asked: _Asked

    def asking(self, **options: Any) -> Task:
        """As any task; labels may be a text of them with commas between. Raises UsageError."""
        given = options.get("candidate_labels")
        if given is not None:
            options["candidate_labels"] = _labels(given)
        found = super().asking(**options)
        template = options.get("hypothesis_template")
        if template is not None and _hypothesis(template, "a") == template:
            raise UsageError(f"hypothesis_template {template!r} has no {{}} for the label", hint=f"as in {_TEMPLATE!r}")
        return found

    def called(self, given: Sequence[Any], options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Labels of a call are an option: they are those of every text in it."""
        if len(given) == 2 and "candidate_labels" not in options:
            given, options = given[:1], {**options, "candidate_labels": given[1]}
        if len(given) != 1 and not (not given and "sequence" in options):
            return super().called(given, options)
        rest = dict(options)
        return (given[0] if given else rest.pop("sequence")), rest

    def taken(self, given: Any, where: str = "the item") -> Any:
        """A text, to be asked about the labels of the call, or {"sequence", "candidate_labels"}. Raises DataError."""
        own: dict[str, Any] = dict(given) if isinstance(given, dict) else {"sequence": given}
        own = {"sequence": own.pop("text"), **own} if "text" in own and "sequence" not in own else own
        labels = own.pop("candidate_labels", self.asked.candidate_labels)
        if set(own) != {"sequence"}:
            raise DataError(f"{where} has the keys {', '.join(map(str, own))}", hint=_FORM)
        if not labels:
            raise DataError(f"{where} has no labels to choose from", hint=f"{_FORM}, or candidate_labels to all")
        return {"sequence": super().taken(own["sequence"], where), "candidate_labels": list(_labels(labels))}

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Texts with labels -> a row for each label. Raises DataError for anything else."""
        self._entailed()
        taken = [self.taken(item) for item in items]
        template = self.asked.hypothesis_template or _TEMPLATE
        pairs = [
            (item["sequence"], _hypothesis(template, label)) for item in taken for label in item["candidate_labels"]
        ]
        owners = [at for at, item in enumerate(taken) for _ in item["candidate_labels"]]
        names = tuple(label for item in taken for label in item["candidate_labels"])
        return replace(tokenizer.encode(pairs, cut_first=True), items=tuple(owners), labels=names)

    def item(self, given: Any, tokenizer: Tokenizer) -> Any:
        """A text with two labels."""
        del tokenizer
        return {"sequence": given, "candidate_labels": list(_ASKED_OF_GATES)}

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """The logits of each text's labels, float32 (labels, classes of the model)."""
        logits, owners = per_label(outputs["logits"], self.settings.labels), np.array(encoding.items)
        return [logits[owners == item] for item in dict.fromkeys(encoding.items)]

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[_Answer]:
        """Logits (rows, classes) -> for each text its labels, the likeliest first."""
        owners, found = np.array(encoding.items), []
        for item, logits in zip(dict.fromkeys(encoding.items), self.reduce(outputs, encoding), strict=True):
            rows = np.flatnonzero(owners == item).tolist()
            scores = self._scores(logits)
            order = scores.argsort(kind="stable")[::-1].tolist()
            labels = [encoding.labels[rows[at]] for at in order]
            sequence = str(encoding.texts[rows[0]][0])
            found.append(_Answer(sequence=sequence, labels=labels, scores=[float(scores[at]) for at in order]))
        return found

    def _scores(self, logits: NDArray[Any]) -> NDArray[Any]:
        entailed = self._entailed()
        if self.asked.multi_label or len(logits) == 1:
            contradicted = -1 if entailed == 0 else 0
            several: NDArray[Any] = softmax(logits[:, [contradicted, entailed]])[:, 1]
            return several
        (one,) = softmax(logits[:, entailed][None])
        return one  # type: ignore[no-any-return]

    def _entailed(self) -> int:
        """The number of the model's label that says so. Raises UsageError where it has none."""
        labels = self.settings.labels
        found = next((at for at, name in enumerate(labels) if name.lower().startswith("entail")), None)
        if found is None:
            what = f"none of the labels {', '.join(labels) or 'of the model'} is an entailment"
            raise UsageError(what, hint="zero-shot-classification wants a model of natural language inference")
        return found

    def choices(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Choice] | None:
        """The likeliest label of each text, by the logits of their entailments."""
        rows = [logits[:, self._entailed()][None] for logits in self.reduce(outputs, encoding)]
        return [Choice(row.argmax(axis=1)[:, None], gaps(row)) for row in rows]

    def raw_label(self, row: Mapping[str, Any]) -> Any:
        """The label, whose names are what a text is asked about."""
        return next((row[name] for name in self.columns[1] if row.get(name) is not None), None)

    def reading(self, labels: Sequence[Any]) -> Task:
        """The task that asks about the labels of a file, unless it was told others."""
        names = sorted({str(label).strip() for label in labels})
        return self if self.asked.candidate_labels or not names else self.asking(candidate_labels=names)

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `text`, and `label`, a name."""
        label = str(self.column(row, 1)).strip()
        item = self.taken(text(self.column(row, 0)), "the row")
        if label not in item["candidate_labels"]:
            raise DataError(f"label {label!r} is none of {', '.join(item['candidate_labels'])}")
        return Example(item, label)

    def measured(self, metric: str, answers: Sequence[_Answer], examples: Sequence[Example]) -> Metric:
        """The share of texts whose likeliest label is the right one."""
        del metric
        return metrics.mean([a["labels"][0] == e.label for a, e in zip(answers, examples, strict=True)])


_FORM = 'give {"sequence": "...", "candidate_labels": ["...", "..."]}'


def _labels(given: Any) -> tuple[str, ...]:
    words = given.split(",") if isinstance(given, str) else list(given)
    return tuple(word for one in words if (word := text(one).strip()))


def _hypothesis(template: str, label: str) -> str:
    try:
        return template.format(label)
    except (IndexError, KeyError, ValueError) as error:
        raise UsageError(f"hypothesis_template {template!r}: {error}", hint=f"as in {_TEMPLATE!r}") from error
