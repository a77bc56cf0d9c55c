"""Tasks: what goes into a model, what comes out, and how it is scored. One file each; the file's name is the key."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from edgewright.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.manifest import Settings
    from edgewright.tokenizer import Encoding, Tokenizer

    Run = Callable[[Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]

__all__ = ["Example", "Label", "Task", "number", "text"]


class Label(NamedTuple):
    """A class and its probability, or the value of a regression."""

    name: str
    score: float


@dataclass(frozen=True)
class Example:
    """One labelled row of a data file: what the model is asked, and what is right."""

    item: Any
    label: Any


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


class Task(ABC):
    """One task with a model's settings. A task with one engine run per batch needs only the abstract methods.

    A task whose item becomes several rows, or that runs the engine in a loop, overrides `answer`.

    Attributes:
        auto_class: the class of `transformers` that loads the model with the right head.
        heads: endings of architecture names that belong to the task, such as `ForSequenceClassification`.
        outputs: names of the model's outputs.
        metric: what `score` computes, in percent.
        columns: the data columns that make the item, then the label column, each with its accepted names.
    """

    name: ClassVar[str]
    auto_class: ClassVar[str]
    heads: ClassVar[tuple[str, ...]]
    outputs: ClassVar[tuple[str, ...]]
    metric: str
    columns: ClassVar[tuple[tuple[str, ...], ...]]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def answer(self, run: Run, tokenizer: Tokenizer, items: Sequence[Any]) -> list[Any]:
        """One engine run: items -> tokens -> `run` -> answers, one for each item."""
        encoding = self.encode(tokenizer, items)
        return self.decode(run(encoding.feeds), encoding)

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Items -> token arrays. The default takes texts and pairs of texts."""
        return tokenizer.encode(items)

    @abstractmethod
    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> NDArray[Any]:
        """Engine outputs -> float32 (n, k), the numbers that answer and golden cases rest on."""

    @abstractmethod
    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Any]:
        """Engine outputs -> n answers."""

    def margins(self, reduced: NDArray[Any]) -> NDArray[Any]:
        """How far each row of the reduced outputs (n, k) is from choosing something else, float (n,)."""
        best = np.sort(reduced, axis=1)
        margins: NDArray[Any] = best[:, -1] - best[:, -2] if reduced.shape[1] > 1 else np.full(len(reduced), np.inf)
        return margins

    def classes(self, reduced: NDArray[Any]) -> NDArray[Any] | None:
        """Reduced outputs (n, k) -> what was chosen for each, (n, any); None where the task has no classes."""
        del reduced
        return None

    @abstractmethod
    def example(self, row: Mapping[str, Any]) -> Example:
        """A row of a data file, by column name -> an example. Raises DataError."""

    def items(self, examples: Sequence[Example]) -> list[Any]:
        """What has to be encoded to score `examples`, in the order in which `score` wants the outputs."""
        return [example.item for example in examples]

    @abstractmethod
    def score(self, reduced: NDArray[Any], examples: Sequence[Example]) -> float:
        """Reduced outputs of all examples' items and the examples -> the metric in percent."""

    def metric_of(self, reduced: NDArray[Any], examples: Sequence[Example]) -> float:
        """`score` with four decimals. Raises DataError where it is not a number."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.score(reduced, examples)
        if not math.isfinite(value):
            raise DataError(f"{self.metric} over {len(examples)} rows is not a number", hint="the labels must differ")
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
