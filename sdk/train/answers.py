"""A teacher's answers to tokenized rows, computed once and read through memory maps."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import StorageError
from edgewright.files import into

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgewright.train.corpus import Corpus

__all__ = ["Answers", "cache_dir", "computed"]

_BATCH = 64
_RECORD = "answers.json"


class Answers:
    """For each row of a corpus its outputs float32, one for the row (k,) or one for each token (tokens, ...)."""

    def __init__(self, directory: Path, corpus: Corpus) -> None:
        record = json.loads((directory / _RECORD).read_text())
        self._ends = np.cumsum(corpus.lengths) if record["per_token"] else np.arange(1, len(corpus) + 1)
        shapes = record["shapes"]
        self._arrays = [
            np.memmap(directory / f"{at}.bin", "<f4", "r").reshape(-1, *shape) for at, shape in enumerate(shapes)
        ]
        self._per_token = bool(record["per_token"])

    def __getitem__(self, at: int) -> tuple[NDArray[np.float32], ...]:
        if not self._per_token:
            return tuple(array[at] for array in self._arrays)
        begin, end = int(self._ends[at - 1]) if at else 0, int(self._ends[at])
        return tuple(array[begin:end] for array in self._arrays)


def cache_dir() -> Path:
    """Where answers are kept by default: `edgewright/answers` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgewright" / "answers"


def computed(
    teacher: Callable[[], Any],
    name: str,
    corpus: Corpus,
    *,
    per_token: bool,
    cache: Path,
    progress: Callable[[str], None],
) -> Answers:
    """A teacher's answers: those in the cache, or computed now and kept there.

    Args:
        teacher: gives the model, which is loaded only if need be.
        name: what tells the teacher from others, such as the hash of its files.
        corpus: the rows.
        per_token: whether an output has a value for each token.
        cache: the directory that holds answers.
        progress: told how far it is.

    Raises:
        StorageError: the disk is full or read-only.
    """
    place = cache / hashlib.sha256(f"{name} {corpus.key}".encode()).hexdigest()[:32]
    if (place / _RECORD).is_file():
        progress(f"the teacher's answers to {len(corpus)} rows are there")
        return Answers(place, corpus)
    try:
        with into(place) as work:
            _compute(teacher(), corpus, work, per_token=per_token, progress=progress)
    except OSError as error:
        raise StorageError(f"cannot write {cache}: {error.strerror or error}", hint="free some space") from error
    return Answers(place, corpus)


def _compute(model: Any, corpus: Corpus, out: Path, *, per_token: bool, progress: Callable[[str], None]) -> None:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.eval().to(device)
    order = np.argsort(corpus.lengths, kind="stable")
    arrays: list[Any] = []
    ends = np.cumsum(corpus.lengths)
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH].tolist()
            found = [one.float().cpu().numpy() for one in _run(model, corpus, rows, device)]
            arrays = arrays or _opened(found, corpus, out, per_token=per_token)
            for array, values in zip(arrays, found, strict=True):
                _put(array, values, rows, ends if per_token else None, corpus)
            if start % (_BATCH * 50) == 0:
                progress(f"the teacher's answers, {start} of {len(order)} rows")
    for array in arrays:
        array.flush()
    record = {"per_token": per_token, "shapes": [array.shape[1:] for array in arrays]}
    (out / _RECORD).write_text(json.dumps(record))


def _run(model: Any, corpus: Corpus, rows: Sequence[int], device: str) -> Any:
    from edgewright.train._batches import collate

    batch = collate([(row, corpus[row], (), corpus.per_token) for row in rows])
    feeds = {name: batch[name].to(device) for name in ("input_ids", "attention_mask", "token_type_ids")}
    return model(**feeds)


def _opened(found: Sequence[Any], corpus: Corpus, out: Path, *, per_token: bool) -> list[Any]:
    """Files for the outputs, of the shapes that a first batch has: (rows, k) or (rows, length, ...)."""
    count = corpus.tokens if per_token else len(corpus)
    skip = 2 if per_token else 1
    return [np.memmap(out / f"{at}.bin", "<f4", "w+", shape=(count, *one.shape[skip:])) for at, one in enumerate(found)]


def _put(array: Any, values: Any, rows: Sequence[int], ends: Any, corpus: Corpus) -> None:
    if ends is None:
        array[rows] = values
        return
    for row, value in zip(rows, values, strict=True):
        length = int(corpus.lengths[row])
        array[ends[row] - length : ends[row]] = value[:length]
