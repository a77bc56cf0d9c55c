"""The gate that looks outside: token ids and answers, held against what the source's own library gives for them.

The other gates hold an artifact against the eager model as edgewright reads the source. What is misread there would
pass them all; here it does not, and the setting that explains the difference is named where that can be told.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from edgewright.errors import GateFailed, quoted
from edgewright.inference.pipeline import printable
from edgewright.model.outside import Asked, Told
from edgewright.system.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.model.outside import ToldRow
    from edgewright.model.source import Source
    from edgewright.proof.cases import Case
    from edgewright.tasks import Task
    from edgewright.text.encoding import Encoding

    Batch = dict[str, NDArray[Any]]

__all__ = ["MOST_ROWS", "TASKS", "Question", "asked_of", "hold"]

MOST_ROWS = 200
"""Of labelled rows: what no text of the gate shows, the first rows of real data nearly always do."""
_TOLERANCE = 1e-4
"""Of a score or of a vector's root mean square: fp32 in another order stays below 1e-5 (docs/sources.md)."""
_HINT = "--allow-divergence does not help here: the source would be certified as something that it is not"

Question = tuple[Any, "Encoding", "Batch"]
"""An item, its tokens, and the eager model's outputs on them."""


def asked_of(cases: Sequence[Case], rows: Sequence[Encoding], items: Sequence[Any]) -> Asked:
    """What the library is asked: the items of all gate cases, those of the padded one as a batch too, and some rows."""
    texts = [printable(item) for case in cases for item in case.items]
    texts += [printable(item) for item in items[: min(len(rows), MOST_ROWS)]]
    batch: tuple[int, ...] = ()
    at = 0
    for case in cases:
        batch = tuple(range(at, at + len(case.items))) if len(case.items) > 1 else batch
        at += len(case.items)
    return Asked(tuple(texts), batch)


def hold(source: Source, task: Task, questions: Sequence[Question], told_file: Path) -> str:
    """Hold everything against what the library told; what that was, in words, for the manifest.

    Args:
        source: the model.
        task: its task.
        questions: the cases and rows in the order of `asked_of`, a padded batch as one.
        told_file: of the library's `Told`.

    Raises:
        GateFailed: token ids, segment ids, padding, labels, scores, spans or vectors differ.
    """
    told: Told = msgspec.json.decode(told_file.read_bytes(), type=Told)
    look, at = _Look(source, task, told), 0
    for item, encoding, outputs in questions:
        count = len(item) if isinstance(item, list) else 1
        look.at(encoding, outputs, told.rows[at : at + count], item)
        at += count
    return f"{told.library} on {counted(len(told.rows), 'text')}"


class _Look:
    def __init__(self, source: Source, task: Task, told: Told) -> None:
        self.source, self.task, self.told = source, task, told

    def at(self, encoding: Encoding, outputs: Batch, rows: Sequence[ToldRow], item: Any) -> None:
        """Look at the items of one engine call."""
        self._ids(encoding, rows, item)
        if isinstance(item, list):
            return self._padding(encoding)  # each of its items is asked alone as well
        judge = _JUDGES[self.task.name]
        found = judge(self.task, encoding, outputs, rows[0].answer)
        if found:
            self._refuse(item, found, _explained(self.task, encoding, outputs, rows[0].answer))
        return None

    def _ids(self, encoding: Encoding, rows: Sequence[ToldRow], item: Any) -> None:
        ours = [
            {name: row[real].tolist() for name, row in zip(encoding.feeds, line, strict=True)}
            for line, real in zip(zip(*encoding.feeds.values(), strict=True), _real(encoding), strict=True)
        ]
        ids = [one for row in rows for one in row.ids]
        types = [one for row in rows for one in (row.types or [(0,) * len(line) for line in row.ids])]
        if len(ours) != len(ids):
            self._refuse(item, f"{len(ours)} windows, {len(ids)} there", "the stride of long contexts")
        for own, wanted, segments in zip(ours, ids, types, strict=True):
            if own["input_ids"] != list(wanted):
                self._refuse(item, _first("token id", own["input_ids"], wanted), self._why(own["input_ids"], wanted))
            if own["token_type_ids"] != list(segments):
                what = _first("segment id", own["token_type_ids"], segments)
                self._refuse(item, what, "post_processor of tokenizer.json, or model_input_names")

    def _padding(self, encoding: Encoding) -> None:
        ours = tuple(tuple(row) for row in encoding.feeds["input_ids"].tolist())
        if self.told.batch and ours != self.told.batch:
            own, wanted = next((a, b) for a, b in zip(ours, self.told.batch, strict=True) if a != b)
            why = f"pad_token or padding_side, which is {self.told.sides[1]} there"
            self._refuse("the padded batch", _first("token id", own, wanted), why)

    def _why(self, ours: Sequence[int], wanted: Sequence[int]) -> str:
        """The setting that explains other ids: the cut, its side, or what the two tokenizers say otherwise."""
        longest = self.source.settings.max_length
        if longest != self.told.length and len(ours) != len(wanted):
            return f"the cut: {longest} tokens here, {self.told.length} there (max_seq_length, model_max_length)"
        ours_spec = json.loads((self.source.directory / "tokenizer.json").read_text(encoding="utf-8"))
        found = _differing(ours_spec, json.loads(self.told.tokenizer))
        if found:
            return found
        return (
            f"truncation_side, which is {self.told.sides[0]} there" if len(wanted) == self.told.length else "a prompt"
        )

    def _refuse(self, item: Any, what: str, why: str) -> None:
        shown = quoted(str(item)) if isinstance(item, str) else quoted(str(printable(item)))
        reason = f"; it is explained by {why}" if why else ""
        raise GateFailed(f"{self.told.library} differs on {shown}: {what}{reason}", hint=_HINT)


def _real(encoding: Encoding) -> NDArray[Any]:
    real: NDArray[Any] = encoding.feeds["attention_mask"].astype(bool)
    return real


def _first(what: str, ours: Sequence[int], wanted: Sequence[int]) -> str:
    """The first place at which two rows of ids differ."""
    at = next((n for n, (a, b) in enumerate(zip(ours, wanted, strict=False)) if a != b), min(len(ours), len(wanted)))
    own, there = ("none" if at >= len(row) else row[at] for row in (ours, wanted))
    return f"{what} {at} of {len(ours)} is {own}, {there} of {len(wanted)} there"


def _differing(ours: Any, theirs: Any, way: str = "") -> str:
    """The first setting of two tokenizer.json that differs, as `normalizer.lowercase: True here, False there`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = [key for key in ours | theirs if way or key not in ("version", "truncation", "padding")]
        inner = (_differing(ours.get(key), theirs.get(key), f"{way}.{key}" if way else key) for key in keys)
        return next((one for one in inner if one), "")
    if ours == theirs or (not ours and not theirs):
        return ""
    shown = (quoted(repr(one)) if isinstance(one, list | dict) else repr(one) for one in (ours, theirs))
    here, there = shown
    return f"{way}: {here} here, {there} there"


def _near(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= _TOLERANCE * max(1.0, abs(theirs))


def _labels(task: Task, encoding: Encoding, outputs: Batch, told: list[dict[str, Any]]) -> str:
    """text-classification: each label has the library's score, and the best one is the library's."""
    (answer,) = task.asking(top_k=None).decode(outputs, encoding)
    theirs = {one["label"]: float(one["score"]) for one in told}
    for one in answer:
        name, score = one["label"], one["score"]
        if name not in theirs:
            return f"label {name!r}, which is none of {', '.join(theirs)}"
        if not _near(score, theirs[name]):
            return f"label {name!r} has the score {score:.6g}, {theirs[name]:.6g} there"
    best = max(theirs, key=lambda name: theirs[name])
    if theirs[answer[0]["label"]] < theirs[best] - _TOLERANCE:
        return f"label {answer[0]['label']!r} is the best, {best!r} there"
    return ""


def _tags(task: Task, encoding: Encoding, outputs: Batch, told: list[dict[str, Any]]) -> str:
    """token-classification: every token's label, score and place."""
    (logits,) = task.reduce(outputs, encoding)
    inside = [at for at, side in enumerate(encoding.sequences[0]) if side is not None]
    if len(inside) != len(told):
        return f"{len(inside)} tokens have a label, {len(told)} there"
    powers = np.exp(logits - logits.max(axis=1, keepdims=True).astype(np.float64))
    shares = powers / powers.sum(axis=1, keepdims=True)
    names = task.settings.labels
    for at, wanted in zip(inside, told, strict=True):
        chances = dict(zip(names, shares[at].tolist(), strict=True))
        best = max(chances, key=lambda name: chances[name])
        if not _near(chances.get(wanted["label"], 0.0), wanted["score"]) or not _near(chances[best], wanted["score"]):
            return f"token {at} is {best} at {chances[best]:.6g}, {wanted['label']} at {wanted['score']:.6g} there"
        if wanted["start"] is not None and tuple(encoding.offsets[0][at]) != (wanted["start"], wanted["end"]):
            place = (wanted["start"], wanted["end"])
            return f"token {at} covers the characters {encoding.offsets[0][at]}, {place} there"
    return ""


def _fillings(task: Task, encoding: Encoding, outputs: Batch, told: list[list[dict[str, Any]]]) -> str:
    """fill-mask: the likeliest tokens of every mask, by the ids that the library names."""
    rows = task.reduce(outputs, encoding)[0].astype(np.float64)
    if len(rows) != len(told):
        return f"{len(rows)} masks, {len(told)} there"
    for at, (logits, wanted) in enumerate(zip(rows, told, strict=True)):
        powers = np.exp(logits - logits.max())
        shares = powers / powers.sum()
        for one, best in zip(wanted, np.sort(shares)[::-1], strict=False):
            own = float(shares[one["token"]])
            if not _near(own, one["score"]) or not _near(float(best), one["score"]):
                return f"mask {at} has {one['token_str']!r} at {own:.6g}, {one['score']:.6g} there"
    return ""


def _numbers(task: Task, encoding: Encoding, outputs: Batch, told: list[Any]) -> str:
    """Vectors, and the logits of starts and ends: every number."""
    (ours,) = task.reduce(outputs, encoding)
    wanted = np.asarray(told, np.float64)
    if ours.shape != wanted.shape:
        return f"numbers of the shape {list(ours.shape)}, {list(wanted.shape)} there"
    error = float(np.abs(ours - wanted).max(initial=0.0))
    unit = max(float(np.sqrt(np.square(wanted).mean())), _TOLERANCE) if wanted.size else 1.0
    if np.isfinite(error) and error <= 10 * _TOLERANCE * unit:
        return ""
    norm = float(np.linalg.norm(ours) * np.linalg.norm(wanted))
    cosine = float((ours * wanted).sum()) / norm if norm else 0.0
    return f"the largest error is {error:.3g} at a root mean square of {unit:.3g}, cosine {cosine:.4f}"


def _ranks(task: Task, encoding: Encoding, outputs: Batch, told: list[float | None]) -> str:
    """text-ranking: the score of each text that has one there."""
    (answer,) = task.asking(top_k=None).decode(outputs, encoding)
    for one in answer:
        wanted = told[one["corpus_id"]]
        if wanted is not None and not _near(one["score"], wanted):
            return f"text {one['corpus_id']} has the score {one['score']:.6g}, {wanted:.6g} there"
    return ""


def _chosen(task: Task, encoding: Encoding, outputs: Batch, told: dict[str, Any] | None) -> str:
    """zero-shot-classification: the score of each label; None of the empty text, which the library does not take."""
    if told is None:
        return ""
    (answer,) = task.decode(outputs, encoding)
    theirs = dict(zip(told["labels"], told["scores"], strict=True))
    for label, score in zip(answer["labels"], answer["scores"], strict=True):
        if not _near(score, theirs[label]):
            return f"label {label!r} has the score {score:.6g}, {theirs[label]:.6g} there"
    return ""


_JUDGES: dict[str, Any] = {
    "text-classification": _labels,
    "token-classification": _tags,
    "fill-mask": _fillings,
    "question-answering": _numbers,
    "feature-extraction": _numbers,
    "text-ranking": _ranks,
    "zero-shot-classification": _chosen,
}
"""By task: what differs between the eager model's outputs and the library's answer, in words; "" where all agrees."""


TASKS = tuple(_JUDGES)
"""Those whose answers the source's own library is asked for."""


def _explained(task: Task, encoding: Encoding, outputs: Batch, told: Any) -> str:
    """The setting of the task with which our outputs would give the library's answer, "" where it is none."""
    for name, values in _TRIED.items():
        for value in values:
            other = type(task)(msgspec.structs.replace(task.settings, **{name: value}))
            if other.outputs == task.outputs and not _JUDGES[task.name](other, encoding, outputs, told):
                return f"{name}: {getattr(task.settings, name)} here, {value} there"
    return ""


_TRIED: dict[str, tuple[Any, ...]] = {
    "activation": ("identity", "sigmoid"),
    "problem": ("single_label", "multi_label", "regression"),
    "pooling": ("mean", "cls", "max"),
    "normalize": (False, True),
}
