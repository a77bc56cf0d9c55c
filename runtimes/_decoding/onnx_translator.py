"""Encoder-decoders in ONNX Runtime: two sessions over one file of weights, the caches bound and written in place.

The keys and values of the sources are bound once, as they came from the encoder; those of the decoder lie in buffers
that are input and output at once, see `edgewright.runtimes._decoding.onnx`, and grow by doubling. Held to candidates, a
third session gathers their part of the head once, and the decoder is one that is given it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.contracts.encoder_decoder import EncoderDecoder
from edgewright.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec

__all__ = ["NarrowTranslator", "OnnxTranslator"]

_FIRST_SLOTS = 32
"""Tokens that the first buffers hold: most sentences."""


class OnnxTranslator(EncoderDecoder):
    """Two `onnxruntime.InferenceSession`s of the graphs that `converters/_onnx/translator.py` writes."""

    def __init__(
        self,
        encoder: Any,
        decoder: Any,
        value_of: Any,
        context: int,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        logits = next((output for output in outputs if output.name == "logits"), None)
        self._own = [given for given in decoder.get_inputs() if ".decoder." in given.name]
        self._cross = [given.name for given in decoder.get_inputs() if ".encoder." in given.name]
        if logits is None or len(self._own) != len(self._cross):
            raise EngineError("the artifact is no decoder with an encoder: it lacks logits, or keys and values of both")
        super().__init__(self._vocabulary(decoder, logits), context)
        self._encoder, self._value_of = encoder, value_of
        self._places = any(given.name == "position" for given in decoder.get_inputs())
        self._position, self._total = np.zeros(1, np.int64), np.zeros((), np.int32)
        self._step_with(decoder)

    def _vocabulary(self, decoder: Any, logits: TensorSpec) -> int:
        """How many tokens it chooses from."""
        del decoder
        return int(logits.shape[-1])

    def _step_with(self, decoder: Any) -> None:
        """Take the steps in this session, to which nothing is bound."""
        self._decoder, self._io = decoder, decoder.io_binding()
        self._bind("total", self._total)
        if self._places:
            self._bind("position", self._position)
        self._slots = self._bound = 0
        self._cache: NDArray[np.float32] | None = None

    def _begin(self, ids: NDArray[np.int64], mask: NDArray[np.int64], beams: int) -> None:
        (crossed,) = self._encoder.run(["cross"], {"input_ids": ids, "attention_mask": mask})
        self._bind_sources(crossed, mask)
        self._bind_rows(len(ids) * beams)

    def _bind_sources(self, crossed: NDArray[np.float32], mask: NDArray[np.int64]) -> None:
        self._kept, self._mask = crossed, mask  # what is bound must live
        self._bind("attention_mask", mask)
        for name, part in zip(self._cross, crossed, strict=True):
            self._bind(name, part)

    def _bind_rows(self, rows: int) -> None:
        """Buffers for so many rows: those of the last sources where they fit."""
        if rows == self._bound:
            if self._logits.shape[2] != self.columns:
                self._bind_logits()
            return
        self._slots, self._cache = 0, None
        self._bind_arrays(rows)
        self._reserve(1)

    def _bind_arrays(self, rows: int) -> None:
        self._bound = rows
        self._tokens, self._ends = np.zeros((rows, 1), np.int64), np.zeros(rows, np.int32)
        self._bind("input_ids", self._tokens)
        self._bind("ends", self._ends)
        self._bind_logits()

    def _bind_logits(self) -> None:
        self._logits = np.empty((self._bound, 1, self.columns), np.float32)
        self._io.bind_ortvalue_output("logits", self._shared(self._logits))

    def _step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        self._reserve(self.length + 1)
        self._tokens[:, 0] = tokens
        self._position[0] = self._ends[:] = self.length
        self._total[...] = self.length + 1
        self._decoder.run_with_iobinding(self._io)
        return self._logits[:, 0]

    def _reserve(self, steps: int) -> None:
        """Room for so many, what is there kept."""
        if steps <= self._slots:
            return
        slots = min(max(_FIRST_SLOTS, 2 * self._slots), self.context)
        before, self._slots = self._cache, slots
        heads, width = self._own[0].shape[1], self._own[0].shape[3]
        new = np.zeros((len(self._own), self._bound, heads, slots, width), np.float32)
        if before is not None:
            new[:, :, :, : self.length] = before[:, :, :, : self.length]
        self._bind_cache(new)

    def _bind_cache(self, cache: NDArray[np.float32]) -> None:
        self._cache = cache
        for given, buffer in zip(self._own, cache, strict=True):
            value = self._shared(buffer)
            self._io.bind_ortvalue_input(given.name, value)
            self._io.bind_ortvalue_output(given.name.replace("past_key_values", "present"), value)

    def _reorder(self, rows: NDArray[np.int64]) -> None:
        assert self._cache is not None  # noqa: S101 - a step was taken
        moved = np.flatnonzero(rows != np.arange(self.rows))
        written = self._cache[:, :, :, : self.length]
        written[:, moved] = written[:, rows[moved]]

    def _keep(self, sources: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
        assert self._cache is not None  # noqa: S101 - a step was taken
        kept = self._cache.take(rows, axis=1)  # by an index it would lie in memory in another order
        self._bind_sources(self._kept.take(sources, axis=1), self._mask.take(sources, axis=0))
        self._bind_arrays(len(rows))
        self._slots = kept.shape[3]
        self._bind_cache(kept)
        return True

    def _bind(self, name: str, array: NDArray[Any]) -> None:
        """The array as the engine's input."""
        self._io.bind_ortvalue_input(name, self._shared(array))

    def _shared(self, array: NDArray[Any]) -> Any:
        """The array as the engine's value, not a copy of it: the engine reads and writes these very bytes."""
        assert array.flags.c_contiguous  # noqa: S101 - of any other it would silently make a copy
        return self._value_of(array)


class NarrowTranslator(OnnxTranslator):
    """The same where it can be held to candidates.

    The decoder of the whole vocabulary is opened with the first sources that are not held to any: most never are.

    Args:
        whole: opens it.
        narrow: the sessions of the decoder that is given a head, and of what gathers one.
    """

    narrows = True

    def __init__(
        self,
        encoder: Any,
        whole: Callable[[], Any],
        narrow: tuple[Any, Any],
        value_of: Any,
        context: int,
        signature: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
    ) -> None:
        self._narrow_decoder, self._gatherer = narrow
        super().__init__(encoder, self._narrow_decoder, value_of, context, *signature)
        self._open_whole, self._whole = whole, None
        self._parts = [found.name for found in self._gatherer.get_outputs()]

    def _vocabulary(self, decoder: Any, logits: TensorSpec) -> int:
        """As its metadata has it: the graph gives as many logits as there are candidates."""
        del logits
        said = decoder.get_modelmeta().custom_metadata_map.get("vocabulary", "")
        if not said.isdecimal():
            raise EngineError("the decoder of a shortlist does not say how many tokens its vocabulary has")
        return int(said)

    def _narrow(self, candidates: NDArray[np.int64] | None) -> None:
        if candidates is None:
            self._whole = self._whole or self._open_whole()
        wanted = self._whole if candidates is None else self._narrow_decoder
        if wanted is not self._decoder:
            self._step_with(wanted)
        if candidates is not None:
            self._head = self._gatherer.run(self._parts, {"candidates": candidates})  # what is bound must live
            for name, part in zip(self._parts, self._head, strict=True):
                self._bind(name, part)
