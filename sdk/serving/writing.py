"""Answers that the engine's thread writes while connections read them; whoever leaves ends the own one.

What is asked for while others are written is written with them: a run of the engine reads a token of each.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.bundle.bundle import Bundle
from edgewright.bundle.signing import check_placed
from edgewright.errors import EdgewrightError
from edgewright.generation.answer import Options, Written
from edgewright.inference.golden import prompts, sample, written
from edgewright.inference.pipeline import load
from edgewright.serving.http_connection import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from edgewright.generation.batch import Batch, Row
    from edgewright.generation.generator import Generator

__all__ = ["Writer", "Writing", "open_generator"]

_BEGUN = object()
"""What is told first: the prompt fits, and the answer is on its way."""


class Writing:
    """An answer on its way.

    Args:
        ids: from the generator to the prompt's token ids, on the one thread that uses it.
        options: by name, see `Generator.options`; without `max_new_tokens` all that the context holds.

    Attributes:
        written: what came of it, once all pieces have been read.
    """

    def __init__(self, ids: Callable[[Generator], list[int]], options: Mapping[str, Any]) -> None:
        self._ids, self._options = ids, dict(options)
        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._told: asyncio.Queue[Any] = asyncio.Queue()  # holds an answer at most, which the context bounds
        self._left = False
        self.written = Written()

    @property
    def left(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._left

    @property
    def whole(self) -> bool:
        """Whether it came to its end, and all of it was read."""
        return self.written.reason != "cancelled"

    def leave(self) -> None:
        """Write no further token; who still reads it hears that it was cut short."""
        if not self._left:
            self._left = True
            self._told.put_nowait(Written())

    def begin(self, generator: Generator) -> Row | None:
        """What is to be written, None where there is nothing; to be called on the engine's thread."""
        try:
            if not self._left:
                row = self._row(generator)
                self._tell(_BEGUN)
                return row
            self._tell(Written())
        except BaseException as error:  # noqa: BLE001 - the one who waits gets it, a panic of Rust's too
            self._fail(error)
        return None

    def end(self, row: Row) -> None:
        """Say what came of it; to be called on the engine's thread."""
        if row.error:
            self._fail(row.error)
        else:
            self._tell(row.answer.written)

    def _fail(self, error: BaseException) -> None:
        known = isinstance(error, EdgewrightError | Refused)
        what = f"{type(error).__name__}: {error}"
        self._tell(error if known else EdgewrightError(what, hint="this is a bug of edgewright"))

    def _row(self, generator: Generator) -> Row:
        """Raises Refused for a prompt that cannot be read, UsageError for a form that no answer has."""
        ids, context = self._ids(generator), generator.session.decoder.context
        if not ids:
            raise Refused(HTTPStatus.BAD_REQUEST, "The prompt has no tokens; write something.", code="invalid_value")
        if len(ids) > context:
            what = f"This model's maximum context length is {context} tokens. The request has {len(ids)}; shorten it."
            raise Refused(HTTPStatus.BAD_REQUEST, what, code="context_length_exceeded")
        row = generator.row(ids, generator.options(**{"max_new_tokens": context, **self._options}))
        row.tell, row.wanted = self._tell, lambda: not self._left
        return row

    def _tell(self, item: Any) -> None:
        with suppress(RuntimeError):  # the server has ended meanwhile
            self._loop.call_soon_threadsafe(self._told.put_nowait, item)

    async def begun(self) -> None:
        """Wait until the prompt was found good. Raises what was wrong with it, or Refused where it was cut short."""
        item = await self._told.get()
        if item is not _BEGUN:
            raise item if isinstance(item, Exception) else _cut_short()

    async def pieces(self) -> AsyncIterator[str]:
        """The text, piece by piece. Raises what went wrong, or Refused where it was cut short."""
        while isinstance(item := await self._told.get(), str):
            yield item
        if isinstance(item, Exception):
            raise item
        self.written = item
        if not self.whole:
            raise _cut_short()


class Writer:
    """Writes answers, on the one thread that uses the engine.

    Args:
        generator: what writes.
        batch: room for those that are written at once.
    """

    def __init__(self, generator: Generator, batch: Batch) -> None:
        self._generator, self._batch = generator, batch
        self._waiting: deque[Writing] = deque()
        self._written: dict[Row, Writing] = {}

    def put(self, writing: Writing) -> None:
        """Have an answer written by the next `work`, or by the one that is going on."""
        self._waiting.append(writing)

    def work(self) -> None:
        """Write what waits, and what comes meanwhile; to be called on the engine's thread after each `put`."""
        while self._waiting or self._batch.busy:
            while self._waiting and self._batch.free:
                writing = self._waiting.popleft()
                if row := writing.begin(self._generator):
                    self._written[row] = writing
                    self._batch.begin(row)
            for row in self._batch.step():
                self._written.pop(row).end(row)


def _cut_short() -> Refused:
    what = "The server stopped before the answer ended."
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, what, code="stopping")


def open_generator(directory: str | Path, options: Mapping[str, Any]) -> tuple[Bundle, Generator]:
    """Open a decoder's bundle, or what a link leads to now, and let it write its golden cases.

    `options` are those of `load`.

    Raises:
        BundleError: it is not what its manifest says.
        GateFailed: the engine here gives other logits or tokens than it should.
    """
    bundle = Bundle.open(Path(os.path.realpath(directory)))
    check_placed(bundle)
    generator: Generator = load(bundle, **options)
    _prove(bundle, generator)
    return bundle, generator


def _prove(bundle: Bundle, generator: Generator) -> None:
    artifact, samples, tokens = generator.artifact, [], []
    assert artifact  # noqa: S101 - that of a bundle
    for case, ids in zip(bundle.golden().cases, prompts(bundle), strict=True):
        recorded = case.tokens.get(artifact.path, ()) if isinstance(case.tokens, dict) else ()
        generator.session.rewind(0)
        samples.append(sample(generator.session.prompt(ids)).tolist())
        greedy = Options(max_new_tokens=max(len(recorded), 1), ignore_end=True)
        tokens.append(list(generator.write(ids, greedy)))
    written(bundle, artifact, np.array(samples).tolist(), tokens)
    generator.session.rewind(0)
    generator.last = Written()
