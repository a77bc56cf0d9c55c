"""token-classification: a text -> its named entities. Scored by entity-level F1, in percent.

An entity counts when its characters and its name are exactly right (conlleval of CoNLL-2000, Tjong Kim Sang and
Buchholz 2000, section 4; micro-averaged), which is seqeval's default too; `f1-macro` is the mean over the names. For a
row of words with a tag each, a word is part of the entity that covers its first character, as the first piece of a word
counts in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgewright.errors import DataError
from edgewright.statistics import metrics
from edgewright.tasks import Asked, Choice, Entity, Example, Task, gaps, per_label, softmax, text, trimmed
from edgewright.tasks._aggregation import Strategy, aggregated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.statistics.metrics import Metric
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["TokenClassification"]

_ENDS = {"E", "L", "S", "U"}
_BEGINS = {"B", "S", "U"}

_Span = tuple[int, int, str]


class _Gold(NamedTuple):
    """What is right for a text: spans (start, end, name) in characters, and its words where it came in words."""

    spans: frozenset[_Span]
    words: tuple[tuple[int, int], ...] = ()


class _Asked(Asked, frozen=True):
    """Options of transformers' pipeline of that name.

    Attributes:
        aggregation_strategy: one of `edgewright.tasks._aggregation`; by default the task's own.
    """

    aggregation_strategy: Strategy | None = None


class TokenClassification(Task):
    """The answer to one text is the list of its entities, in order.

    An `aggregation_strategy` makes them as transformers' pipeline does. By default, and where they are scored, every
    token takes its most probable label. Where the tokenizer marks the pieces that continue a word (WordPiece's `##`), a
    word takes that of its first piece, the one that such models are trained on. Then neighbours with the same name
    join: `B-NAME` begins a new entity, `I-NAME` or a plain `NAME` goes on with one, and `O` is none. Where all labels
    have a prefix, `E-` (or `L-`) ends an entity and `S-` (or `U-`) is one by itself. An entity's score is the mean over
    its words, or tokens, of their label's softmax probability.

    `start` and `end` count the characters of the text, and white space at either end is left out. What lies beyond the
    model's largest length is not looked at.
    """

    name = "token-classification"
    auto_class = "AutoModelForTokenClassification"
    heads = ("ForTokenClassification",)
    outputs = ("logits",)
    per_token = True
    metrics = ("f1", "f1-macro")
    columns = (("text", "tokens", "words"), ("entities", "tags", "ner_tags", "labels"))
    asks = _Asked
    asked: _Asked

    def encode(self, tokenizer: Tokenizer, items: Sequence[Any]) -> Encoding:
        """Texts -> token arrays. Raises DataError for anything else."""
        return tokenizer.encode([text(item) for item in items])

    def reduce(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[NDArray[Any]]:
        """The logits of each text's real tokens, float32 (tokens, labels)."""
        per_label(outputs["logits"], self.settings.labels)
        return [row[0] for row in self.rows(outputs, encoding)]

    def decode(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Any]:
        """Logits (n, length, labels) -> n lists of entities."""
        return [self._entities(logits, encoding, at) for at, logits in enumerate(self.reduce(outputs, encoding))]

    def _entities(self, logits: NDArray[Any], encoding: Encoding, at: int) -> list[Any]:
        labels, strategy = self.settings.labels, self.asked.aggregation_strategy
        if strategy:
            return list(aggregated(strategy, logits, labels, encoding, at))
        words = _words(encoding, at)
        chances = softmax(logits[[first for first, _ in words]])
        best = chances.argmax(axis=1)
        groups = _groups([labels[i] for i in best], labels)
        scores = [float(chances[range(a, b + 1), best[a : b + 1]].mean()) for a, b, _ in groups]
        spans = ((words[a][0], words[b][1], name) for a, b, name in groups)
        found = (_entity(span, score, encoding, at) for span, score in zip(spans, scores, strict=True))
        return [entity for entity in found if entity["start"] < entity["end"]]

    def variant(self, metric: str) -> Task:
        """The task that answers as entities are scored."""
        super().variant(metric)
        return type(self)(self.settings)

    def choices(self, outputs: Mapping[str, NDArray[Any]], encoding: Encoding) -> list[Choice] | None:
        """The label of each word, or of each token where the tokenizer marks no words."""
        rows = [
            logits[[first for first, _ in _words(encoding, at)]]
            for at, logits in enumerate(self.reduce(outputs, encoding))
        ]
        return [Choice(row.argmax(axis=1)[:, None], gaps(row)) for row in rows]

    def example(self, row: Mapping[str, Any]) -> Example:
        """A row with `text` and `entities`, or with `tokens` and their `tags` or `ner_tags`.

        Entities are objects with `start`, `end` and `label`; tags are label names or numbers. Tokens are joined by one
        space each.
        """
        given, marks = self.column(row, 0), self.column(row, 1)
        if isinstance(given, str):
            return Example(given, _Gold(frozenset(self._span(mark, given) for mark in _listed(marks))))
        words, ends, at = _listed(given), [], 0
        for word in words:
            ends.append((at, at + len(text(word))))
            at = ends[-1][1] + 1
        tags = [self._tag(tag) for tag in _listed(marks)]
        if len(tags) != len(words):
            raise DataError(f"{len(words)} tokens have {len(tags)} tags")
        groups = _groups(tags, self.settings.labels)
        spans = frozenset((ends[first][0], ends[last][1], name) for first, last, name in groups)
        return Example(" ".join(words), _Gold(spans, tuple(ends)))

    def _span(self, mark: Any, whole: str) -> _Span:
        try:
            start, end, name = mark["start"], mark["end"], mark["label"]
        except (TypeError, KeyError) as error:
            raise DataError(f"entity {mark!r} is not an object with start, end and label") from error
        if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(whole):
            raise DataError(f"entity {mark!r} lies outside of its text of {len(whole)} characters")
        names = {_parts(label, self.settings.labels)[1] for label in self.settings.labels}
        if name not in names:
            raise DataError(f"entity label {name!r} is none of {', '.join(sorted(names))}")
        return start, end, name

    def _tag(self, given: Any) -> str:
        labels = self.settings.labels
        if given in labels or given == "O":
            return str(given)
        if type(given) is int and 0 <= given < len(labels):
            return labels[given]
        raise DataError(f"tag {given!r} is none of {', '.join(labels)} or 0..{len(labels) - 1}")

    def measured(self, metric: str, answers: Sequence[Sequence[Entity]], examples: Sequence[Example]) -> Metric:
        """F1 over all entities, or the mean of that of each name."""
        pairs = [(_on_words(a, e.label.words), e.label.spans) for a, e in zip(answers, examples, strict=True)]
        names = sorted({span[2] for pair in pairs for side in pair for span in side}) or [""]
        sides = ([found & wanted for found, wanted in pairs], *zip(*pairs, strict=True))
        right, found, wanted = (
            np.array([[sum(span[2] == name for span in spans) for name in names] for spans in side]) for side in sides
        )
        return metrics.f1(right, found, wanted, "macro" if metric == "f1-macro" else "micro")


def _entity(span: tuple[int, int, str], score: float, encoding: Encoding, at: int) -> Entity:
    """The entity of some tokens, first and last, of a name."""
    assert encoding.tokenizer  # noqa: S101 - a tokenizer of ours made it
    (first, last, name), offsets = span, encoding.offsets[at]
    start, end = trimmed(str(encoding.texts[at]), offsets[first][0], offsets[last][1])
    ids = encoding.feeds["input_ids"][at, first : last + 1].tolist()
    word = encoding.tokenizer.joined(encoding.tokenizer.tokens(ids)).strip()
    return Entity(entity_group=name, score=score, word=word, start=start, end=end)


def _words(encoding: Encoding, at: int) -> list[tuple[int, int]]:
    """The first and last token of each word of a text; the special tokens around it are none."""
    found: list[tuple[int, int]] = []
    before = None
    for token, (sequence, word) in enumerate(zip(encoding.sequences[at], encoding.words[at], strict=True)):
        if sequence is not None:
            found[-1:] = [(found[-1][0], token)] if word == before and found else [*found[-1:], (token, token)]
        before = word
    return found


def _groups(tags: Sequence[str], labels: Sequence[str]) -> list[tuple[int, int, str]]:
    """Tags -> entities (first, last, name), each a run of tags."""
    found: list[tuple[int, int, str]] = []
    closed = True
    for at, tag in enumerate(tags):
        place, name = _parts(tag, labels)
        if name == "O":
            closed = True
        elif closed or place in _BEGINS or found[-1][2] != name:
            found.append((at, at, name))
            closed = place in _ENDS
        else:
            found[-1] = (found[-1][0], at, name)
            closed = place in _ENDS
    return found


def _parts(tag: str, labels: Sequence[str]) -> tuple[str, str]:
    """A tag as prefix and name; the rarer prefixes count where no label is without one: `E-MAIL` may be a name."""
    rare = all(label[:2] in {"B-", "I-", "E-", "L-", "S-", "U-"} for label in labels if label != "O")
    known = ("B-", "I-", "E-", "L-", "S-", "U-") if rare else ("B-", "I-")
    return (tag[0], tag[2:]) if tag.startswith(known) else ("", tag)


def _on_words(answer: Sequence[Entity], words: Sequence[tuple[int, int]]) -> set[_Span]:
    if not words:
        return {(entity["start"], entity["end"], entity["entity_group"]) for entity in answer}
    covered = [(e["entity_group"], [word for word in words if e["start"] <= word[0] < e["end"]]) for e in answer]
    return {(inside[0][0], inside[-1][1], name) for name, inside in covered if inside}


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{value!r} is not a list", hint="such rows are written as .jsonl")
    return value
