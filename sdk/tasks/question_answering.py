"""question-answering: a question and a context -> the passage of the context that answers it. Scored by F1, in percent.

F1 and exact match are those of SQuAD's own evaluation script (Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1): of
the words of the answer, in lower case, without punctuation and articles, against each right answer; the best one
counts. Where a side has no words left, the script of version 2.0 decides (Rajpurkar et al. 2018, arXiv 1806.03822): a
right answer without words is none, and then only an answer without words is right.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from edgewright.errors import DataError
from edgewright.statistics import metrics
from edgewright.tasks import Choice, Example, Passage, Task, softmax, text, trimmed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["QuestionAnswering"]

_LONGEST_ANSWER = 30
"""Tokens: the default of BERT's run_squad.py."""


class _Gold(NamedTuple):
    """A right answer, and the character of the context where it begins, if the data says so."""

    text: str
    start: int | None = None


class QuestionAnswering(Task):
    """The answer to one pair (question, context) is the best passage of the context.

    A context that is longer than the model is read in overlapping windows, an engine run each. A passage is rated by
    the logit of its first token as a start plus that of its last token as an end (Devlin et al. 2019, arXiv
    1810.04805, section 4.2), so that windows can be compared; it has at most 30 tokens, all of the context. `score` is
    the product of the two softmax probabilities, over the context's tokens and the first special token of its window.
    `start` and `end` count the characters of the context, without white space at either end. That there is no answer is
    never said; only a context without a token has the empty passage.
    """

    name = "question-answering"
    auto_class = "AutoModelForQuestionAnswering"
    heads = ("ForQuestionAnswering",)
    outputs = ("start_logits", "end_logits")
    per_token = True
    gate = "pairs"
    metrics = ("f1", "exact-match")
    columns: ClassVar[tuple[tuple[str, ...], ...]] = (("question",), ("context",), ("answers", "answer"))

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Pairs -> a row for each window. Raises DataError for anything else."""
        for item in items:
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise DataError(
                    "a question needs its context", hint='give a pair: {"question": "...", "context": "..."}'
                )
        return tokenizer.windows([(text(question), text(context)) for question, context in items])

    def item(self, given: Any, tokenizer: Tokenizer) -> Any:
        """A pair as it is; of a plain text its first words as the question and all of it as the context."""
        del tokenizer
        return (" ".join(given.split()[:4]), given) if isinstance(given, str) else tuple(given)

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """The logits of start and end of all tokens of all windows of each item, float32 (tokens, 2)."""
        rows = [np.stack([start, end], axis=1) for start, end in self.rows(outputs, encoding)]
        return [np.concatenate([rows[at] for at in own]) for own in _owned(encoding)]

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Passage]:
        """Logits (rows, length) of starts and ends -> a passage for each item."""
        rows = self.rows(outputs, encoding)
        return [self._best({at: rows[at] for at in own}, encoding) for own in _owned(encoding)]

    @staticmethod
    def _best(rows: Mapping[int, Sequence[NDArray[Any]]], encoding: Encoding) -> Passage:
        rated = [
            (at, first, last, rate) for at, row in rows.items() for first, last, rate in [_spans(row, encoding, at)]
        ]
        at, first, last, rate = max(rated, key=lambda window: window[3].max(initial=-np.inf))
        if not rate.size:
            return Passage("", 0, 0, 0.0)
        best = int(rate.argmax())
        allowed = [
            token for token, side in enumerate(encoding.sequences[at]) if side == 1 or (side is None and not token)
        ]
        chances = [dict(zip(allowed, softmax(side[None, allowed])[0], strict=True)) for side in rows[at]]
        offsets, context = encoding.offsets[at], encoding.texts[at][1]
        start, end = offsets[first[best]][0], offsets[last[best]][1]
        start, end = trimmed(context, start, end)
        score = float(chances[0][first[best]] * chances[1][last[best]])
        return Passage(context[start:end], start, end, score)

    def choices(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Choice] | None:
        """The characters of the best passage; the margin is its distance from the best one with other characters."""
        rows = self.rows(outputs, encoding)
        return [
            self._choice([(at, *_spans(rows[at], encoding, at)) for at in own], encoding) for own in _owned(encoding)
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
        """A row with `question`, `context` and `answers`: texts, objects with `text`, or `{"text": [...]}`.

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

    def measured(self, metric: str, answers: Sequence[Passage], examples: Sequence[Example]) -> Metric:
        """The mean over the questions of the best match with one of the right answers."""
        rate = _exact if metric == "exact-match" else _f1
        found = [
            max(rate(_words(a.text), gold) for gold in _golds(e.label)) for a, e in zip(answers, examples, strict=True)
        ]
        return metrics.mean(found)

    def record(self, answer: Passage) -> dict[str, Any]:
        """A passage as an object with `text`, `start`, `end` and `score`."""
        return {**answer._asdict(), "score": round(answer.score, 6)}


def _gold(given: Any) -> _Gold:
    start = given.get("answer_start") if isinstance(given, dict) else None
    return _Gold(text(given["text"] if isinstance(given, dict) and "text" in given else given), start)


def _owned(encoding: Encoding) -> list[list[int]]:
    """The rows of each item."""
    return [[at for at, owner in enumerate(encoding.items) if owner == item] for item in dict.fromkeys(encoding.items)]


def _spans(row: Sequence[NDArray[Any]], encoding: Encoding, at: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """All passages of a window: their first tokens, their last tokens, and their rates."""
    context = np.array([token for token, side in enumerate(encoding.sequences[at]) if side == 1], dtype=np.int64)
    first, more = np.meshgrid(np.arange(len(context)), np.arange(_LONGEST_ANSWER), indexing="ij")
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
