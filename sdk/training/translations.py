"""A teacher's translations of the sources of rows, as rows for a student: made once, kept, gone on with after a kill.

Sequence-level knowledge distillation (Kim and Rush 2016, arXiv 1606.07947, section 3.2): what a student learns is what
the teacher's own search finds. A source that stands in several rows is translated once.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from msgspec import MsgspecError, Struct, convert
from msgspec.structs import asdict

from edgewright import registry
from edgewright.data import rows as data
from edgewright.errors import DataError, StorageError
from edgewright.system.files import alone, unwritten, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgewright.generation.translator import Translator
    from edgewright.model.source import Source
    from edgewright.tasks import Task

__all__ = ["translated"]

_BATCH = 64
"""Sentences that are read and written together: a choice, of some megabytes of cache each with four beams."""
_CHUNK = 512
"""Sources until what was done is safe from a kill: a choice, some minutes of an eager model on one core."""
_PART, _ROWS = "translations.jsonl", "rows.jsonl"
"""Every source and its translation in their order, and those of them that a student can learn from."""
_SIDES = {"text": "source", "label": "target"}
"""What the columns stand for that a user has named, see `edgewright.data.rows.called`."""


class _Line(Struct, frozen=True, forbid_unknown_fields=True):
    """A source and its translation, as a file keeps them."""

    source: str
    target: str


def translated(teacher: Source, rows: Path, *, cache: Path, progress: Callable[[str], None]) -> Path:
    """A file of rows with the different sources of `rows`, and what the teacher makes of each by its own search.

    Args:
        teacher: an encoder-decoder.
        rows: with the columns `source` and `target`.
        cache: the directory where such files are kept.
        progress: told how far it is.

    Raises:
        DataError: broken rows, or the teacher says nothing to any of them.
        StorageError: the disk is full or read-only, or holds something else there.
    """
    task: Task = registry.load("tasks", teacher.task)(teacher.settings)
    sources = list(dict.fromkeys(example.item for example in data.stream(rows, task)))
    called = [(old, _SIDES[new]) for old, new in data.opened(rows).columns]
    key = json.dumps([teacher.sha256(), sources, called], ensure_ascii=False)
    place = cache / hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:32]
    part = place.with_name(f"{place.name}.part")
    try:
        while not (place / _ROWS).is_file():
            part.mkdir(parents=True, exist_ok=True)
            if part.is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, f"{part.name} is a link")
            with alone(part, lambda: progress("wait for another one that asks the teacher")):
                if part.is_dir():  # another one has not made it `place` meanwhile
                    _translate(teacher, task, sources, part / _PART, progress)
                    _keep_spoken(part, called)
                    part.rename(place)
    except OSError as error:
        raise unwritten(cache, error) from error
    progress(f"the teacher's translations of {len(sources)} sources are there")
    return place / _ROWS


def _translate(teacher: Source, task: Task, sources: list[str], file: Path, progress: Callable[[str], None]) -> None:
    """Write a line for each source behind those that a killed process left."""
    how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(file, how, 0o666), "r+b") as out:
        done = _done(out, file, sources)
        if done == len(sources):
            return
        translator = _opened(teacher, task)
        options = translator.options(batch_size=_BATCH)
        for begin in range(done, len(sources), _CHUNK):
            progress(f"the teacher's translations, {begin} of {len(sources)} sources")
            chunk = sources[begin : begin + _CHUNK]
            for source, target in zip(chunk, translator.translate(chunk, options), strict=True):
                out.write(json.dumps({"source": source, "target": target}).encode() + b"\n")
            out.flush()
            os.fsync(out.fileno())


def _done(out: Any, file: Path, sources: list[str]) -> int:
    """How many sources have their line; a line that a kill cut off is written anew. Raises StorageError."""
    done = end = 0
    for line in out:
        if not line.endswith(b"\n"):
            break
        if done == len(sources) or _line(line, file).source != sources[done]:
            raise StorageError(f"line {done + 1} of {file} is of another source", hint="remove it")
        done, end = done + 1, end + len(line)
    out.seek(end)
    out.truncate()
    return done


def _line(data: bytes, file: Path) -> _Line:
    """A line of what is kept. Raises StorageError."""
    try:
        return convert(json.loads(data), _Line)
    except (ValueError, RecursionError, MsgspecError) as error:
        raise StorageError(f"{file} holds a line that is no translation", hint="remove it") from error


def _keep_spoken(part: Path, called: list[tuple[str, str]]) -> None:
    """Write the rows whose translation is a text, by the user's names of columns too. Raises DataError for none."""
    lines = (part / _PART).read_bytes().splitlines()
    rows = [asdict(_line(line, part / _PART)) for line in lines]
    spoken = [{**{old: row[side] for old, side in called}, **row} for row in rows if row["target"].strip()]
    if not spoken:
        raise DataError(f"the teacher's translations of all {len(rows)} sources are empty", hint="is it trained?")
    write_whole(part / _ROWS, b"".join(json.dumps(row).encode() + b"\n" for row in spoken))


def _opened(teacher: Source, task: Task) -> Translator:
    """The eager teacher, with the search of its own files."""
    import torch

    from edgewright.generation.defaults import translation_defaults
    from edgewright.generation.translator import Translator
    from edgewright.training._eager_translator import EagerEncoderDecoder
    from edgewright.training._models import load

    most = teacher.settings.max_length
    model = load(teacher, task).inner.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    rules, search = translation_defaults(teacher.directory, most)
    return Translator(teacher.tokenizer(), EagerEncoderDecoder(model, most), rules, search, task=task)
