"""A decoder that knows which tokens it has read: a prompt that begins as the last one did costs only what is new.

A session can be saved and resumed, with the hash of the artifact that its cache belongs to.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from edgewright.errors import DataError, UsageError
from edgewright.system.files import plain, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zipfile import ZipFile

    from numpy.typing import NDArray

    from edgewright.contracts.decoder import Decoder

__all__ = ["CHUNK", "CacheSession", "common"]

CHUNK = 512
"""Tokens of a prompt that are read at once: llama.cpp's own choice; more of them take memory and save no time."""
_SCHEMA = 1
"""Of a saved session."""
_MOST_ARRAYS = 4096
"""Of a saved session: two for each of a thousand layers, and some."""


class CacheSession:
    """A decoder, and the tokens in its cache.

    Attributes:
        tokens: those that it has read.
        reused: how many of the last prompt were in the cache already.
    """

    def __init__(self, decoder: Decoder, artifact: str = "", *, chunk: int = CHUNK) -> None:
        self.decoder, self.artifact = decoder, artifact
        self.tokens: list[int] = []
        self.reused, self._chunk = 0, chunk

    def prompt(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Have exactly `ids` in the cache; the logits of the last one, float32 (vocabulary,).

        Raises:
            UsageError: there are none, or more than the context.
        """
        *_, logits = self.reading(ids)
        return logits

    def reading(self, ids: Sequence[int]) -> Iterator[NDArray[np.float32]]:
        """The same piece by piece: the logits after each, and with the last one `ids` are in the cache.

        Raises:
            UsageError: there are none, or more than the context.
        """
        if not 0 < len(ids) <= self.decoder.context:
            what = f"the prompt has {len(ids)} tokens, the context is {self.decoder.context}"
            raise UsageError(what, hint="shorten it" if ids else "write something")
        shared = min(common(self.tokens, ids), len(ids) - 1)  # the last token is read again: its logits are wanted
        self.reused = self.decoder.held(shared)
        self.decoder.rewind(self.reused)
        del self.tokens[self.reused :]
        for begin, end in ((self.reused, shared), (shared, len(ids))):  # what begins alike may be gone back to again
            for at in range(begin, end, self._chunk):
                yield self._read(ids[at : min(at + self._chunk, end)])

    def step(self, token: int) -> NDArray[np.float32]:
        """Read one more token: the logits of what follows it."""
        return self._read([token])

    def verify(self, draft: Sequence[int]) -> NDArray[np.float32]:
        """Read several at once: the logits after each of them, float32 (tokens, vocabulary)."""
        logits = self.decoder.read(draft, kept=len(draft))
        self.tokens += draft
        return logits

    def rewind(self, length: int) -> None:
        """Forget all tokens but the first `length`; those whose state the decoder does not hold are read again."""
        held = self.decoder.held(length)
        self.decoder.rewind(held)
        again, self.tokens = self.tokens[held:length], self.tokens[:held]
        for at in range(0, len(again), self._chunk):
            self._read(again[at : at + self._chunk])

    def slide(self, beginning: int) -> None:
        """Forget the older half of what is behind the first `beginning` tokens, half of all at most."""
        tokens = self.tokens
        kept = min(beginning, len(tokens) // 2)
        self.prompt(tokens[:kept] + tokens[kept + (len(tokens) - kept + 1) // 2 :])

    def _read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self.decoder.read(ids)[-1]
        self.tokens += ids
        return logits

    @property
    def room(self) -> int:
        """How many more tokens fit."""
        return self.decoder.context - len(self.tokens)

    def save(self, path: str | Path) -> None:
        """Write the tokens and the cache to a file. Raises StorageError."""
        import io

        head = {"schema": _SCHEMA, "artifact": self.artifact, "tokens": self.tokens}
        arrays = {f"a{at}": array for at, array in enumerate(self.decoder.keys_and_values())}
        file = io.BytesIO()
        np.savez(file, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
        write_whole(Path(path), file.getvalue())

    def resume(self, path: str | Path) -> None:
        """Go on from a saved session.

        Raises:
            DataError: the file is none, or belongs to another artifact.
        """
        head, arrays = _saved(Path(path))
        if head.get("artifact") != self.artifact:
            what = f"{path} belongs to the artifact {str(head.get('artifact'))[:12]}, this one is {self.artifact[:12]}"
            raise DataError(what, hint="a session goes on in the very artifact that began it")
        tokens = head["tokens"]
        if len(tokens) > self.decoder.context:
            raise DataError(f"{path} has {len(tokens)} tokens, the context is {self.decoder.context}")
        try:
            self.decoder.restore(arrays, len(tokens))
        except (ValueError, IndexError) as error:
            raise DataError(f"{path} has a cache of another shape: {error}", hint="begin a new session") from error
        self.tokens = tokens


def _saved(path: Path) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """The head and the arrays of a saved session. Raises DataError."""
    try:
        with plain(path) as opened, np.load(opened, allow_pickle=False) as file:
            _check_stored(file.zip, os.fstat(opened.fileno()).st_size)
            head = json.loads(file["head"].tobytes())
            names = [f"a{at}" for at in range(len(file.files) - 1)]
            arrays = [file[name] for name in names[:_MOST_ARRAYS]]
        whole = isinstance(head, dict) and head.get("schema") == _SCHEMA
        tokens = head.get("tokens") if whole else None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, RecursionError) as error:
        raise DataError(f"{path} is no saved session: {error}", hint="begin a new one") from error
    if not isinstance(tokens, list) or not all(type(token) is int and 0 <= token < 2**31 for token in tokens):
        raise DataError(f"{path} is no saved session: it has no tokens", hint="begin a new one")
    return head, arrays


def _check_stored(archive: ZipFile, size: int) -> None:
    """Raise ValueError where parts are larger than the file: `save` compresses nothing, a bomb does."""
    whole = sum(part.file_size for part in archive.infolist())
    if whole > size:
        raise ValueError(f"its parts have {whole} bytes, the file has {size}")


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    return next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
