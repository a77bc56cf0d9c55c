"""Gates: what an artifact must show before it may enter a bundle.

Parity: on real texts its outputs stay near those of the eager fp32 model. Metric: on labelled data it loses at most so
many points. The limits depend on the precision alone and stand in `LIMITS`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import to_builtins

from edgewright import registry
from edgewright.bundle.manifest import Parity, Score
from edgewright.errors import GateFailed, TokenizerError
from edgewright.system import arrays
from edgewright.text.tokenizer import picked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgewright.tasks import Task
    from edgewright.text.tokenizer import Encoding, Tokenizer

__all__ = [
    "LIMITS",
    "NO_ERROR_DB",
    "Case",
    "Limit",
    "cases",
    "measure",
    "parity_failure",
    "rms",
    "run_engine",
    "sample",
    "score_failure",
    "sqnr_db",
]

_LONGEST_FILL = 2048
_LARGEST_SAMPLE = 1024
NO_ERROR_DB = 200.0
"""The signal to noise ratio of no noise at all: JSON has no infinity."""
# The error of an output that is NaN or infinite: JSON has neither.
_NO_NUMBER = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Limit:
    """The limits of one precision.

    Attributes:
        max_abs: largest absolute error, in units of the root mean square of the reference's outputs.
        sqnr_db: least signal to quantization noise ratio over all texts.
        cosine: least cosine of the outputs of one case.
        top1: least share of choices that are the eager model's: the class of a text, of a token, an answer.
        tie: a class may differ where the reference's margin is smaller than this, in units of its root mean square:
            which of two equal outputs comes first is no property of the model.
        points: how many points of the task metric may be lost.
    """

    max_abs: float
    sqnr_db: float
    cosine: float
    top1: float
    tie: float
    points: float


LIMITS = {
    "fp32": Limit(max_abs=1e-3, sqnr_db=70.0, cosine=0.99999, top1=1.0, tie=1e-3, points=0.12),
    "fp16": Limit(max_abs=0.05, sqnr_db=40.0, cosine=0.9995, top1=1.0, tie=0.02, points=0.25),
    "int8": Limit(max_abs=math.inf, sqnr_db=10.0, cosine=0.95, top1=0.95, tie=0.1, points=0.5),
    "int8-static": Limit(max_abs=math.inf, sqnr_db=7.0, cosine=0.9, top1=0.9, tie=0.2, points=1.0),
    "int4": Limit(max_abs=math.inf, sqnr_db=6.0, cosine=0.87, top1=0.85, tie=0.3, points=1.5),
}


@dataclass(frozen=True)
class Case:
    """One engine call of the gate: a name for people, the items, and their encoding."""

    name: str
    items: tuple[Any, ...]
    encoding: Encoding


def cases(task: Task, tokenizer: Tokenizer) -> list[Case]:
    """The project's gate texts, encoded: each text by itself, but for the padded batch."""
    stored = json.loads(resources.files("edgewright.proof").joinpath("gate_texts.json").read_text(encoding="utf-8"))
    found = []
    for case in stored[task.gate]:
        texts = [_filled(text, tokenizer) for text in case["texts"]] if case.get("fill") else case["texts"]
        items = [task.item(text, tokenizer) for text in texts]
        groups = [items] if case.get("batch") else [[item] for item in items]
        found += [Case(case["name"], tuple(g), e) for g in groups if (e := _encoding(task, tokenizer, g)) is not None]
    return found


def _encoding(task: Task, tokenizer: Tokenizer, group: Sequence[Any]) -> Encoding | None:
    """The encoded group; None where the tokenizer makes no token of it, as without special tokens of the empty text."""
    try:
        return task.encode(tokenizer, group)
    except TokenizerError:
        return None


def measure(
    task: Task,
    gate: Sequence[Case],
    reference: Sequence[dict[str, NDArray[Any]]],
    outputs: Sequence[dict[str, NDArray[Any]]],
    limit: Limit,
) -> Parity:
    """Compare the outputs of all cases, in order, with the eager model's."""
    for eager, ours in zip(reference, outputs, strict=True):
        _check_shapes(eager, ours)
    rows = [
        (case.name, *pair)
        for case, eager, ours in zip(gate, reference, outputs, strict=True)
        for pair in zip(*(_flat(task.rows(batch, case.encoding)) for batch in (eager, ours)), strict=True)
    ]
    want, got = (np.concatenate([row[at] for row in rows]).astype(np.float64) for at in (1, 2))
    cosine, worst = min((_cosine(rows, name), name) for name in {case.name for case in gate})
    error = np.abs(got - want) if np.isfinite(got).all() else np.full_like(want, _NO_NUMBER)
    return Parity(
        texts=len(rows),
        max_abs=_rounded(error.max()),
        mean_abs=_rounded(error.mean()),
        sqnr_db=_rounded(sqnr_db(want, error)),
        cosine=_rounded(cosine, 7),
        top1=_agreement(task, gate, reference, outputs, limit),
        worst_case=worst,
    )


def parity_failure(parity: Parity, reference_rms: float, limit: Limit) -> str | None:
    """The first broken limit in words with both numbers, or None."""
    checks = (
        ("max_abs", parity.max_abs, "at most", limit.max_abs * reference_rms),
        ("SQNR in dB", parity.sqnr_db, "at least", limit.sqnr_db),
        ("cosine", parity.cosine, "at least", limit.cosine),
        ("top-1 agreement", parity.top1, "at least", limit.top1),
    )
    for name, value, side, bound in checks:
        if value is not None and not (value <= bound if side == "at most" else value >= bound):
            return f"case {parity.worst_case!r}: {name} is {value:.6g}, {side} {bound:.6g} is wanted"
    return None


def score_failure(score: Score, limit: Limit) -> str | None:
    """The lost points in words if they are too many, or None."""
    if score.reference is None or score.reference - score.value <= limit.points:
        return None
    lost = score.reference - score.value
    return (
        f"{score.metric} on {score.data} is {score.value:.2f} %, the eager model's {score.reference:.2f} %: "
        f"{lost:.2f} points lost, at most {limit.points} are allowed"
    )


def rms(outputs: Sequence[dict[str, NDArray[Any]]]) -> float:
    """Root mean square of all numbers in `outputs`."""
    flat = np.concatenate([array.ravel() for batch in outputs for array in batch.values()])
    return float(np.sqrt(np.square(flat, dtype=np.float64).mean()))


def run_engine(payload: dict[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """A child's work: open `artifact` in its engine, run the batches in `feeds`, write the outputs to `out`.

    One thread, so that the same artifact gives the same numbers wherever the order of additions would matter; with
    `plain` also without the engine's own optimisations. Returns the artifact's signature.
    """
    batches = arrays.load(Path(payload["feeds"]))
    runtime = registry.load("runtimes", payload["engine"])()
    runtime.plain = payload.get("plain", False)
    session = runtime.open(Path(payload["artifact"]), threads=1)
    progress(f"{payload['name']}: gate, {len(batches)} calls")
    arrays.save(Path(payload["out"]), [picked(session.run(batch), batch) for batch in batches])
    return {side: [to_builtins(spec) for spec in getattr(session, side)] for side in ("inputs", "outputs")}


def sample(values: NDArray[Any]) -> NDArray[Any]:
    """What a golden case keeps of an item's reduced outputs: all numbers, or of many 1024 at evenly spaced places."""
    flat = values.ravel()
    if flat.size <= _LARGEST_SAMPLE:
        return flat
    chosen: NDArray[Any] = flat[np.arange(_LARGEST_SAMPLE) * flat.size // _LARGEST_SAMPLE]
    return chosen


def _filled(text: Any, tokenizer: Tokenizer) -> Any:
    """A text repeated until it is longer than the model, or a pair of texts whose second one is."""
    if isinstance(text, list):
        return [text[0], _filled(text[1], tokenizer)]
    wanted = min(tokenizer.max_length, _LONGEST_FILL)
    return text * (wanted // max(len(text.split()), 1) + 1)


def _check_shapes(want: dict[str, NDArray[Any]], got: dict[str, NDArray[Any]]) -> None:
    shapes = [{name: array.shape for name, array in batch.items()} for batch in (got, want)]
    if shapes[0] != shapes[1]:
        raise GateFailed(f"outputs are {shapes[0]}, the eager model's are {shapes[1]}")


def _flat(rows: Sequence[Sequence[NDArray[Any]]]) -> list[NDArray[Any]]:
    """Per row its outputs as one vector."""
    return [np.concatenate([array.ravel() for array in row]) for row in rows]


def _cosine(rows: Sequence[tuple[Any, ...]], name: str) -> float:
    want, got = (np.concatenate([row[at] for row in rows if row[0] == name]).astype(np.float64) for at in (1, 2))
    norm = np.linalg.norm(want) * np.linalg.norm(got)
    return float(want @ got / norm) if norm > 0 and np.isfinite(norm) else 0.0


def sqnr_db(want: NDArray[Any], error: NDArray[Any]) -> float:
    """Signal to quantization noise ratio, 10 log10(sum(want^2) / sum(error^2)), kept within `NO_ERROR_DB`."""
    noise = float(np.square(error).sum())
    signal = float(np.square(want).sum())
    if not noise:
        return NO_ERROR_DB
    return max(-NO_ERROR_DB, min(NO_ERROR_DB, 10 * math.log10(signal / noise))) if signal else -NO_ERROR_DB


def _agreement(
    task: Task,
    gate: Sequence[Case],
    reference: Sequence[dict[str, NDArray[Any]]],
    outputs: Sequence[dict[str, NDArray[Any]]],
    limit: Limit,
) -> float | None:
    """The share of choices that are the eager model's, or nearly tied in it; None where the task has no classes."""
    reduced = [
        r.ravel() for case, eager in zip(gate, reference, strict=True) for r in task.reduce(eager, case.encoding)
    ]
    tie = limit.tie * float(np.sqrt(np.square(np.concatenate(reduced)).mean()))
    agreed = []
    for case, eager, ours in zip(gate, reference, outputs, strict=True):
        wanted, found = (task.choices(batch, case.encoding) for batch in (eager, ours))
        for want, got in zip(wanted or (), found or (), strict=True):
            agreed.append((want.classes == got.classes).all(axis=1) | (want.margins < tie))
    return float(np.concatenate(agreed).mean()) if agreed else None


def _rounded(value: float, digits: int = 4) -> float:
    """Significant digits that do not depend on the order in which threads add."""
    return float(f"{value:.{digits}g}")
