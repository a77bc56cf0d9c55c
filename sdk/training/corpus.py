"""Tokenized rows on the disk, read through memory maps: a corpus takes no memory of its own, however long it is.

ids.bin        token ids of all rows, uint16 or uint32 (tokens,)
types.bin      which text of a pair each belongs to, uint8 (tokens,)
ends.bin       where each row ends in them, int64 (rows,)
targets.bin    what is right, as the task's objective has it
corpus.json    what it was made of; written last
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.data import rows as data
from edgewright.errors import StorageError
from edgewright.system.files import into, own_record, unwritten, write_whole
from edgewright.system.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgewright.tasks import Example, Task
    from edgewright.text.tokenizer import Tokenizer
    from edgewright.training.objectives import Objective

__all__ = ["Corpus", "Row", "kept", "write"]

_CHUNK = 1000
"""Texts tokenized at once: a choice, enough to keep all cores busy, few enough to hold in memory."""
_RECORD = "corpus.json"


@dataclass(frozen=True)
class Row:
    """One row: ids int64 (n,), types int64 (n,), target of the objective's own shape."""

    ids: NDArray[np.int64]
    types: NDArray[np.int64]
    target: NDArray[Any]


class Corpus:
    """The rows in a directory that `write` made.

    Attributes:
        key: a hash over texts, labels, tokenizer and length: equal keys mean equal rows.
        items: the texts or pairs that the rows come from; fewer than rows where a long text has several windows.
    """

    def __init__(self, directory: Path) -> None:
        record = own_record(directory / _RECORD)
        self.directory, self.key, self.items = directory, str(record["key"]), int(record["items"])
        self._ids = np.memmap(directory / "ids.bin", record["ids"], "r")
        self._types = np.memmap(directory / "types.bin", "u1", "r")
        self._ends = np.memmap(directory / "ends.bin", "i8", "r")
        per_row = tuple(record["target_shape"])
        self.per_token = bool(record["per_token"])
        self._targets = np.memmap(directory / "targets.bin", record["target"], "r").reshape(-1, *per_row)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, at: int) -> Row:
        begin, end = int(self._ends[at - 1]) if at else 0, int(self._ends[at])
        target = self._targets[begin:end] if self.per_token else self._targets[at]
        ids, types = (array[begin:end].astype(np.int64) for array in (self._ids, self._types))
        return Row(ids, types, np.asarray(target))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, int64 (rows,)."""
        lengths: NDArray[np.int64] = np.diff(self._ends, prepend=0)
        return lengths

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return int(self._ends[-1])


def write(
    path: Path,
    task: Task,
    tokenizer: Tokenizer,
    objective: Objective,
    out: Path,
    *,
    more: Callable[[Iterable[Example]], Iterable[Example]] | None = None,
    progress: Callable[[str], None] = silent,
) -> Corpus:
    """Tokenize a data file into `out`, or open what lies there if it was made of the same.

    Args:
        path: a .tsv, .jsonl or .json file, read row by row.
        task: whose rows they are.
        tokenizer: of the model, cutting at the length in use.
        objective: gives each row's target.
        out: a directory.
        more: adds rows, such as variations of the given ones.
        progress: called with a phrase now and then.

    Raises:
        DataError: broken rows, named by line number; no rows; a class that no row has.
        StorageError: the disk is full or read-only.
    """
    key = _key(path, task, tokenizer, more)
    with suppress(StorageError):  # what is damaged is made anew
        if (out / _RECORD).is_file() and own_record(out / _RECORD).get("key") == key:
            return Corpus(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / _RECORD).unlink(missing_ok=True)
        given = data.stream(path, task)
        record = _write(more(given) if more else given, task, tokenizer, objective, out, progress)
        objective.check(path)
        write_whole(out / _RECORD, json.dumps({"key": key, **record}).encode())
    except OSError as error:
        raise unwritten(out, error) from error
    return Corpus(out)


def kept(
    path: Path,
    task: Task,
    tokenizer: Tokenizer,
    objective: Objective,
    root: Path,
    *,
    more: Callable[[Iterable[Example]], Iterable[Example]] | None = None,
    progress: Callable[[str], None] = silent,
) -> Corpus:
    """As `write`, in a directory of its own below `root`, which several processes may share.

    What another process may have mapped is never written again: a file that shrinks under a map ends its reader.
    """
    place = root / _key(path, task, tokenizer, more)[:32]
    if not (place / _RECORD).is_file():
        with into(place) as work:
            write(path, task, tokenizer, objective, work, more=more, progress=progress)
    return Corpus(place)


def _key(path: Path, task: Task, tokenizer: Tokenizer, more: Any) -> str:
    facts = [data.fingerprint(path), tokenizer.sha256, tokenizer.max_length, task.name, *task.settings.labels]
    facts += [task.settings.problem, getattr(more, "name", "")]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _write(
    rows: Iterable[Example], task: Task, tokenizer: Tokenizer, objective: Objective, out: Path, progress: Any
) -> dict[str, Any]:
    width = "<u2" if tokenizer.largest_id < 2**16 else "<u4"
    end = items = 0
    given = iter(rows)
    with ExitStack() as stack:
        ids, types, ends, targets = (
            stack.enter_context((out / f"{name}.bin").open("wb")) for name in ("ids", "types", "ends", "targets")
        )
        while chunk := list(islice(given, _CHUNK)):
            items += len(chunk)
            for row in _tokenized(chunk, task, tokenizer, objective):
                end += len(row.ids)
                ids.write(row.ids.astype(width).tobytes())
                types.write(row.types.astype("u1").tobytes())
                ends.write(np.int64(end).tobytes())
                targets.write(np.ascontiguousarray(row.target, objective.kind).tobytes())
            progress(f"tokenize, {items} rows")
    return {
        "ids": width,
        "items": items,
        "target": objective.kind,
        "target_shape": objective.shape,
        "per_token": objective.per_token,
    }


def _tokenized(chunk: list[Example], task: Task, tokenizer: Tokenizer, objective: Objective) -> Iterator[Row]:
    encoding = objective.encode(task, tokenizer, chunk)
    targets = objective.targets(chunk, encoding)
    for at, length in enumerate(encoding.lengths):
        yield Row(encoding.feeds["input_ids"][at, :length], encoding.feeds["token_type_ids"][at, :length], targets[at])
