"""Golden cases held against what an engine gives: the tokenizer's ids, and outputs as near as they were recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET

from edgewright.contracts.engine import held
from edgewright.errors import BundleError, GateFailed, quoted
from edgewright.text.encoding import regroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.bundle import Bundle
    from edgewright.bundle.manifest import Artifact, GoldenCase
    from edgewright.contracts.engine import Session
    from edgewright.tasks import Task
    from edgewright.text.encoding import Encoding
    from edgewright.text.tokenizer import Tokenizer

__all__ = ["encoded", "judged", "prompts", "prove", "recorded", "sample", "written"]

_FLOOR = 1e-3
"""A choice: of the signal, 60 dB. float32 summed in another order differs by 1e-6 of it, float16 by 5e-4."""


def encoded(bundle: Bundle, *, quick: bool = False) -> tuple[Task, list[Encoding]]:
    """The bundle's task, and its golden cases as its tokenizer encodes them, or the first. Raises BundleError."""
    task: Task = bundle.task()
    tokenizer, cases = bundle.tokenizer(), bundle.golden().cases[: 1 if quick else None]
    encodings = [task.encode(tokenizer, [case.text]) for case in cases]
    for case, encoding in zip(cases, encodings, strict=True):
        _check_ids(case, encoding)
    return task, encodings


def _check_ids(case: GoldenCase, encoding: Encoding) -> None:
    _check_same(case, encoding.feeds["input_ids"].ravel().tolist())


def _check_same(case: GoldenCase, found: list[int]) -> None:
    if found != list(case.input_ids):
        at = next((i for i, (a, b) in enumerate(zip(found, case.input_ids, strict=False)) if a != b), len(found))
        what = f"golden case {quoted(str(case.text))} has {len(found)} token ids, recorded {len(case.input_ids)}"
        raise BundleError(
            f"{what}, first difference at {at}", hint="is this tokenizers version the one of the manifest?"
        )


def judged(
    bundle: Bundle, artifact: Artifact, task: Task, encodings: list[Encoding], outputs: Iterable[dict[str, Any]]
) -> float:
    """The largest absolute difference of an artifact's outputs, for all batches of `encodings`, from the recorded ones.

    Raises:
        GateFailed: they are other outputs than the recorded ones.
    """
    cases = bundle.golden().cases[: len(encodings)]
    found = [sample(task.reduce(o, e)[0]) for o, e in zip(regroup(encodings, outputs), encodings, strict=True)]
    return _worst(artifact, cases, found)


def prompts(bundle: Bundle, *, quick: bool = False) -> list[tuple[int, ...]]:
    """The golden prompts of a decoder's bundle, as its tokenizer encodes them, or the first. Raises BundleError."""
    tokenizer, cases = bundle.tokenizer(), bundle.golden().cases[: 1 if quick else None]
    found = [tuple(tokenizer.ids(case.text)) for case in cases]
    for case, ids in zip(cases, found, strict=True):
        _check_same(case, list(ids))
    return found


def recorded(bundle: Bundle, artifact: Artifact, count: int) -> list[int]:
    """How many tokens an artifact wrote after each of the first `count` golden prompts."""
    cases = bundle.golden().cases[:count]
    return [0 if case.tokens is UNSET else len(case.tokens.get(artifact.path, ())) for case in cases]


def written(
    bundle: Bundle,
    artifact: Artifact,
    samples: Sequence[Sequence[float]],
    tokens: Sequence[Sequence[int]],
) -> float:
    """The largest absolute difference of logits after golden prompts from the recorded ones.

    At fp32 the greedy tokens must be the recorded ones, too: other CPUs round quantized activations elsewhere, and one
    token that differs changes all that follow.

    Raises:
        GateFailed: they are other logits or tokens.
    """
    cases = bundle.golden().cases[: len(samples)]
    worst = _worst(artifact, cases, [np.array(sample) for sample in samples])
    if artifact.precision == "fp32":
        for case, found in zip(cases, tokens, strict=True):
            _check_tokens(case, artifact, found)
    return worst


def _check_tokens(case: GoldenCase, artifact: Artifact, found: Sequence[int]) -> None:
    wanted = {} if case.tokens is UNSET else case.tokens
    recorded = wanted.get(artifact.path, ())
    if tuple(found) != recorded:
        at = next((i for i, (a, b) in enumerate(zip(found, recorded, strict=False)) if a != b), len(recorded))
        what = f"{artifact.key}, golden case {quoted(str(case.text))}: token {at} is another one than was recorded"
        raise GateFailed(what, hint="this engine or CPU computes it wrong")


def prove(
    bundle: Bundle,
    artifact: Artifact | None,
    task: Task,
    tokenizer: Tokenizer,
    session: Session,
    *,
    most: int | None = None,
) -> int:
    """Replay golden cases through a session that is open in this process, `most` of them or all; how many agreed.

    Raises:
        BundleError: the tokenizer gives other token ids than the recorded ones.
        GateFailed: the engine gives other outputs.
    """
    cases, found = bundle.golden().cases[:most], []
    name = artifact.key if artifact else "the model"
    run = held(session.run, task.outputs, name, per_token=task.per_token)
    for case in cases:
        encoding = task.encode(tokenizer, [case.text])
        _check_ids(case, encoding)
        found.append(sample(task.reduce(encoding.run(run), encoding)[0]))
    if artifact is not None:
        _worst(artifact, cases, found)
    return len(cases)


def _worst(artifact: Artifact, cases: Sequence[GoldenCase], found: list[Any]) -> float:
    """The largest difference from the recorded outputs. Raises GateFailed where a case differs by too much."""
    if not cases:
        raise BundleError(f"{artifact.key} was held against no golden case, which proves nothing")
    wanted = [_recorded(case, artifact, got) for case, got in zip(cases, found, strict=True)]
    allowed = _allowed_rms(artifact, wanted)
    for case, want, got in zip(cases, wanted, found, strict=True):
        _check_outputs(f"{artifact.key}, golden case {quoted(str(case.text))}", want, got, allowed)
    return max(float(np.abs(w - f).max()) for w, f in zip(wanted, found, strict=True))


def _recorded(case: GoldenCase, artifact: Artifact, got: Any) -> Any:
    want = np.array(case.outputs.get(artifact.path, ()), dtype=np.float64)
    if want.shape != got.shape:
        raise BundleError(
            f"golden case {quoted(str(case.text))} has {want.size} outputs of {artifact.path}, not {got.size}"
        )
    return want


def _allowed_rms(artifact: Artifact, wanted: list[Any]) -> float:
    """How far two engines that are both right may be from each other: twice what either is from the eager model.

    Another engine version or instruction set rounds quantized activations elsewhere, so that at int8 their outputs
    agree no better than that; a wrong kernel differs by far more.
    """
    signal = float(np.sqrt(np.mean(np.square(np.concatenate(wanted))))) if wanted else 0.0
    if not np.isfinite(signal):
        raise BundleError(f"the golden outputs of {artifact.path} are too large to be squared")
    loudest_db = max(artifact.parity.sqnr_db, 0.0)  # below it there is more noise than signal, and all would agree
    return max(_FLOOR, 2 * 10 ** (-loudest_db / 20)) * signal


def _check_outputs(what: str, want: Any, got: Any, allowed: float) -> None:
    rms = float(np.sqrt(np.mean(np.square(want - got))))
    if not rms <= allowed:
        hint = "this engine or CPU computes it wrong"
        raise GateFailed(f"{what}: outputs differ by {rms:.3g} (rms), at most {allowed:.3g} is allowed", hint=hint)


_LARGEST_SAMPLE = 1024
"""A choice: embeddings and logits are kept whole; of a map of scores it keeps golden.json below a megabyte."""


def sample(values: NDArray[Any]) -> NDArray[Any]:
    """What a golden case keeps of an item's reduced outputs: all numbers, or of many 1024 at evenly spaced places."""
    flat = values.ravel()
    if flat.size <= _LARGEST_SAMPLE:
        return flat
    chosen: NDArray[Any] = flat[np.arange(_LARGEST_SAMPLE) * flat.size // _LARGEST_SAMPLE]
    return chosen
