"""The seam of encoder-decoders: an opened one with its caches. `Runtime.open_encoder_decoder` gives one.

An engine writes three underscored methods; the public ones count steps and check. With numpy alone, one that only ever
says the tokens of its source again:

    class _Echo(EncoderDecoder):
        def _begin(self, ids: NDArray[np.int64], mask: NDArray[np.int64], beams: int) -> None:
            self._said = np.repeat(ids, beams, axis=0)

        def _step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
            return np.eye(self.vocabulary, dtype=np.float32)[self._said[:, self.length]]

        def _reorder(self, rows: NDArray[np.int64]) -> None:
            self._said = self._said[rows]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from edgewright.errors import EdgewrightError, EngineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec

__all__ = ["EncoderDecoder"]


class EncoderDecoder(ABC):
    """A model that writes a text after another one: what it read of the sources, and what each row has written.

    Attributes:
        inputs: of the artifact, as `outputs`.
        vocabulary: how many tokens it chooses from.
        context: the most tokens of a source, and the most steps.
        length: how many steps were taken.
        rows: how many texts are written: the beams of each source, one beside the other.
        narrows: whether it can be held to candidates, see `begin`: an engine that writes `_narrow` says so.
        columns: how many logits a step gives: one for each token of the vocabulary, or for each candidate.
    """

    narrows = False

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, vocabulary: int, context: int) -> None:
        self.vocabulary, self.context, self.length, self.rows = vocabulary, context, 0, 0
        self.columns, self._sources = vocabulary, 0

    def begin(
        self, sources: Sequence[Sequence[int]], *, beams: int = 1, candidates: NDArray[np.int64] | None = None
    ) -> None:
        """Read sources, and forget what was there before.

        Args:
            sources: token ids of each.
            beams: rows that each source has.
            candidates: tokens, int64 (candidates,), rising: the steps then give logits of these alone, in this order.

        Raises:
            UsageError: no source, one without a token or with more than the context has room for, no beam, or
                candidates that are none of the vocabulary or that this engine cannot be held to.
            EngineError: the engine failed.
        """
        longest = max(map(len, sources), default=0)
        if not sources or min(map(len, sources)) < 1 or longest > self.context or beams < 1:
            what = f"{len(sources)} sources of up to {longest} tokens and {beams} beams, the context is {self.context}"
            raise UsageError(what, hint="read at least one token of each, and no more than fit")
        ids, mask = (np.zeros((len(sources), longest), np.int64) for _ in range(2))
        for row, real, source in zip(ids, mask, sources, strict=True):
            row[: len(source)], real[: len(source)] = source, 1
        self._check_candidates(candidates)
        self.columns = self.vocabulary if candidates is None else len(candidates)
        try:
            if self.narrows:
                self._narrow(candidates)
            self._begin(ids, mask, beams)
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"reading failed: {type(error).__name__}: {error}") from error
        self.length, self._sources, self.rows = 0, len(sources), len(sources) * beams

    def _check_candidates(self, candidates: NDArray[np.int64] | None) -> None:
        if candidates is None:
            return
        if not self.narrows:
            hint = "onnxruntime can, where the bundle was built with --shortlist"
            raise UsageError(f"the engine gives logits of all {self.vocabulary} tokens, not of candidates", hint=hint)
        rising = len(candidates) > 0 and bool((candidates[1:] > candidates[:-1]).all())
        if not rising or candidates[0] < 0 or candidates[-1] >= self.vocabulary:
            what = f"{len(candidates)} candidates are no rising tokens of a vocabulary of {self.vocabulary}"
            raise UsageError(what, hint="give each token once, in their order")

    def step(self, tokens: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """A token more for each row: the logits of what comes after it, float32 (rows, columns).

        The array is the engine's own: the next call writes into it.

        Raises:
            UsageError: not a token for each row, or no room for more.
            EngineError: the engine failed.
        """
        given = np.asarray(tokens, np.int64)
        if given.shape != (self.rows,) or self.length >= self.context:
            what = f"{len(given)} tokens for {self.rows} rows after {self.length} steps, the context is {self.context}"
            raise UsageError(what, hint="begin with sources, and give a token for each row")
        try:
            logits = self._step(given)
        except EdgewrightError:
            raise
        except Exception as error:
            raise EngineError(f"decoding failed at step {self.length}: {type(error).__name__}: {error}") from error
        self.length += 1
        return logits

    def reorder(self, rows: NDArray[np.int64]) -> None:
        """Let row i go on from what row `rows[i]` has written, one of the same source."""
        if not np.array_equal(rows, np.arange(self.rows)):
            self._reorder(rows)

    def keep(self, sources: NDArray[np.int64]) -> bool:
        """Go on with these sources alone, their numbers rising: the others have ended. False: all stay.

        An engine that can do less with fewer rows writes `_keep`.
        """
        beams = self.rows // self._sources
        if not self._keep(sources, (sources[:, None] * beams + np.arange(beams)).ravel()):
            return False
        self._sources, self.rows = len(sources), len(sources) * beams
        return True

    def _keep(self, sources: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
        """Drop what is none of these sources, and none of their rows."""
        del sources, rows
        return False

    def close(self) -> None:  # noqa: B027 - most give everything back when they are let go
        """Give back what outlives the object."""

    def _narrow(self, candidates: NDArray[np.int64] | None) -> None:  # noqa: B027 - of those that `narrows`
        """Hold the next sources to these tokens, or to none in particular."""

    @abstractmethod
    def _begin(self, ids: NDArray[np.int64], mask: NDArray[np.int64], beams: int) -> None:
        """Read sources int64 (sources, length), real where `mask` is 1."""

    @abstractmethod
    def _step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Take the step `length`: float32 (rows, columns)."""

    @abstractmethod
    def _reorder(self, rows: NDArray[np.int64]) -> None: ...
