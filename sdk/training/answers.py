"""A teacher's answers to tokenized rows, computed once, by one process, and read through memory maps."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from edgewright.system.files import alone, home, own_record, unwritten, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.training.corpus import Corpus

__all__ = ["Answers", "cache_dir", "computed"]

_BATCH, _BATCHES = 64, 50
"""Rows at a time, and how many times until what was done is safe from a kill."""
_RECORD = "answers.json"


class Answers:
    """For each row of a corpus its outputs float32, one for the row (k,) or one for each token (tokens, ...)."""

    def __init__(self, directory: Path, corpus: Corpus) -> None:
        record = own_record(directory / _RECORD)
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
    return home("XDG_CACHE_HOME", ".cache") / "edgewright" / "answers"


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
    part = place.with_name(f"{place.name}.part")
    try:
        while not (place / _RECORD).is_file():
            part.mkdir(parents=True, exist_ok=True)
            if part.is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, f"{part.name} is a link")
            with alone(part, lambda: progress("wait for another one that computes the teacher's answers")):
                if part.is_dir():  # another one has not made it `place` meanwhile
                    _compute(teacher, corpus, part, per_token=per_token, progress=progress)
                    part.rename(place)
                    return Answers(place, corpus)
    except OSError as error:
        raise unwritten(cache, error) from error
    progress(f"the teacher's answers to {len(corpus)} rows are there")
    return Answers(place, corpus)


def _compute(
    teacher: Callable[[], Any], corpus: Corpus, out: Path, *, per_token: bool, progress: Callable[[str], None]
) -> None:
    """Fill `out`, from where a killed process stopped."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = teacher().eval().to(device)
    order = np.argsort(corpus.lengths, kind="stable")
    files = _Files(out, corpus, per_token=per_token)
    with files, torch.inference_mode():
        for start in range(files.rows, len(order), _BATCH):
            if start % (_BATCH * _BATCHES) == 0:
                files.note(start)
                progress(f"the teacher's answers, {start} of {len(order)} rows")
            rows = order[start : start + _BATCH].tolist()
            files.put(rows, [one.float().cpu().numpy() for one in _run(model, corpus, rows, device)])
        files.note(len(order))


class _Files:
    """One file for each output, and a record of how many rows, in the order of their lengths, are in them.

    Written, not mapped: a disk that is full in the middle of a map is a signal that ends the process.
    """

    def __init__(self, out: Path, corpus: Corpus, *, per_token: bool) -> None:
        self._out, self._lengths = out, corpus.lengths
        self._per_token = per_token
        self._starts = np.cumsum(corpus.lengths) - corpus.lengths if per_token else np.arange(len(corpus))
        record = out / _RECORD
        found: dict[str, Any] = own_record(record) if record.is_file() else {"rows": 0, "shapes": []}
        self.rows, self._shapes = int(found["rows"]), list(found["shapes"])
        self._stack = ExitStack()
        self._files: list[BinaryIO] = []

    def __enter__(self) -> None:
        """Open what a killed process wrote."""
        self._files = [self._opened(at) for at in range(len(self._shapes))]

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self._stack.close()

    def put(self, rows: Sequence[int], outputs: Sequence[Any]) -> None:
        """Write the outputs (rows, ...) or (rows, length, ...) of some rows."""
        if not self._files:
            self._shapes = [one.shape[2 if self._per_token else 1 :] for one in outputs]
            self._files = [self._opened(at) for at in range(len(outputs))]
        for file, shape, values in zip(self._files, self._shapes, outputs, strict=True):
            width = int(np.prod(shape, dtype=int)) * 4
            for row, value in zip(rows, values, strict=True):
                file.seek(int(self._starts[row]) * width)
                file.write((value[: self._lengths[row]] if self._per_token else value).astype("<f4").tobytes())

    def note(self, rows: int) -> None:
        """Bring all that was put to the disk, and then that it is there."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        record = {"per_token": self._per_token, "shapes": self._shapes, "rows": rows}
        write_whole(self._out / _RECORD, json.dumps(record).encode())

    def _opened(self, at: int) -> BinaryIO:
        how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return self._stack.enter_context(os.fdopen(os.open(self._out / f"{at}.bin", how, 0o666), "r+b"))


def _run(model: Any, corpus: Corpus, rows: Sequence[int], device: str) -> Any:
    from edgewright.training._batches import collate

    batch = collate([(row, corpus[row], (), corpus.per_token) for row in rows])
    feeds = {name: batch[name].to(device) for name in ("input_ids", "attention_mask", "token_type_ids")}
    return model(**feeds)
