"""Tasks: what goes into a model, what comes out, and how it is scored. One file each; the file's name is the key."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypedDict

import msgspec
import numpy as np
from msgspec import Struct, structs

from edgewright.errors import DataError, EngineError, UsageError, quoted
from edgewright.statistics import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import Settings
    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

    Outputs = Mapping[str, NDArray[Any]]
    Run = Callable[[Outputs], dict[str, NDArray[Any]]]

__all__ = [
    "Asked",
    "Choice",
    "Entity",
    "Example",
    "Filling",
    "Label",
    "Passage",
    "TaggedToken",
    "Task",
    "check_asked",
    "check_at_once",
    "gaps",
    "number",
    "per_label",
    "softmax",
    "text",
    "trimmed",
]


class Label(TypedDict):
    """A class with its probability, or the value of a regression."""

    label: str
    score: float


class Entity(TypedDict):
    """A stretch of a text with a name and its probability.

    `word` is what the tokenizer makes of its tokens, in lower case where that is the model's; the stretch as it was
    given is `text[start:end]`.
    """

    entity_group: str
    score: float
    word: str
    start: int
    end: int


class TaggedToken(TypedDict):
    """A token of a text with its tag: what `aggregation_strategy="none"` answers. `index` counts special tokens too."""

    entity: str
    score: float
    index: int
    word: str
    start: int
    end: int


class Passage(TypedDict):
    """The stretch `[start:end]` of a context that answers a question, and its probability; "" where none does."""

    score: float
    start: int
    end: int
    answer: str


class Filling(TypedDict):
    """A token for a mask: its probability, its id, the token as text, and the whole text with it."""

    score: float
    token: int
    token_str: str
    sequence: str


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """How a task shall answer: the options of a call, by the names that transformers' pipelines give them.

    A task with options has a struct made of this. None is what was not asked.
    """


class Example(Struct, frozen=True):
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


def check_at_once(task: Task, doing: str) -> None:
    """Raise UsageError for a task whose answers are written token by token, where they are wanted from one run."""
    if task.generates:
        what = f"models for {task.name} are not {doing} yet"
        raise UsageError(what, hint="edgewright build, run, verify, eval, bench, serve and flash take them")


def check_asked(task: Task, *, written: Iterable[object] = (), paired: Iterable[object] = ()) -> None:
    """Raise UsageError for what means nothing to a task.

    Args:
        task: that is asked.
        written: the values of options of a decoder.
        paired: what an encoder is given beside a text.
    """
    if any(written) and not task.generates:
        raise UsageError(f"{task.name} gives its answer at once: the options of a decoder mean nothing")
    if task.generates and any(value is not None for value in paired):
        raise UsageError(f"{task.name} is given texts alone: a pair or a query means nothing")


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
        generates: whether an answer is written token by token, see `edgewright.generation`, and not given by one run.
        reads_source: whether what it writes is another text, which an encoder has read: a translation.
        lines: whether a row is a text alone, so that a file of lines will do.
        columns: the data columns that make the item, then the label column, each with its accepted names.
        asks: the options that a call may give.
        parts: the names of an item's parts, where it is more than a text.
        at_a_time: how many items `answers` makes the most of in one call.
        second: which part or option a second argument of a call is, if there may be one.
    """

    name: ClassVar[str]
    auto_class: ClassVar[str]
    heads: ClassVar[tuple[str, ...]]
    outputs: tuple[str, ...]
    per_token: bool = False
    gate: ClassVar[str] = "texts"
    metrics: tuple[str, ...]
    generates: ClassVar[bool] = False
    reads_source: ClassVar[bool] = False
    lines: ClassVar[bool] = False
    columns: ClassVar[tuple[tuple[str, ...], ...]]
    asks: ClassVar[type[Asked]] = Asked
    parts: ClassVar[tuple[str, ...]] = ("text", "text_pair")
    second: ClassVar[str] = ""
    at_a_time: int = 1

    def __init__(self, settings: Settings, asked: Any = None) -> None:
        self.settings = settings
        self.asked = asked or self.asks()

    def asking(self, **options: Any) -> Task:
        """The task that answers so; what is not given stays as it was. `top_k=None` is all, as in transformers.

        Raises:
            UsageError: an option that the task has not, or a value that cannot be.
        """
        known = self.asks.__struct_fields__
        strangers = [name for name in options if name not in known]
        if strangers:
            hint = f"it has {', '.join(known)}" if known else "it has none"
            raise UsageError(f"{self.name} has no option {', '.join(strangers)}", hint=hint)
        given = {name: value for name, value in options.items() if value is not None or name == "top_k"}
        if "top_k" in given and given["top_k"] is None:
            given["top_k"] = 0
        try:
            asked = msgspec.convert({**msgspec.to_builtins(self.asked), **given}, self.asks, strict=True)
        except msgspec.ValidationError as error:
            raise UsageError(f"an option of {self.name} cannot be: {error}".replace("`$.", "`")) from error
        return type(self)(self.settings, asked)

    def called(self, given: Sequence[Any], options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The arguments of a call -> the item or items, and the options. Raises UsageError."""
        named = {name: options[name] for name in self.parts if name in options}
        rest = {name: value for name, value in options.items() if name not in named}
        if len(given) == 2 and self.second in self.parts:
            named, given = {self.parts[0]: given[0], self.second: given[1], **named}, ()
        elif len(given) == 2 and self.second and self.second not in rest:
            rest, given = {self.second: given[1], **rest}, given[:1]
        if len(given) + bool(named) != 1:
            what = f"{self.name} is asked with {len(given)} arguments and {len(named)} named parts of an item"
            hint = f"give an item or a list of items, or {' and '.join(f'{part}=' for part in self.parts)}"
            raise UsageError(what, hint=hint)
        return (named or given[0]), rest

    def taken(self, given: Any, where: str = "the item") -> Any:
        """An item as a user gives it -> as `encode` takes it: a text, or of {"text", "text_pair"} both as a tuple.

        Args:
            given: the item.
            where: what it is called in an error.

        Raises:
            DataError: it is neither.
        """
        if isinstance(given, str):
            return given
        if isinstance(given, dict) and set(given) == {"text"}:
            return _text_of(given["text"], where)
        if isinstance(given, dict) and set(given) in ({"text", "text_pair"}, set(self.parts)):
            first, second = self.parts if set(given) == set(self.parts) else ("text", "text_pair")
            return _text_of(given[first], where), _text_of(given[second], where)
        hint = f"""a pair is {{"{self.parts[0]}": "...", "{self.parts[1]}": "..."}}, several items are a list"""
        if isinstance(given, (tuple, list)):
            raise DataError(f"{where} is a {type(given).__name__} of {len(given)}, and no item", hint=hint)
        if isinstance(given, dict):
            raise DataError(f"{where} has the keys {', '.join(map(str, given)) or 'of nothing'}", hint=hint)
        return _text_of(given, where)

    def shown(self, item: Any) -> Any:
        """An item as `encode` takes it -> as it is given and printed. Law: `taken(shown(item)) == item`."""
        return dict(zip(self.parts, item, strict=True)) if isinstance(item, tuple) else item

    def alone(self, item: Any, answer: Any) -> Any:
        """The answer to an item that was not in a list."""
        del item
        return answer

    def together(self, answers: list[Any]) -> Any:
        """The answers to a list of items."""
        return answers

    def answer(self, run: Run, tokenizer: Tokenizer, items: Sequence[Any]) -> list[Any]:
        """Items -> tokens -> engine runs -> answers, one for each item."""
        encoding = self.encode(tokenizer, items)
        return self.decode(encoding.run(run), encoding)

    def answers(self, run: Run, tokenizer: Tokenizer, items: Sequence[Any]) -> list[Any]:
        """The answers to several items, each as if it were asked alone."""
        return [self.answer(run, tokenizer, [item])[0] for item in items]

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Items -> token arrays. The default takes texts and pairs, and puts the source's prompt before each."""
        prompt = self.settings.prompt
        return tokenizer.encode([_prompted(prompt, item) for item in items] if prompt else items)

    def prompted(self, name: str) -> Task:
        """The task with one of the source's prompts before every text. Raises UsageError: it has none of that name."""
        known = self.settings.prompts
        if name not in known:
            raise UsageError(f"no prompt {name!r}", hint=f"the source has {', '.join(known) or 'none'}")
        return type(self)(structs.replace(self.settings, prompt=known[name]), self.asked)

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

    def raw_label(self, row: Mapping[str, Any]) -> Any:
        """The label of a row as the file has it, where it can be written in several ways; else None."""
        del row
        return None

    def reading(self, labels: Sequence[Any]) -> Task:
        """The task that reads labels as a file writes them, which has these distinct ones."""
        del labels
        return self

    def items(self, examples: Sequence[Example]) -> list[Any]:
        """What has to be answered to score `examples`, in the order in which `score` wants the answers."""
        return [example.item for example in examples]

    @property
    def metric(self) -> str:
        """The task's own metric."""
        return self.metrics[0]

    def variant(self, metric: str) -> Task:
        """The task whose answers `measured` takes: this one, unless a metric has answers, rows or runs of its own.

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
        """An answer as plain JSON values, scores with six decimals."""
        return _plain(answer)

    def column(self, row: Mapping[str, Any], at: int) -> Any:
        """The value of the column `columns[at]`, under whichever of its names. Raises DataError."""
        for name in self.columns[at]:
            if row.get(name) is not None:
                return row[name]
        raise DataError(f"no column {' or '.join(self.columns[at])}, found {', '.join(map(str, row)) or 'nothing'}")


def _text_of(value: Any, where: str) -> str:
    if not isinstance(value, str):
        what = f"{where} has {quoted(str(value))}, a {type(value).__name__}, where a text should be"
        raise DataError(what, hint="the first row is 0; leave the row out, or put a text in its place")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return round(float(value), 6) if isinstance(value, float) else value
