"""Decoding in ONNX Runtime: keys and values of a layer lie in one buffer that is input and output at once.

GroupQueryAttention then writes in place: without that every token would copy the cache, and ran at 0.56 of the speed.
So do the states of short convolutions, which are read before they are written. Nothing else is allocated between two
tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.errors import EngineError
from edgewright.runtimes._decoding.growing import GrowingDecoder
from edgewright.runtimes._decoding.kept_states import KeptStates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec

__all__ = ["OnnxDecoder"]

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int8)": np.int8}


class OnnxDecoder(GrowingDecoder):
    """An `onnxruntime.InferenceSession` of a graph with a cache, as `converters/_onnx/decoder.py` writes it."""

    def __init__(
        self, session: Any, value_of: Any, context: int, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        logits = next((output for output in outputs if output.name == "logits"), None)
        if logits is None or not isinstance(logits.shape[-1], int):
            raise EngineError("the artifact has no output logits whose vocabulary is known")
        self._past = [given for given in session.get_inputs() if given.name.startswith("past_key_values.")]
        convolved = [given for given in session.get_inputs() if given.name.startswith("past_conv.")]
        if not self._past and not convolved:
            raise EngineError("the artifact has no cache: it has no input past_key_values.0.key")
        layers = [(given.shape[1], given.shape[3], _DTYPES[given.type]) for given in self._past]
        super().__init__(logits.shape[-1], context, layers)
        self._session, self._value_of, self._io = session, value_of, session.io_binding()
        self._places = any(given.name == "position_ids" for given in session.get_inputs())
        self._kept: dict[int, tuple[NDArray[np.float32], Any, Any]] = {}
        self._one = np.zeros((1, 1), np.int64)
        self._one_value = self._own(self._one)
        self._states = self._bound(convolved) if convolved else None
        self._reserve()

    def _bound(self, convolved: list[Any]) -> KeptStates:
        """The states of short convolutions, which lie side by side."""
        states = KeptStates((len(convolved), 1, *convolved[0].shape[1:]), _DTYPES[convolved[0].type])
        for given, state in zip(convolved, states.now, strict=True):
            value = self._own(state)
            self._io.bind_ortvalue_input(given.name, value)
            self._io.bind_ortvalue_output(given.name.replace("past", "present"), value)
        return states

    def held(self, length: int) -> int:
        """Those after which the states of convolutions are known."""
        return self._states.held(length, self.length) if self._states else length

    def _rewind(self, length: int) -> None:
        if self._states and length != self.length:
            self._states.go_back(length)

    def _run(self, ids: NDArray[np.int64], kept: int) -> NDArray[np.float32]:
        total = self.length + len(ids)
        self._reserve(total)
        self._bind_ids(ids)
        io = self._io
        io.bind_ortvalue_input("attention_mask", self._own(self._ones[:, :total]))
        if self._places:
            io.bind_ortvalue_input("position_ids", self._own(self._order[:, self.length : total]))
        out = self._out(kept)
        if self._states:
            self._run_states(self._states, len(ids))
        else:
            self._session.run_with_iobinding(io)
        return out

    def _run_states(self, states: KeptStates, count: int) -> None:
        """Run, and keep the states around what is no single step: somebody may come back to where a turn began."""
        begins = count > 1 or self.length == 0
        if begins:
            states.keep(self.length)
        with states.run():
            self._session.run_with_iobinding(self._io)
        if begins:
            states.keep(self.length + count)

    def _keys_and_values(self, length: int) -> list[NDArray[Any]]:
        states = [self._states.now.copy()] if self._states else []
        return super()._keys_and_values(length) + states

    def _take(self, arrays: Sequence[NDArray[Any]], length: int) -> None:
        if self._states:
            *arrays, states = arrays
            self._states.take(states)
        super()._take(arrays, length)

    def _bind_ids(self, ids: NDArray[np.int64]) -> None:
        if len(ids) == 1:
            self._one[0, 0] = ids[0]
            self._io.bind_ortvalue_input("input_ids", self._one_value)
        else:
            self._io.bind_ortvalue_input("input_ids", self._own(np.ascontiguousarray(ids[None])))

    def _out(self, kept: int) -> NDArray[np.float32]:
        """The buffer for the logits of `kept` tokens, bound; those of one token, and of the last other number, stay."""
        if kept not in self._kept:
            self._kept = {many: found for many, found in self._kept.items() if many == 1}
            buffer = np.empty((1, kept, self.vocabulary), np.float32)
            self._kept[kept] = (buffer, self._own(buffer), self._own(np.array([kept], np.int64)))
        buffer, value, count = self._kept[kept]
        self._io.bind_ortvalue_input("num_logits_to_keep", count)
        self._io.bind_ortvalue_output("logits", value)
        rows: NDArray[np.float32] = buffer[0]
        return rows

    def _bind(self) -> None:
        for given, buffer in zip(self._past, self._cache, strict=True):
            value = self._own(buffer)
            self._io.bind_ortvalue_input(given.name, value)
            self._io.bind_ortvalue_output(given.name.replace("past_key_values", "present"), value)
        self._ones = np.ones((1, self._slots), np.int64)
        self._order = np.arange(self._slots, dtype=np.int64)[None]

    def _own(self, array: NDArray[Any]) -> Any:
        """The array as the engine's value, not a copy of it: the engine reads and writes these very bytes."""
        return self._value_of(array)
