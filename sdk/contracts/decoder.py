"""The seam of decoding: an opened decoder with its cache. An engine that decodes gives one from `Runtime.open_decoder`.

It writes three underscored methods; the public ones count tokens and check. With numpy alone, one that only ever says
what comes after in the alphabet of its ids:

    class _Next(Decoder):
        def __init__(self, vocabulary: int, context: int) -> None:
            super().__init__(vocabulary, context)
            self._last = np.zeros(context, np.int64)

        def _run(self, ids: NDArray[np.int64], kept: int) -> NDArray[np.float32]:
            self._last[self.length : self.length + len(ids)] = ids
            return np.eye(self.vocabulary, dtype=np.float32)[(ids[-kept:] + 1) % self.vocabulary]

        def _keys_and_values(self, length: int) -> list[NDArray[Any]]:
            return [self._last[:length].copy()]

        def _take(self, arrays: Sequence[NDArray[Any]], length: int) -> None:
            self._last[:length] = arrays[0]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import EdgewrightError, EngineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec

__all__ = ["Alone", "Decoder", "Rows", "room"]


class Decoder(ABC):
    """A language model and the keys and values of the tokens that it has read.

    Attributes:
        inputs: of the artifact, as `outputs`.
        vocabulary: how many tokens it chooses from.
        context: the most tokens that it can read.
        length: how many it has read: their keys and values lie in the cache.
    """

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, vocabulary: int, context: int) -> None:
        self.vocabulary, self.context, self.length = vocabulary, context, 0

    def read(self, ids: Sequence[int] | NDArray[Any], *, kept: int = 1) -> NDArray[np.float32]:
        """Read more tokens, any number of them; logits of the last `kept`, float32 (kept, vocabulary).

        The array is the engine's own: the next call writes into it.

        Raises:
            UsageError: no token, or more than the context has room for.
            EngineError: the engine failed, or gave a logit that is no number.
        """
        tokens = np.asarray(ids, np.int64)
        if not 0 < len(tokens) <= self.context - self.length or not 0 < kept <= len(tokens):
            what = f"{len(tokens)} tokens after {self.length}, the context is {self.context}"
            raise UsageError(what, hint="read at least one, and no more than fit; rewind first")
        try:
            logits = self._run(tokens, kept)
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"decoding failed at token {self.length}: {type(error).__name__}: {error}") from error
        self.length += len(tokens)
        return logits

    def held(self, length: int) -> int:
        """The most tokens, of the first `length`, that it can go back to: all, for a cache that is cut anywhere."""
        return length

    def rewind(self, length: int) -> None:
        """Forget all tokens but the first `length`: it costs nothing.

        Raises:
            UsageError: it has not read so many, or does not hold what it knew then.
        """
        if not 0 <= length <= self.length:
            raise UsageError(f"cannot go back to {length} tokens of {self.length}")
        if self.held(length) != length:
            what = f"cannot go back to {length} tokens: of these the state after {self.held(length)} is held"
            raise UsageError(what, hint="go back to those, and read the rest again")
        self._rewind(length)
        self.length = length

    def keys_and_values(self) -> list[NDArray[Any]]:
        """A copy of the cache, as `restore` takes it; what is in the arrays is the engine's business."""
        return self._keys_and_values(self.length)

    def restore(self, arrays: Sequence[NDArray[Any]], length: int) -> None:
        """Go on from a cache of `length` tokens that was copied from a decoder of the same artifact."""
        self._take(arrays, length)
        self.length = length

    def rows(self, count: int) -> Rows | None:
        """Room for `count` texts beside it, whose next tokens are read in one run; None where the artifact cannot.

        Raises:
            EngineError: there is not so much memory.
        """
        try:
            return self._rows(count)
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"there is no room for {count} texts: {type(error).__name__}: {error}") from error

    def _rewind(self, length: int) -> None:  # noqa: B027 - a cache that is cut anywhere has nothing to do
        """Take up the state after `length` tokens, of those that `held` gives."""

    def close(self) -> None:  # noqa: B027 - most give everything back when they are let go
        """Give back what outlives the object."""

    def _rows(self, count: int) -> Rows | None:
        del count
        return None

    @abstractmethod
    def _run(self, ids: NDArray[np.int64], kept: int) -> NDArray[np.float32]:
        """Read `ids` after the first `length` tokens: float32 (kept, vocabulary)."""

    @abstractmethod
    def _keys_and_values(self, length: int) -> list[NDArray[Any]]: ...

    @abstractmethod
    def _take(self, arrays: Sequence[NDArray[Any]], length: int) -> None: ...


class Rows(ABC):
    """Several texts over one model, each with keys and values of its own.

    Attributes:
        decoders: one for each text: it reads a prompt, goes back, and counts.
    """

    decoders: tuple[Decoder, ...]

    def step(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Read one more token of each of the first texts: the logits after them, float32 (tokens, vocabulary).

        The array is the engine's own: the next call writes into it.

        Raises:
            UsageError: there are no such texts, or one has no room.
            EngineError: the engine failed.
        """
        decoders = self.decoders[: len(tokens)]
        if not 0 < len(tokens) <= len(self.decoders) or any(one.length >= one.context for one in decoders):
            lengths = ", ".join(str(one.length) for one in decoders)
            what = f"{len(tokens)} tokens for {len(self.decoders)} texts of {lengths}"
            raise UsageError(f"{what}, the context is {self.decoders[0].context}", hint="rewind those that are full")
        try:
            logits = self._step(np.asarray(tokens, np.int64), np.array([one.length for one in decoders], np.int64))
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"decoding {len(tokens)} texts failed: {type(error).__name__}: {error}") from error
        for one in decoders:
            one.length += 1
        return logits

    def copy(self, source: int, target: int, length: int) -> None:
        """Have text `target` be the first `length` tokens of text `source`, by copying its keys and values.

        Raises:
            UsageError: that has not read so many, or does not hold what it knew then.
        """
        if not 0 <= length <= self.decoders[source].length or self.decoders[source].held(length) != length:
            raise UsageError(f"cannot copy {length} tokens of {self.decoders[source].length}")
        self._copy(source, target, length)
        self.decoders[target].length = length

    def swap(self, one: int, other: int) -> None:
        """Have two texts change places."""
        self._swap(one, other)
        a, b = self.decoders[one], self.decoders[other]
        a.length, b.length = b.length, a.length

    @abstractmethod
    def _step(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read `ids` (n,) of the first n texts, each after as many tokens as `lengths` (n,) says."""

    @abstractmethod
    def _copy(self, source: int, target: int, length: int) -> None: ...

    @abstractmethod
    def _swap(self, one: int, other: int) -> None: ...


class Alone(Rows):
    """The one text of a decoder that has no room for others."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoders = (decoder,)

    def _step(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        del lengths
        return self.decoders[0]._run(ids, 1)  # noqa: SLF001 - the two ends of this seam

    def _copy(self, source: int, target: int, length: int) -> None:
        """Nothing: it is the same text."""

    def _swap(self, one: int, other: int) -> None:
        """Nothing: it is the same text."""


def room(buffer: NDArray[Any], length: int, given: NDArray[Any]) -> NDArray[Any]:
    """The first `length` slots of a layer's buffer (1, heads, slots, width), which `given` fills exactly.

    Raises:
        ValueError: it has another shape or type; numpy would repeat what is too small.
    """
    found = buffer[:, :, :length]
    if given.shape != found.shape or given.dtype != found.dtype:
        raise ValueError(f"{given.dtype} {given.shape}, {found.dtype} {found.shape} is wanted")
    return found
