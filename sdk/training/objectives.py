"""What a model is trained on, by task: targets from labelled rows, the loss, the distance from a teacher's answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edgewright.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Settings
    from edgewright.tasks import Example, Task
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

    Tensors = Sequence[Any]

__all__ = ["IGNORED", "Objective", "objective_of"]

IGNORED = -100
"""The target of a token that no loss counts."""


class Objective(ABC):
    """The targets and losses of one task. Outputs are those of `task.outputs`, tensors (rows, ...) in that order.

    Attributes:
        per_token: whether a row has a target for each of its tokens, or one.
        kind: the targets' number type.
        shape: the shape of one target.
    """

    per_token: ClassVar[bool] = False
    kind: str = "<i8"
    shape: tuple[int, ...] = ()

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def encode(self, task: Task, tokenizer: Tokenizer, rows: Sequence[Example]) -> Encoding:
        """Labelled rows -> tokens."""
        return task.encode(tokenizer, [row.item for row in rows])

    @abstractmethod
    def targets(self, rows: Sequence[Example], encoding: Encoding) -> list[NDArray[Any]]:
        """The target of each row of the encoding."""

    @abstractmethod
    def loss(self, outputs: Tensors, targets: Any, mask: Any) -> Any:
        """The mean loss of a batch."""

    @abstractmethod
    def divergence(self, outputs: Tensors, teacher: Tensors, mask: Any, temperature: float) -> Any:
        """How far a batch of outputs is from a teacher's, in the scale of `loss` (Hinton et al., arXiv 1503.02531)."""

    def check(self, path: Path) -> None:  # noqa: B027 - most tasks take any rows
        """Raise DataError where the rows that were seen cannot teach the task."""


def _soften(outputs: Any, teacher: Any, temperature: float) -> Any:
    """Kullback-Leibler divergence from the teacher over the last dimension, times temperature^2: (...,)."""
    from torch.nn import functional

    one, two = (functional.log_softmax(values.float() / temperature, -1) for values in (outputs, teacher))
    return functional.kl_div(one, two, reduction="none", log_target=True).sum(-1) * temperature**2


class _Classes(Objective):
    """One class, several, or numbers for each text."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.seen = np.zeros(len(settings.labels), np.int64)
        if settings.problem != "single_label":
            self.kind, self.shape = "<f4", (len(settings.labels),)

    def targets(self, rows: Sequence[Example], encoding: Encoding) -> list[NDArray[Any]]:
        del encoding
        return [self._target(row.label) for row in rows]

    def _target(self, label: Any) -> NDArray[Any]:
        if label is None:  # a variation, which only the teacher answers
            return np.full(self.shape, IGNORED, self.kind)
        if self.settings.problem == "regression":
            return np.full(self.shape, label, np.float32)
        chosen = sorted(label) if isinstance(label, frozenset) else [label]
        self.seen[chosen] += 1
        if self.settings.problem == "single_label":
            return np.array(chosen[0], np.int64)
        return np.isin(np.arange(self.shape[0]), chosen).astype(np.float32)

    def check(self, path: Path) -> None:
        if self.settings.problem != "regression" and not self.seen.all():
            empty = [name for name, count in zip(self.settings.labels, self.seen, strict=True) if not count]
            raise DataError(f"{path} has no row of {', '.join(empty)}", hint="add some, or leave the label out")

    def loss(self, outputs: Tensors, targets: Any, mask: Any) -> Any:
        from torch.nn import functional

        del mask
        (logits,) = outputs
        kinds: dict[str, Any] = {
            "single_label": functional.cross_entropy,
            "multi_label": functional.binary_cross_entropy_with_logits,
            "regression": functional.mse_loss,
        }
        known = (targets.flatten(1)[:, 0] if targets.ndim > 1 else targets) != IGNORED
        if not known.any():
            return logits.sum() * 0.0
        return kinds[self.settings.problem](logits[known].float(), targets[known])

    def divergence(self, outputs: Tensors, teacher: Tensors, mask: Any, temperature: float) -> Any:
        from torch.nn import functional

        del mask
        if self.settings.problem == "single_label":
            return _soften(outputs[0], teacher[0], temperature).mean()
        if self.settings.problem == "regression":
            return functional.mse_loss(outputs[0].float(), teacher[0].float())
        chances = (teacher[0].float() / temperature).sigmoid()
        logits = outputs[0].float() / temperature
        return functional.binary_cross_entropy_with_logits(logits, chances) * temperature**2


class _PerToken(Objective):
    """A class for tokens, over those whose target is not IGNORED."""

    per_token = True

    def loss(self, outputs: Tensors, targets: Any, mask: Any) -> Any:
        from torch.nn import functional

        del mask
        (logits,) = outputs
        return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED)

    def divergence(self, outputs: Tensors, teacher: Tensors, mask: Any, temperature: float) -> Any:
        return _soften(outputs[0][mask], teacher[0][mask], temperature).mean()


class _Tags(_PerToken):
    """A tag for the first piece of each word (Devlin et al. 2019, arXiv 1810.04805, section 5.3)."""

    def targets(self, rows: Sequence[Example], encoding: Encoding) -> list[NDArray[Any]]:
        labels = {name: at for at, name in enumerate(self.settings.labels)}
        return [self._tags(row.label.spans, encoding, at, labels) for at, row in enumerate(rows)]

    @staticmethod
    def _tags(spans: Any, encoding: Encoding, at: int, labels: dict[str, int]) -> NDArray[Any]:
        tags = np.full(len(encoding.offsets[at]), IGNORED, np.int64)
        begun: set[Any] = set()
        before = None
        for token, word in enumerate(encoding.words[at]):
            if encoding.sequences[at][token] is not None and word != before:
                start, end = encoding.offsets[at][token]
                span = next((span for span in spans if span[0] < max(end, start + 1) and start < span[1]), None)
                tags[token] = labels[_tag(span, span in begun, labels)]
                begun.add(span)
            before = word
        return tags


def _tag(span: Any, begun: bool, labels: dict[str, int]) -> str:  # noqa: FBT001 - a fact of the span
    if span is None:
        return "O" if "O" in labels else next(iter(labels))
    name = f"{'I' if begun else 'B'}-{span[2]}"
    return next(tag for tag in (name, f"I-{span[2]}", f"B-{span[2]}", span[2]) if tag in labels)


class _Span(Objective):
    """The first and the last token of the answer, in the windows that hold all of it; else the first token twice."""

    shape = (2,)

    def targets(self, rows: Sequence[Example], encoding: Encoding) -> list[NDArray[Any]]:
        owners = encoding.items or range(len(rows))
        return [np.array(_place(rows[owner], encoding, at), np.int64) for at, owner in enumerate(owners)]

    def loss(self, outputs: Tensors, targets: Any, mask: Any) -> Any:
        from torch.nn import functional

        sides = [functional.cross_entropy(_inside(side, mask), targets[:, at]) for at, side in enumerate(outputs)]
        return sum(sides) / 2

    def divergence(self, outputs: Tensors, teacher: Tensors, mask: Any, temperature: float) -> Any:
        pairs = zip(outputs, teacher, strict=True)
        return sum(_soften(_inside(a, mask), _inside(b, mask), temperature).mean() for a, b in pairs) / 2


def _inside(logits: Any, mask: Any) -> Any:
    """Logits (rows, length), very small where there is padding."""
    return logits.float().masked_fill(~mask, -1e4)


def _place(row: Example, encoding: Encoding, at: int) -> tuple[int, int]:
    context = encoding.texts[at][1]
    answer, start = row.label[0] if row.label else ("", None)
    if start is None or context[start : start + len(answer)] != answer:
        start = context.find(answer) if answer else -1
    end = start + len(answer)
    inside = [
        token
        for token, (side, (first, last)) in enumerate(zip(encoding.sequences[at], encoding.offsets[at], strict=True))
        if side == 1 and first < end and last > start
    ]
    whole = start >= 0 and inside and encoding.offsets[at][inside[0]][0] <= start
    return (inside[0], inside[-1]) if whole and encoding.offsets[at][inside[-1]][1] >= end else (0, 0)


class _Translations(Objective):
    """The tokens of a translation, each from those before it, with labels smoothed by 0.1 (arXiv 1706.03762, 5.4).

    A row holds the source's tokens and then the target's, which its types tell apart.
    """

    per_token = True

    def encode(self, task: Task, tokenizer: Tokenizer, rows: Sequence[Example]) -> Encoding:
        from edgewright.text.encoding import Encoding

        del task
        sides = [tokenizer.encode([text]).feeds["input_ids"][0] for row in rows for text in (row.item, row.label)]
        pairs = list(zip(sides[::2], sides[1::2], strict=True))
        longest = max(len(a) + len(b) for a, b in pairs)
        feeds = {name: np.zeros((len(rows), longest), np.int64) for name in ("input_ids", "attention_mask")}
        feeds["token_type_ids"] = np.zeros((len(rows), longest), np.int64)
        for at, (source, target) in enumerate(pairs):
            length = len(source) + len(target)
            feeds["input_ids"][at, :length] = np.concatenate([source, target])
            feeds["attention_mask"][at, :length] = 1
            feeds["token_type_ids"][at, len(source) : length] = 1
        return Encoding(feeds, offsets=[[] for _ in rows])

    def targets(self, rows: Sequence[Example], encoding: Encoding) -> list[NDArray[Any]]:
        del rows
        ids, types = encoding.feeds["input_ids"], encoding.feeds["token_type_ids"]
        every = np.where(types == 1, ids, IGNORED)
        return [row[:length] for row, length in zip(every, encoding.lengths, strict=True)]

    def loss(self, outputs: Tensors, targets: Any, mask: Any) -> Any:
        from torch.nn import functional

        del targets, mask  # the model has moved the targets to where their logits are
        logits, wanted = outputs
        flat = logits.float().flatten(0, 1)
        return functional.cross_entropy(flat, wanted.flatten(), ignore_index=IGNORED, label_smoothing=_SMOOTHED)

    def divergence(self, outputs: Tensors, teacher: Tensors, mask: Any, temperature: float) -> Any:
        del outputs, teacher, mask, temperature
        raise UsageError(
            "a translator is not distilled from logits",
            hint="edgewright distill trains one on a teacher's translations",
        )


_SMOOTHED = 0.1
"""Of a token's target, spread over all others: Vaswani et al. 2017 (arXiv 1706.03762), section 5.4."""

_OBJECTIVES: dict[str, type[Objective]] = {
    "text-classification": _Classes,
    "token-classification": _Tags,
    "question-answering": _Span,
    "translation": _Translations,
}


def objective_of(task: Task) -> Objective:
    """The objective of a task. Raises UsageError where a task has none."""
    if task.name not in _OBJECTIVES:
        hint = f"these can be trained: {', '.join(_OBJECTIVES)}"
        raise UsageError(f"{task.name} cannot be trained on labelled rows", hint=hint)
    return _OBJECTIVES[task.name](task.settings)
