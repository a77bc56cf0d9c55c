"""question-answering: a question and a context -> the passage of the context that answers it. Scored by F1, in percent.

F1 and exact match are those of SQuAD's own evaluation script (Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1): of
the words of the answer, in lower case, without punctuation and articles, against each right answer; the best one
counts. Where a side has no words left, the script of version 2.0 decides (Rajpurkar et al. 2018, arXiv 1806.03822): a
right answer without words is none, and then only an answer without words is right.

`squad2-f1` and `squad2-exact-match` are those where a model may say that there is no answer, at the threshold that it
is asked with; `best-f1` and `best-exact-match` at the threshold that is best on the very rows, as that script gives
them, and `best-f1-threshold` is that one, to ask with (`null_threshold`).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
from msgspec import Meta

from edgewright.errors import DataError
from edgewright.statistics import metrics
from edgewright.tasks import Asked, Choice, Example, Passage, Task, softmax, text, trimmed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

    _Rows = Mapping[int, Sequence[NDArray[Any]]]
    """The windows of an item by their rows: the logits of starts and of ends, each (tokens,)."""

__all__ = ["QuestionAnswering"]

_BEST = ("best-f1", "best-exact-match", "best-f1-threshold")
_PAIR = 'give a pair: {"question": "...", "context": "..."}'
_LONGEST_ANSWER = 30
"""Tokens: the default of BERT's run_squad.py."""


class _Gold(NamedTuple):
    """A right answer, and the character of the context where it begins, if the data says so."""

    text: str
    start: int | None = None


class _Asked(Asked, frozen=True):
    """Options, by the names of transformers' pipeline (4.x), and what is its own here.

    Attributes:
        top_k: the passages of an answer, which is then a list, the best first; 0 is all.
        max_answer_len: the most tokens of a passage, 30 by default.
        handle_impossible_answer: whether "" may be the answer.
        null_threshold: by how much no answer must be rated above the best passage, in logits; 0 by default.
    """

    top_k: Annotated[int, Meta(ge=0)] | None = None
    max_answer_len: Annotated[int, Meta(ge=1)] | None = None
    handle_impossible_answer: bool | None = None
    null_threshold: float | None = None


class _Rated(NamedTuple):
    """A passage, and its rate: the logit of its first token as a start plus that of its last one as an end."""

    passage: Passage
    rate: float


class QuestionAnswering(Task):
    """The answer to one pair (question, context) is the best passage of the context.

    A context that is longer than the model is read in overlapping windows, an engine run each. A passage is rated by
    the logit of its first token as a start plus that of its last token as an end (Devlin et al. 2019, arXiv
    1810.04805, section 4.2), so that windows can be compared; it has at most 30 tokens, all of the context. `score` is
    the product of the two softmax probabilities, over the context's tokens and the first special token of its window.
    `start` and `end` count the characters of the context, without white space at either end.

    With `handle_impossible_answer` the empty passage says that there is no answer: where the first special token,
    rated in the window that wants it least, is rated above the best passage by more than a threshold (section 4.3).
    Else only a context without a token has it.
    """

    name = "question-answering"
    auto_class = "AutoModelForQuestionAnswering"
    heads = ("ForQuestionAnswering",)
    outputs = ("start_logits", "end_logits")
    per_token = True
    gate = "pairs"
    metrics: tuple[str, ...] = ("f1", "exact-match", "squad2-f1", "squad2-exact-match", *_BEST)
    columns: ClassVar[tuple[tuple[str, ...], ...]] = (("question",), ("context",), ("answers", "answer"))
    parts = ("question", "context")
    asks = _Asked
    asked: _Asked

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Pairs -> a row for each window. Raises DataError for anything else."""
        for item in items:
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise DataError("a question needs its context", hint=_PAIR)
        return tokenizer.windows([(text(question), text(context)) for question, context in items])

    def taken(self, given: Any, where: str = "the item") -> Any:
        """A question and its context, as {"question", "context"}. Raises DataError."""
        if isinstance(given, str):
            raise DataError(f"{where} is a text, and a question needs its context", hint=_PAIR)
        return super().taken(given, where)

    def item(self, given: Any, tokenizer: Tokenizer) -> Any:
        """A pair as it is; of a plain text its first words as the question and all of it as the context."""
        del tokenizer
        return (" ".join(given.split()[:4]), given) if isinstance(given, str) else tuple(given)

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """The logits of start and end of all tokens of all windows of each item, float32 (tokens, 2)."""
        rows = [np.stack([start, end], axis=1) for start, end in self.rows(outputs, encoding)]
        return [np.concatenate([rows[at] for at in own]) for own in _owned(encoding)]

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Any]:
        """Logits (rows, length) of starts and ends -> a passage for each item, or with `top_k` a list of them."""
        rows = self.rows(outputs, encoding)
        return [self._answer({at: rows[at] for at in own}, encoding) for own in _owned(encoding)]

    def _answer(self, rows: _Rows, encoding: Encoding) -> Passage | list[Passage]:
        found = self._rated(rows, encoding, 1 if self.asked.top_k is None else self.asked.top_k)
        if self.asked.handle_impossible_answer:
            null = _null(rows, encoding)
            wins = null.rate - found[0].rate > (self.asked.null_threshold or 0.0)
            found = [null, *found] if wins else [*found, null]
        passages = [one.passage for one in found]
        return passages[0] if self.asked.top_k is None else passages[: self.asked.top_k or None]

    def _rated(self, rows: _Rows, encoding: Encoding, most: int) -> list[_Rated]:
        """The best passages of all windows, each stretch of the context once; 0 is all of them."""
        spans = [(at, *_spans(row, encoding, at, self.longest)) for at, row in rows.items()]
        rates = np.concatenate([rate for *_, rate in spans])
        owners = np.concatenate([np.full(len(rate), at) for at, *_, rate in spans])
        firsts, lasts = (np.concatenate([span[side] for span in spans]) for side in (1, 2))
        found: dict[tuple[int, int], _Rated] = {}
        for best in np.argsort(-rates, kind="stable"):
            at, tokens = int(owners[best]), (int(firsts[best]), int(lasts[best]))
            passage = _passage(rows[at], encoding, at, tokens)
            found.setdefault((passage["start"], passage["end"]), _Rated(passage, float(rates[best])))
            if len(found) == most:
                break
        return list(found.values()) or [_Rated(_nothing(0.0), -np.inf)]

    @property
    def longest(self) -> int:
        """The most tokens of a passage."""
        return self.asked.max_answer_len or _LONGEST_ANSWER

    def choices(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Choice] | None:
        """The characters of the best passage; the margin is its distance from the best one with other characters."""
        rows = self.rows(outputs, encoding)
        return [
            self._choice([(at, *_spans(rows[at], encoding, at, _LONGEST_ANSWER)) for at in own], encoding)
            for own in _owned(encoding)
        ]

    @staticmethod
    def _choice(windows: Sequence[tuple[int, Any, Any, Any]], encoding: Encoding) -> Choice:
        rate = np.concatenate([window[3] for window in windows])
        if not rate.size:
            return Choice(np.zeros((1, 2), np.int64), np.array([np.inf]))
        offsets = [(np.array(encoding.offsets[at]), first, last) for at, first, last, _ in windows]
        places = np.concatenate([np.stack([o[first, 0], o[last, 1]], axis=1) for o, first, last in offsets])
        best = int(rate.argmax())
        others = rate[(places != places[best]).any(axis=1)]
        return Choice(places[best][None], np.array([rate[best] - others.max(initial=-np.inf)]))

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `question`, `context` and `answers`: texts, objects with `text`, or `{"text": [...]}`; [] is none.

        Where the data says at which character of the context an answer begins (`answer_start`), that is kept.
        """
        given = self.column(row, 2)
        if isinstance(given, dict) and isinstance(given.get("text"), list):
            texts, starts = given["text"], given.get("answer_start") or [None] * len(given["text"])
            if not isinstance(starts, list) or len(starts) != len(texts):
                count = len(starts) if isinstance(starts, list) else "no list of"
                raise DataError(f"the row has {len(texts)} answers and {count} places where they start")
            given = [{"text": one, "answer_start": at} for one, at in zip(texts, starts, strict=True)]
        answers = tuple(_gold(one) for one in (given if isinstance(given, list) else [given]))
        return Example((text(self.column(row, 0)), text(self.column(row, 1))), answers)

    def variant(self, metric: str) -> Task:
        """For metrics of SQuAD 2 a task that may say that there is no answer, or that says how near it is to that."""
        own = super().variant(metric)
        if metric in _BEST:
            return _Undecided(self.settings, self.asked)
        return own.asking(handle_impossible_answer=True) if metric.startswith("squad2-") else own

    def measured(self, metric: str, answers: Sequence[Any], examples: Sequence[Example]) -> Metric:
        """The mean over the questions of the best match with one of the right answers."""
        best = [answer[0] if isinstance(answer, list) else answer for answer in answers]
        return metrics.mean(_matches(metric, [passage["answer"] for passage in best], examples))


class _Undecided(QuestionAnswering):
    """Whose answer is the best passage and by how much no answer is rated above it: a threshold decides later."""

    metrics = _BEST

    def _answer(self, rows: _Rows, encoding: Encoding) -> Any:
        (best,) = self._rated(rows, encoding, 1)
        return best.passage["answer"], _null(rows, encoding).rate - best.rate

    def measured(self, metric: str, answers: Sequence[Any], examples: Sequence[Example]) -> Metric:
        """The best value over all thresholds, or the threshold that gives the best F1."""
        said = _matches(metric, [text for text, _ in answers], examples)
        unsaid = _matches(metric, [""] * len(answers), examples)
        nearness = np.array([near for _, near in answers], dtype=np.float64)
        return metrics.best_threshold(nearness, said, unsaid, threshold=metric.endswith("-threshold"))


def _matches(metric: str, texts: Sequence[str], examples: Sequence[Example]) -> list[float]:
    rate = _exact if metric.endswith("exact-match") else _f1
    return [max(rate(_words(t), gold) for gold in _golds(e.label)) for t, e in zip(texts, examples, strict=True)]


def _gold(given: Any) -> _Gold:
    start = given.get("answer_start") if isinstance(given, dict) else None
    return _Gold(text(given["text"] if isinstance(given, dict) and "text" in given else given), start)


def _owned(encoding: Encoding) -> list[list[int]]:
    """The rows of each item."""
    return [[at for at, owner in enumerate(encoding.items) if owner == item] for item in dict.fromkeys(encoding.items)]


def _nothing(score: float) -> Passage:
    return Passage(score=score, start=0, end=0, answer="")


def _chances(row: Sequence[NDArray[Any]], encoding: Encoding, at: int) -> list[dict[int, float]]:
    """The probabilities of the tokens of a window that may begin an answer, and of those that may end one."""
    sides = encoding.sequences[at]
    allowed = [token for token, side in enumerate(sides) if side == 1 or (side is None and not token)]
    return [dict(zip(allowed, softmax(side[None, allowed])[0].tolist(), strict=True)) for side in row]


def _passage(row: Sequence[NDArray[Any]], encoding: Encoding, at: int, tokens: tuple[int, int]) -> Passage:
    (first, last), offsets, context = tokens, encoding.offsets[at], encoding.texts[at][1]
    begins, ends = _chances(row, encoding, at)
    start, end = trimmed(context, offsets[first][0], offsets[last][1])
    return Passage(score=begins[first] * ends[last], start=start, end=end, answer=context[start:end])


def _null(rows: _Rows, encoding: Encoding) -> _Rated:
    """That there is no answer, as the window rates it that wants it least; -inf without a special token in front."""
    found = []
    for at, row in rows.items():
        begins, ends = _chances(row, encoding, at)
        special = encoding.sequences[at][:1] == [None]
        rate = float(row[0][0] + row[1][0]) if special else -np.inf
        found.append(_Rated(_nothing(begins[0] * ends[0] if special else 0.0), rate))
    return min(found, key=lambda one: one.rate)


def _spans(
    row: Sequence[NDArray[Any]], encoding: Encoding, at: int, longest: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """All passages of a window: their first tokens, their last tokens, and their rates."""
    context = np.array([token for token, side in enumerate(encoding.sequences[at]) if side == 1], dtype=np.int64)
    first, more = np.meshgrid(np.arange(len(context)), np.arange(longest), indexing="ij")
    kept = first + more < len(context)
    begin, end = context[first[kept]], context[(first + more)[kept]]
    return begin, end, row[0][begin] + row[1][end]


def _words(answer: str) -> list[str]:
    plain = "".join(c for c in answer.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def _golds(label: Sequence[_Gold]) -> list[list[str]]:
    """The words of each right answer that has some; of none such, no words."""
    return [words for gold in label if (words := _words(gold.text))] or [[]]


def _exact(found: list[str], wanted: list[str]) -> float:
    return float(found == wanted)


def _f1(found: list[str], wanted: list[str]) -> float:
    if not found or not wanted:
        return float(found == wanted)
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))
