"""Tasks: what goes into a model, what comes out, and how it is scored. One file each; the file's name is the key."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from msgspec import structs

from edgewright.errors import DataError, EngineError, UsageError
from edgewright.statistics import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Settings
    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

    Outputs = Mapping[str, NDArray[Any]]
    Run = Callable[[Outputs], dict[str, NDArray[Any]]]

__all__ = [
    "Choice",
    "Entity",
    "Example",
    "Filling",
    "Label",
    "Passage",
    "Task",
    "gaps",
    "number",
    "per_label",
    "softmax",
    "text",
    "trimmed",
]


class Label(NamedTuple):
    """A class and its probability, or the value of a regression."""

    name: str
    score: float


class Entity(NamedTuple):
    """A stretch of a text with a name and its probability: `text` is the given text's `[start:end]`."""

    name: str
    score: float
    start: int
    end: int
    text: str


class Passage(NamedTuple):
    """The stretch of a context that answers a question, and its probability: `text` is the context's `[start:end]`."""

    text: str
    start: int
    end: int
    score: float


class Filling(NamedTuple):
    """A token for a mask, its probability, and the text with it, as the tokenizer writes it."""

    token: str
    score: float
    sequence: str


@dataclass(frozen=True)
class Example:
    """One labelled row of a data file: what the model is asked, and what is right."""

    item: Any
    label: Any


class Choice(NamedTuple):
    """What the outputs of one item choose, of which the gate counts how many are the eager model's.

    Attributes:
        classes: what was chosen, (choices, any).
        margins: how far each choice is from being another one, in the unit of the reduced outputs, (choices,).
    """

    classes: NDArray[Any]
    margins: NDArray[Any]


def gaps(values: NDArray[Any]) -> NDArray[Any]:
    """The gap of the two largest values of each row, (n, k) -> (n,); infinite where there is one."""
    best = np.sort(values, axis=1)
    found: NDArray[Any] = best[:, -1] - best[:, -2] if values.shape[1] > 1 else np.full(len(values), np.inf)
    return found


def softmax(values: NDArray[Any]) -> NDArray[Any]:
    """Probabilities of each row, (n, k) -> float64 (n, k)."""
    powers = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True, initial=-np.inf))
    shares: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def per_label(logits: NDArray[Any], labels: Sequence[str]) -> NDArray[Any]:
    """Logits (..., labels) as they are. Raises EngineError where there are not as many as labels."""
    if logits.shape[-1] != len(labels):
        what = f"logits have the shape {logits.shape}, the labels are {len(labels)}: {', '.join(labels)}"
        raise EngineError(what)
    return logits


def trimmed(whole: str, start: int, end: int) -> tuple[int, int]:
    """A stretch (start, end) of a text without the white space at its ends; (start, start) of nothing else."""
    inside = whole[start:end]
    if inside.strip():
        start += len(inside) - len(inside.lstrip())
    return start, start + len(inside.strip())


def text(value: Any) -> str:
    """A cell of a data file that must be a text. Raises DataError."""
    if not isinstance(value, str):
        raise DataError(f"text {value!r} is a {type(value).__name__}, not a string")
    return value


def number(value: Any) -> float:
    """A cell of a data file that must be a finite number. Raises DataError."""
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{value!r} is not a number") from error
    if not math.isfinite(found):
        raise DataError(f"{value!r} is not a finite number")
    return found


def _prompted(prompt: str, item: Any) -> Any:
    return (prompt + text(item[0]), *item[1:]) if isinstance(item, tuple | list) else prompt + text(item)


class Task(ABC):
    """One task with a model's settings. A task that runs the engine once for each row needs only the abstract methods.

    A task whose item becomes several rows overrides `encode`; one that runs the engine in a loop overrides `answer`.

    Attributes:
        auto_class: the class of `transformers` that loads the model with the right head.
        heads: endings of architecture names that belong to the task, such as `ForSequenceClassification`.
        outputs: names of the model's outputs.
        per_token: whether the outputs are (n, length, ...), something for each token, or (n, ...).
        gate: which list of cases in gate_texts.json the gate asks.
        metric: what `score` computes, in percent.
        metrics: every metric that `measured` knows; the task's own is the first.
        lines: whether a row is a text alone, so that a file of lines will do.
        columns: the data columns that make the item, then the label column, each with its accepted names.
    """

    name: ClassVar[str]
    auto_class: ClassVar[str]
    heads: ClassVar[tuple[str, ...]]
    outputs: tuple[str, ...]
    per_token: bool = False
    gate: ClassVar[str] = "texts"
    metrics: tuple[str, ...]
    lines: ClassVar[bool] = False
    columns: ClassVar[tuple[tuple[str, ...], ...]]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def answer(self, run: Run, tokenizer: Tokenizer, items: Sequence[Any]) -> list[Any]:
        """Items -> tokens -> engine runs -> answers, one for each item."""
        encoding = self.encode(tokenizer, items)
        return self.decode(encoding.run(run), encoding)

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Items -> token arrays. The default takes texts and pairs, and puts the source's prompt before each."""
        prompt = self.settings.prompt
        return tokenizer.encode([_prompted(prompt, item) for item in items] if prompt else items)

    def prompted(self, name: str) -> Task:
        """The task with one of the source's prompts before every text. Raises UsageError: it has none of that name."""
        known = self.settings.prompts
        if name not in known:
            raise UsageError(f"no prompt {name!r}", hint=f"the source has {', '.join(known) or 'none'}")
        return type(self)(structs.replace(self.settings, prompt=known[name]))

    def item(self, given: Any, tokenizer: Tokenizer) -> Any:
        """A plain text of ours, or an entry of `gate`, as an item of the task, for the gate and for measuring."""
        del tokenizer
        return given

    def rows(self, outputs: Outputs, encoding: Encoding) -> list[list[NDArray[Any]]]:
        """Engine outputs -> for each row of the encoding its outputs, without what belongs to padding.

        In the order of `self.outputs`: an engine gives them in one of its own.
        """
        arrays = [outputs[name] for name in self.outputs]
        kept = encoding.feeds.get("picked", encoding.feeds["attention_mask"]).astype(bool)
        if "picked" in encoding.feeds:
            ends = np.cumsum(kept.sum(axis=1))[:-1]
            return [list(row) for row in zip(*(np.split(array, ends) for array in arrays), strict=True)]
        if self.per_token:
            return [[array[at][real] for array in arrays] for at, real in enumerate(kept)]
        return [[array[at] for array in arrays] for at in range(len(kept))]

    @abstractmethod
    def reduce(self, outputs: Outputs, encoding: Encoding) -> list[NDArray[Any]]:
        """Engine outputs -> for each item a float32 array of any shape: the numbers that its answer rests on."""

    @abstractmethod
    def decode(self, outputs: Outputs, encoding: Encoding) -> list[Any]:
        """Engine outputs -> an answer for each item."""

    def choices(self, outputs: Outputs, encoding: Encoding) -> list[Choice] | None:
        """Engine outputs -> what they choose for each item; None where the task has no classes."""
        del outputs, encoding
        return None

    @abstractmethod
    def example(self, row: Mapping[str, Any]) -> Example:
        """A row of a data file, by column name -> an example. Raises DataError."""

    def items(self, examples: Sequence[Example]) -> list[Any]:
        """What has to be answered to score `examples`, in the order in which `score` wants the answers."""
        return [example.item for example in examples]

    @property
    def metric(self) -> str:
        """The task's own metric."""
        return self.metrics[0]

    def variant(self, metric: str) -> Task:
        """The task that asks what `metric` is about: this one, unless the metric has rows or runs of its own.

        Raises:
            UsageError: the task has no such metric.
        """
        if metric not in self.metrics:
            raise UsageError(f"{self.name} has no metric {metric!r}", hint=f"choose from {', '.join(self.metrics)}")
        return self

    @abstractmethod
    def measured(self, metric: str, answers: Sequence[Any], examples: Sequence[Example]) -> Metric:
        """The answers to `items(examples)` and the examples -> one of `metrics`, as a function of the rows' weights."""

    def score(self, answers: Sequence[Any], examples: Sequence[Example]) -> float:
        """The task's own metric."""
        return metrics.value(self.measured(self.metric, answers, examples), len(examples))

    def metric_of(self, answers: Sequence[Any], examples: Sequence[Example]) -> float:
        """`score` with four decimals. Raises DataError where it is not a number."""
        return self.checked(self.metric, self.score(answers, examples), len(examples))

    def checked(self, metric: str, value: float, n: int) -> float:
        """The value of a metric over n rows with four decimals. Raises DataError where it is not a number."""
        if not math.isfinite(value):
            raise DataError(f"{metric} over {n} rows is not a number", hint="do the labels differ?")
        return round(value, 4)

    def record(self, answer: Any) -> Any:
        """An answer as plain JSON values."""
        return answer

    def column(self, row: Mapping[str, Any], at: int) -> Any:
        """The value of the column `columns[at]`, under whichever of its names. Raises DataError."""
        for name in self.columns[at]:
            if row.get(name) is not None:
                return row[name]
        raise DataError(f"no column {' or '.join(self.columns[at])}, found {', '.join(map(str, row)) or 'nothing'}")
