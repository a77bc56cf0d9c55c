"""Documents as token files: shards of uint16 or uint32, one after the other, each document ended by its own token.

train-00000.bin, validation-00000.bin ...    little-endian token numbers
train-00000.json ...                         what one part came to; gone when all are there
tokens.json                                  the manifest: tokenizer, counts and hashes; written last

Parts of the text are written by processes of their own. A part that is there is not written again: what was killed goes
on. Files are read at a place, not mapped: one that is cut short under a map would end its reader without a word.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgewright.data.text_documents import Documents
from edgewright.errors import DataError, StorageError, UsageError
from edgewright.system.child import Child, Limits, call
from edgewright.system.files import alone, own_record, sha256, unwritten, write_whole
from edgewright.system.limits import allowed
from edgewright.system.progress import silent
from edgewright.training.decoder_tokenizer import end_of
from edgewright.training.word_cache import WordCache, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgewright.data.text_documents import Piece

__all__ = ["SPLITS", "Part", "Shard", "TokenFiles", "TokenManifest", "is_validation", "write_part", "write_tokens"]

SPLITS = ("train", "validation")
_MANIFEST = "tokens.json"
_LEAST_PART, _MOST_PART, _PARTS = 1 << 20, 1 << 26, 16
"""Bytes of text in a part, and parts that a text is cut into between those: a choice, so that two cores have work with
2 MB of text, and a shard of much text has some 30 MB."""
_DAY_S = 86400.0
"""A choice: a process that tokenizes for longer hangs."""
_CHILD_MIB = 2048
"""A choice: ten times what tokenizing takes."""


class Shard(msgspec.Struct, frozen=True):
    """A file of tokens, and the text that they stand for."""

    name: str
    tokens: int
    text_bytes: int
    documents: int
    sha256: str


class TokenManifest(msgspec.Struct, frozen=True):
    """What the files of a directory hold.

    Attributes:
        key: a hash over texts, tokenizer and split: equal keys mean equal files.
        tokenizer: SHA-256 of its tokenizer.json.
        vocabulary: how many tokens it has.
        end: the token behind every document.
        type: of the numbers, `<u2` or `<u4`.
    """

    key: str
    tokenizer: str
    vocabulary: int
    end: int
    type: str
    train: tuple[Shard, ...]
    validation: tuple[Shard, ...]


class Part(msgspec.Struct, frozen=True):
    """Which parts of the text a process shall write: every `step`-th from `first`."""

    paths: list[str]
    separator: str
    column: str
    tokenizer: str
    out: str
    part_bytes: int
    validation: float
    first: int
    step: int


class TokenFiles:
    """The tokens in a directory that `write_tokens` made.

    Args:
        directory: where they lie.
        progress: called with a phrase while hashes are made.

    Raises:
        DataError: a file is missing, or is not what the manifest says.
        StorageError: the manifest cannot be read.
    """

    def __init__(self, directory: Path, progress: Callable[[str], None] = silent) -> None:
        self.directory = directory
        tree = own_record(directory / _MANIFEST)
        try:
            self.manifest = msgspec.convert(tree, TokenManifest)
        except msgspec.ValidationError as error:
            what = f"{directory / _MANIFEST} is no manifest of token files: {error}"
            raise StorageError(what, hint=f"remove {directory}, and run it again") from error
        self._width = np.dtype(self.manifest.type).itemsize
        for shard in (*self.manifest.train, *self.manifest.validation):
            progress(f"check {shard.name}")
            self._check(shard)

    def check_tokenizer(self, directory: Path) -> None:
        """Raise UsageError where they were made with another tokenizer than that of a directory."""
        found = sha256(directory / "tokenizer.json")
        if found != self.manifest.tokenizer:
            what = f"{self.directory} holds tokens of the tokenizer {self.manifest.tokenizer[:12]}, {directory} has"
            raise UsageError(f"{what} {found[:12]}", hint="give the tokenizer that they were made with, or other files")

    def shards(self, split: str) -> tuple[Shard, ...]:
        """The shards of `train` or `validation`."""
        return self.manifest.train if split == "train" else self.manifest.validation

    def tokens(self, split: str) -> int:
        """Tokens of a split."""
        return sum(shard.tokens for shard in self.shards(split))

    def text_bytes(self, split: str) -> int:
        """Bytes of text that they stand for."""
        return sum(shard.text_bytes for shard in self.shards(split))

    def read(self, shard: Shard, start: int, count: int) -> NDArray[np.int64]:
        """Tokens int64 (count,) of a shard from `start` on. Raises DataError where the file has become shorter."""
        path = self.directory / shard.name
        try:
            with path.open("rb", buffering=0) as file:
                found = os.pread(file.fileno(), count * self._width, start * self._width)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}", hint=_AGAIN) from error
        if len(found) < count * self._width:
            size, wanted = path.stat().st_size, shard.tokens * self._width
            raise DataError(f"{path} has {size} bytes, {wanted} were there at the start", hint=_AGAIN)
        return np.frombuffer(found, self.manifest.type).astype(np.int64)

    def _check(self, shard: Shard) -> None:
        path = self.directory / shard.name
        try:
            size = path.stat().st_size
            if size != shard.tokens * self._width:
                raise DataError(f"{path} has {size} bytes, its manifest says {shard.tokens * self._width}", hint=_AGAIN)
            found = sha256(path)
        except OSError as error:
            raise DataError(
                f"{path}, a shard of the manifest, cannot be read: {error.strerror}", hint=_AGAIN
            ) from error
        if found != shard.sha256:
            what = f"{path} has been altered: its SHA-256 is {found[:12]}, its manifest says {shard.sha256[:12]}"
            raise DataError(what, hint=_AGAIN)


_AGAIN = "make the token files again, in another directory"
_PART: Child[Part, None] = Child("edgewright.training.token_files:write_part", Part, type(None))


def write_tokens(
    documents: Documents,
    tokenizer: Path,
    out: Path,
    *,
    validation: float,
    workers: int = 0,
    progress: Callable[[str], None] = silent,
) -> TokenFiles:
    """Tokenize documents into a directory, or open what lies there if it was made of the same.

    Args:
        documents: what is read.
        tokenizer: the directory of tokenizer.json.
        out: the directory.
        validation: the share of the documents that is kept for validation; which ones, their text decides, so that
            copies of a document fall on the same side.
        workers: processes; 0 for as many as there are cores.
        progress: called with a phrase now and then.

    Raises:
        DataError: no text, text that cannot be read, no document of one of the splits, an altered shard.
        UsageError: the directory holds the tokens of other texts or another tokenizer.
        StorageError: the disk is full or read-only.
    """
    from edgewright.text.tokenizer import Tokenizer

    of = Tokenizer(tokenizer, 1)
    facts = json.dumps([documents.fingerprint(), of.sha256, validation])
    key = hashlib.sha256(facts.encode()).hexdigest()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with alone(out, lambda: progress(f"wait for another process that writes {out}")):
            if not (out / _MANIFEST).is_file():
                _make(documents, tokenizer, out, key, validation=validation, workers=workers, progress=progress)
    except OSError as error:
        raise unwritten(out, error) from error
    files = TokenFiles(out, progress)
    if files.manifest.key != key:
        what = f"{out} holds the tokens of other texts, of another tokenizer or of another split"
        raise UsageError(what, hint="remove it, or give another place")
    return files


def _make(
    documents: Documents,
    tokenizer: Path,
    out: Path,
    key: str,
    *,
    validation: float,
    workers: int,
    progress: Callable[[str], None],
) -> None:
    """Write the parts that are not there, then the manifest."""
    from edgewright.text.tokenizer import Tokenizer

    begun, of = out / "begun.json", Tokenizer(tokenizer, 1)
    if begun.is_file() and own_record(begun).get("key") != key:
        raise UsageError(f"{out} holds the tokens of other texts, begun", hint="remove it, or give another place")
    write_whole(begun, json.dumps({"key": key}).encode())
    size = sum(path.stat().st_size for file in documents.files() for path in _inside(file))
    part_bytes = min(max(size // _PARTS, _LEAST_PART), _MOST_PART)
    count = workers or min(allowed().threads, math.ceil(size / part_bytes)) or 1
    given = (list(map(str, documents.paths)), documents.separator, documents.column, str(tokenizer), str(out))
    _write([Part(*given, part_bytes, validation, first, count) for first in range(count)], progress)
    kind = type_of(of.largest_id)
    train, held = (_shards(out, split, np.dtype(kind).itemsize) for split in SPLITS)
    _check_splits(train, held, validation)
    manifest = TokenManifest(key, of.sha256, of.largest_id + 1, end_of(tokenizer)[0], kind, train, held)
    write_whole(out / _MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    for note in (begun, *(path for split in SPLITS for path in out.glob(f"{split}-?????.json"))):
        note.unlink()


def _inside(path: Path) -> list[Path]:
    return [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]


def _write(parts: list[Part], progress: Callable[[str], None]) -> None:
    if len(parts) == 1:
        write_part(parts[0], progress)
        return
    limits = Limits(memory_mib=_CHILD_MIB, timeout_s=_DAY_S)
    with ThreadPoolExecutor(len(parts)) as pool:
        for done in [pool.submit(call, _PART, part, limits=limits, progress=progress) for part in parts]:
            done.result()


def write_part(part: Part, progress: Callable[[str], None]) -> None:
    """Write the shards of some parts of the text; of the others it is only read. Raises DataError, StorageError."""
    tokenizer, out = Path(part.tokenizer), Path(part.out)
    words = WordCache(tokenizer)
    end = np.array(end_of(tokenizer)[0], words.type).tobytes()
    at, seen, sinks = 0, 0, _sinks(part, out, 0)
    for piece in Documents(tuple(map(Path, part.paths)), part.separator, part.column):
        if sinks:
            sinks[is_validation(piece.text, part.validation)].add(piece, words.encode(piece.text), end)
        seen += len(piece.text)
        if seen >= part.part_bytes:
            _finish(sinks, out, at, progress)
            at, seen = at + 1, 0
            sinks = _sinks(part, out, at)
    _finish(sinks, out, at, progress)


class _Sink:
    """The tokens of one shard, as long as its part is read."""

    def __init__(self) -> None:
        self.data, self.text_bytes, self.documents = bytearray(), 0, 0

    def add(self, piece: Piece, tokens: bytes, end: bytes) -> None:
        self.data += tokens
        self.text_bytes += len(piece.text) if piece.text.isascii() else len(piece.text.encode())
        if piece.last:
            self.data += end
            self.documents += 1


def _sinks(part: Part, out: Path, at: int) -> tuple[_Sink, _Sink] | tuple[()]:
    """Where the tokens of a part go, to train and to validation; nowhere if it is another one's, or there already."""
    mine = at % part.step == part.first and not (out / f"validation-{at:05}.json").is_file()
    return (_Sink(), _Sink()) if mine else ()


def is_validation(text: str, share: float) -> bool:
    """Whether a piece is held back for validation: its text decides, as by chance."""
    drawn = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")
    return drawn < round(share * 2**32)


def _finish(sinks: Sequence[_Sink], out: Path, at: int, progress: Callable[[str], None]) -> None:
    """Write the files of a part, and behind each what it came to."""
    for split, sink in zip(SPLITS, sinks, strict=False):
        name, data = f"{split}-{at:05}", bytes(sink.data)
        if data:
            write_whole(out / f"{name}.bin", data)
        digest = hashlib.sha256(data).hexdigest()
        note = {"bytes": len(data), "text_bytes": sink.text_bytes, "documents": sink.documents, "sha256": digest}
        write_whole(out / f"{name}.json", json.dumps(note).encode())
    if sinks:
        progress(f"tokenize, part {at + 1}")


def _shards(out: Path, split: str, width: int) -> tuple[Shard, ...]:
    """The shards of a split, as their notes have them; parts without a token have no file."""
    found = []
    for path in sorted(out.glob(f"{split}-?????.json")):
        note = own_record(path)
        if note["bytes"]:
            counts = (note["bytes"] // width, note["text_bytes"], note["documents"])
            found.append(Shard(f"{path.stem}.bin", *counts, note["sha256"]))
    return tuple(found)


def _check_splits(train: Sequence[Shard], validation: Sequence[Shard], share: float) -> None:
    if not train and not validation:
        raise DataError("there is no text to train on", hint="are the files empty?")
    for shards, other, name in ((train, validation, "training"), (validation, train, "validation")):
        if not shards:
            what = f"of {sum(shard.documents for shard in other)} documents none falls to {name}, a share of {share:g}"
            raise DataError(what, hint="give more text, another --validation, or the --separator between documents")
