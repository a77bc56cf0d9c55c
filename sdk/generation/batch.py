"""Answers to several prompts at once: one run of the engine reads a token of each, and the weights once for all.

Prompts are read one by one, which is products of matrices anyway; where one begins as another text did, its keys and
values are copied. An answer that ends makes room for the next prompt, and where there is none the last text moves up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgewright.errors import EdgewrightError
from edgewright.generation.session import CacheSession, common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Generator as Generating

    import numpy as np
    from numpy.typing import NDArray

    from edgewright.contracts.decoder import Rows
    from edgewright.generation.answer import Answer
    from edgewright.generation.text_stream import TextStream

__all__ = ["Batch", "Row"]


@dataclass
class Row:
    """A prompt and what comes of it.

    Attributes:
        ids: of the prompt.
        answer: its tokens, in the making.
        text: what makes text of them.
        pieces: of the text, so far.
        number: of the prompt.
        token: the last one, which has not been read.
    """

    ids: list[int]
    answer: Answer
    text: TextStream
    pieces: list[str] = field(default_factory=list)
    number: int = 0
    token: int = 0

    def goes_on(self, logits: NDArray[np.float32], session: CacheSession) -> bool:
        """Take the next token; whether another one is wanted, for which this one has to be read."""
        token = self.answer.choose(logits, session.tokens)
        if token is not None:
            self.token = token
            self.pieces.append(self.text.push(token))
            if self.text.stopped:
                self.answer.written.reason = "stop"
                return False
            if not self.answer.over and self.answer.room(session):
                return True
        self.pieces.append(self.text.finish())
        return False


class Batch:
    """Prompts that share the runs of an engine.

    Args:
        rows: room for as many texts as are answered at once.
        begin: from a prompt to a row of which nothing was written.
    """

    def __init__(self, rows: Rows, begin: Callable[[Any], Row]) -> None:
        self._rows, self._begin = rows, begin
        self._sessions = [CacheSession(decoder) for decoder in rows.decoders]
        self._open: list[Row] = []  # each in the session of its place
        self._done: dict[int, Row | EdgewrightError] = {}
        self._begun = self._given = 0

    def written(self, prompts: Iterable[Any]) -> Generating[Row, None, None]:
        """Each prompt's row once its answer has ended, in the order of the prompts.

        What is wrong with a prompt or an answer is raised where its row would come, and no prompt is begun any more.
        """
        waiting = iter(prompts)
        while len(self._open) < len(self._sessions) and self._next(len(self._open), waiting):
            pass
        while self._open:
            yield from self._in_order()
            logits = self._step()
            ended = [at for at, row in enumerate(self._open) if not self._goes_on(at, row, logits[at])]
            for at in reversed([at for at in ended if not self._next(at, waiting)]):
                self._leave(at)
        yield from self._in_order()

    def _next(self, at: int, waiting: Iterator[Any]) -> bool:
        """Begin the next prompt whose answer is longer than a token in the session `at`; False where none is left."""
        while not any(isinstance(found, EdgewrightError) for found in self._done.values()):
            try:
                row = self._begin(next(waiting))
                row.number = self._begun
                logits = self._read(at, row)
            except StopIteration:
                return False
            except EdgewrightError as error:
                self._done[self._begun] = error
                return False
            self._begun += 1
            if self._goes_on(at, row, logits):
                self._open[at : at + 1] = [row]
                return True
        return False

    def _read(self, at: int, row: Row) -> NDArray[np.float32]:
        """The logits after a prompt, what another text begins with as well copied from there."""
        alike = [session.decoder.held(common(session.tokens, row.ids)) for session in self._sessions]
        source = max(range(len(alike)), key=lambda other: (alike[other], other == at))
        if source != at:
            self._copy(source, at, alike[source])
        session = self._sessions[at]
        logits = session.prompt(row.ids)
        row.answer.written.reused = session.reused
        return logits

    def _step(self) -> NDArray[np.float32]:
        logits = self._rows.step([row.token for row in self._open])
        for row, session in zip(self._open, self._sessions, strict=False):
            session.tokens.append(row.token)
        return logits

    def _goes_on(self, at: int, row: Row, logits: NDArray[np.float32]) -> bool:
        """Whether a row wants another token; else it is done."""
        try:
            if row.goes_on(logits, self._sessions[at]):
                return True
            self._done[row.number] = row
        except EdgewrightError as error:
            self._done[row.number] = error
        return False

    def _leave(self, at: int) -> None:
        """Take a row out: the last one moves to its place."""
        last = len(self._open) - 1
        if at != last:
            self._copy(last, at, len(self._sessions[last].tokens))
            self._open[at] = self._open[last]
        self._open.pop()

    def _copy(self, source: int, target: int, length: int) -> None:
        self._rows.copy(source, target, length)
        self._sessions[target].tokens = self._sessions[source].tokens[:length]

    def _in_order(self) -> Iterator[Row]:
        """The rows that are done, as far as none before them is missing. Raises what ended one."""
        while self._given in self._done:
            found = self._done.pop(self._given)
            self._given += 1
            if isinstance(found, EdgewrightError):
                raise found
            yield found
