"""Answers to several prompts at once: one run of the engine reads a token of each, and the weights once for all.

A prompt may come at any time; it is read piece by piece between the tokens of those that are being written, which is
products of matrices anyway. Each text has a place with a cache of its own, and what lies there stays when its answer
has ended: a prompt goes on where it began, or takes the place that nobody used for longest, and what another text
begins with as well is copied from there.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgewright.errors import EdgewrightError
from edgewright.generation.session import CHUNK, CacheSession, common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from collections.abc import Generator as Generating

    import numpy as np
    from numpy.typing import NDArray

    from edgewright.contracts.decoder import Rows
    from edgewright.generation.answer import Answer
    from edgewright.generation.text_stream import TextStream

__all__ = ["Batch", "Row"]

_GOES_ON = 0.5
"""The share of a text that a prompt must begin with to go on in its place. A choice: of a conversation nearly all
comes again, and where less does, what is alike is how every conversation with the model begins."""


def _always() -> bool:
    return True


@dataclass(eq=False)
class Row:
    """A prompt and what comes of it.

    Attributes:
        ids: of the prompt.
        answer: its tokens, in the making.
        text: what makes text of them.
        tell: hears each piece of the text.
        wanted: whether somebody waits for the rest.
        pieces: of the text, so far.
        token: the last one, which has not been read.
        ended: whether nothing follows any more.
        error: what ended it, where something went wrong.
    """

    ids: Sequence[int]
    answer: Answer
    text: TextStream
    tell: Callable[[str], None] | None = None
    wanted: Callable[[], bool] = _always
    pieces: list[str] = field(default_factory=list)
    token: int = 0
    ended: bool = False
    error: BaseException | None = None

    def goes_on(self, logits: NDArray[np.float32], session: CacheSession) -> bool:
        """Take the next token; whether another one is wanted, for which this one has to be read."""
        token = self.answer.choose(logits, session.tokens)
        if token is not None:
            self.token = token
            self._give(self.text.push(token))
            if self.text.stopped:
                self.answer.written.reason = "stop"
                return False
            if not self.answer.over and self.answer.room(session):
                return True
        self._give(self.text.finish())
        return False

    def _give(self, piece: str) -> None:
        self.pieces.append(piece)
        if self.tell and piece:
            self.tell(piece)


@dataclass(eq=False)
class _Place:
    """Where a text lies.

    Attributes:
        session: its cache.
        row: that is written there.
        reading: the rest of its prompt, as long as that is not read.
        left: a number that grows, from when its last row ended.
    """

    session: CacheSession
    row: Row | None = None
    reading: Iterator[NDArray[np.float32]] | None = None
    left: int = 0

    @property
    def writes(self) -> bool:
        return self.row is not None and self.reading is None


class Batch:
    """Prompts that share the runs of an engine.

    Args:
        rows: room for as many texts as are answered at once.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._places = [_Place(CacheSession(decoder)) for decoder in rows.decoders]
        self._unread: list[_Place] = []
        self._over: list[Row] = []
        self._ended = 0

    @property
    def free(self) -> int:
        """How many more prompts can be taken in."""
        return sum(place.row is None for place in self._places)

    @property
    def busy(self) -> bool:
        """Whether an answer is being written, or an end of one was not told."""
        return self.free < len(self._places) or bool(self._over)

    def begin(self, row: Row) -> None:
        """Take a prompt in, of which nothing was read, where a place is free; steps read it."""
        place = self._place_for(row.ids)
        place.row, place.reading = row, self._prompt(place, row.ids)
        self._unread.append(place)

    def step(self) -> list[Row]:
        """Read what is to be read, of prompts a piece, and take a token of each text; the rows that have ended.

        What goes wrong ends those rows that it is of.
        """
        for place in self._places:
            if place.row and not place.row.wanted():
                self._end(place)
        self._read_prompts()
        self._write()
        over, self._over = self._over, []
        return over

    def written(self, rows: Iterator[Row]) -> Generating[Row, None, None]:
        """Each row once its answer has ended, in their order.

        What is wrong with a prompt or an answer is raised where its row would come, and no prompt is begun any more.
        """
        order: deque[Row] = deque()
        wrong: EdgewrightError | None = None
        while True:
            while self.free and wrong is None and not any(row.error for row in order):
                try:
                    row = next(rows)
                except StopIteration:
                    break
                except EdgewrightError as error:
                    wrong = error
                    break
                order.append(row)
                self.begin(row)
            while order and order[0].ended:
                row = order.popleft()
                if row.error:
                    raise row.error
                yield row
            if order:
                self.step()
            elif wrong:
                raise wrong
            else:
                return

    def _place_for(self, ids: Sequence[int]) -> _Place:
        """A free place: that of the text which the prompt goes on with, else the one that was left first."""
        free = [place for place in self._places if place.row is None]
        alike = {place: common(place.session.tokens, ids) for place in free}
        best = max(free, key=lambda place: alike[place])
        goes_on = alike[best] and alike[best] >= _GOES_ON * len(best.session.tokens)
        return best if goes_on else min(free, key=lambda place: place.left)

    def _prompt(self, place: _Place, ids: Sequence[int]) -> Iterator[NDArray[np.float32]]:
        """Read a prompt piece by piece, what another text begins with as well copied from there."""
        alike = {each: each.session.decoder.held(common(each.session.tokens, ids)) for each in self._places}
        source = max(self._places, key=lambda each: (alike[each], each is place))
        if source is not place:
            self._rows.copy(self._places.index(source), self._places.index(place), alike[source])
            place.session.tokens = source.session.tokens[: alike[source]]
        yield from place.session.reading(ids)

    def _read_prompts(self) -> None:
        """Read pieces of the prompts, in the order in which they came: for so long the others wait."""
        left = CHUNK
        while self._unread and left > 0:
            place = self._unread[0]
            row, reading = place.row, place.reading
            assert row  # noqa: S101 - what is unread has both
            assert reading  # noqa: S101
            left -= len(row.ids)
            with self._ending(place):
                logits = next(reading)
                if len(place.session.tokens) == len(row.ids):
                    row.answer.written.reused = place.session.reused
                    self._unread.remove(place)
                    place.reading = None
                    self._take(place, logits)

    def _write(self) -> None:
        """Read the last token of each text that is being written, and take the next one."""
        writing = [place for place in self._places if place.writes]
        with self._ending(*writing):
            if len(writing) > 1:
                self._write_together(len(writing))
            elif writing and (row := writing[0].row):  # it is read where it lies
                self._take(writing[0], writing[0].session.step(row.token))

    def _write_together(self, count: int) -> None:
        """Read the last tokens of so many texts in one run, which reads the first places: there they go."""
        for at in range(count):
            if not self._places[at].writes:
                self._swap(at, max(other for other, place in enumerate(self._places) if place.writes))
        writing = self._places[:count]
        tokens = [place.row.token for place in writing if place.row]
        every = self._rows.step(tokens)
        for place, token in zip(writing, tokens, strict=True):
            place.session.tokens.append(token)
        for place, logits in zip(writing, every, strict=True):
            self._take(place, logits)

    def _swap(self, one: int, other: int) -> None:
        places, decoders = self._places, self._rows.decoders
        try:
            self._rows.swap(one, other)
        except BaseException:  # some layers may have changed places
            for at in (one, other):
                places[at].session.rewind(0)
            raise
        places[one], places[other] = places[other], places[one]
        for at in (one, other):
            places[at].session.decoder = decoders[at]

    def _take(self, place: _Place, logits: NDArray[np.float32]) -> None:
        """Have a row take the next token, and end where no other follows."""
        row = place.row
        with self._ending(place):
            if row and not row.goes_on(logits, place.session):
                self._end(place)

    @contextmanager
    def _ending(self, *places: _Place) -> Iterator[None]:
        """What goes wrong here ends the rows of these places, and no other."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it, a panic of Rust's too
            for place in places:
                if place.row:
                    self._end(place, error)

    def _end(self, place: _Place, error: BaseException | None = None) -> None:
        row, self._ended = place.row, self._ended + 1
        assert row  # noqa: S101 - a free place has nothing to end
        row.ended, row.error = True, error
        if error:
            place.session.rewind(0)  # what made it fail may lie in the cache
        if place.reading:
            self._unread.remove(place)
        place.row, place.reading, place.left = None, None, self._ended
        self._over.append(row)
