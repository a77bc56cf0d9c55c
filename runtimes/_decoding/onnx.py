"""Decoding in ONNX Runtime: keys and values of a layer lie in one buffer that is input and output at once.

GroupQueryAttention then writes in place: without that every token would copy the cache, and ran at 0.56 of the speed.
So do the states of short convolutions, which are read before they are written, and lie side by side.
Nothing else is allocated between two tokens. Of several texts each is a row of the same buffers, and the mask says how
long it is: a run reads the weights once for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.contracts.decoder import Rows
from edgewright.errors import EngineError
from edgewright.runtimes._decoding.growing import GrowingDecoder, grow, slots_for
from edgewright.runtimes._decoding.kept_states import KeptStates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.bundle.manifest import TensorSpec

__all__ = ["OnnxDecoder", "OnnxGraph"]

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int8)": np.int8}


class OnnxGraph:
    """An `onnxruntime.InferenceSession` of a graph with a cache, as `converters/_onnx/decoder.py` writes it.

    Args:
        session: the opened file.
        value_of: from an array to the engine's value over its very bytes.
        inputs: of the artifact, as `outputs`.

    Attributes:
        vocabulary: how many tokens it chooses from.
        past: the names of its inputs of keys and values.
        layers: heads, width of a head, and type of each.
        convolutions: the names of its inputs of states of short convolutions.
        places: whether it wants to be told positions.
    """

    def __init__(
        self, session: Any, value_of: Any, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        self.session, self.value_of, self.inputs, self.outputs = session, value_of, inputs, outputs
        logits = next((output for output in outputs if output.name == "logits"), None)
        if logits is None or not isinstance(logits.shape[-1], int):
            raise EngineError("the artifact has no output logits whose vocabulary is known")
        past = [given for given in session.get_inputs() if given.name.startswith("past_key_values.")]
        convolutions = [given for given in session.get_inputs() if given.name.startswith("past_conv.")]
        if not past and not convolutions:
            raise EngineError("the artifact has no cache: it has no input past_key_values.0.key")
        self.vocabulary: int = logits.shape[-1]
        self.past = [given.name for given in past]
        self.layers = [(given.shape[1], given.shape[3], _DTYPES[given.type]) for given in past]
        self.places = any(given.name == "position_ids" for given in session.get_inputs())
        self.convolutions = [given.name for given in convolutions]
        self._state = [(given.shape[1:], _DTYPES[given.type]) for given in convolutions[:1]]  # all have the same

    def states(self, texts: int) -> NDArray[Any] | None:
        """Those before the first token, (layers, texts, width, taps); None without short convolutions."""
        return next((np.zeros((len(self.convolutions), texts, *each), kind) for each, kind in self._state), None)


class _Run:
    """What a run of the graph reads and writes."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph, self._io = graph, graph.session.io_binding()
        self.give, self.take = self._io.bind_ortvalue_input, self._io.bind_ortvalue_output

    def own(self, array: NDArray[Any]) -> Any:
        """The array as the engine's value, not a copy of it: the engine reads and writes these very bytes."""
        assert array.flags.c_contiguous  # noqa: S101 - of any other it would silently make a copy
        return self._graph.value_of(array)

    def cache(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Keep keys and values in these arrays (texts, heads, slots, width)."""
        for name, array in zip(self._graph.past, arrays, strict=True):
            value = self.own(array)
            self.give(name, value)
            self.take(name.replace("past_key_values", "present"), value)

    def states(self, states: NDArray[Any]) -> None:
        """Keep the states of convolutions in this array (layers, texts, width, taps)."""
        for name, array in zip(self._graph.convolutions, states, strict=True):
            value = self.own(array)
            self.give(name, value)
            self.take(name.replace("past", "present"), value)

    def clear(self) -> None:
        """Let go of what is read and written."""
        self._io.clear_binding_inputs()
        self._io.clear_binding_outputs()

    def __call__(self) -> None:
        """Run the graph."""
        self._graph.session.run_with_iobinding(self._io)


class OnnxDecoder(GrowingDecoder):
    """One text in a graph."""

    def __init__(self, graph: OnnxGraph, context: int, states: NDArray[Any] | None = None) -> None:
        self.inputs, self.outputs = graph.inputs, graph.outputs
        super().__init__(graph.vocabulary, context, graph.layers)
        self._graph, self._io = graph, _Run(graph)
        self._kept: dict[int, tuple[NDArray[np.float32], Any, Any]] = {}
        self._one = np.zeros((1, 1), np.int64)
        self._one_value = self._io.own(self._one)
        states = graph.states(1) if states is None else states
        self.states = None if states is None else KeptStates(states)
        self._reserve()

    def _rows(self, count: int) -> Rows:
        """Over the same session, in buffers of their own."""
        return _Rows(self._graph, self.context, count)

    def held(self, length: int) -> int:
        """Those after which the states of convolutions are known."""
        return self.states.held(length, self.length) if self.states else length

    def _rewind(self, length: int) -> None:
        if self.states and length != self.length:
            self.states.go_back(length)

    def _run(self, ids: NDArray[np.int64], kept: int) -> NDArray[np.float32]:
        total = self.length + len(ids)
        self._reserve(total)
        self._bind_ids(ids)
        io = self._io
        io.give("attention_mask", io.own(self._ones[:, :total]))
        if self._graph.places:
            io.give("position_ids", io.own(self._order[:, self.length : total]))
        out = self._out(kept)
        if self.states:
            self._run_states(self.states, len(ids))
        else:
            io()
        return out

    def _run_states(self, states: KeptStates, count: int) -> None:
        """Run, and keep the states around what is no single step: somebody may come back to where a turn began."""
        begins = count > 1 or self.length == 0
        if begins:
            states.keep(self.length)
        with states.run():
            self._io()
        if begins:
            states.keep(self.length + count)

    def _keys_and_values(self, length: int) -> list[NDArray[Any]]:
        states = [self.states.now.copy()] if self.states else []
        return super()._keys_and_values(length) + states

    def _take(self, arrays: Sequence[NDArray[Any]], length: int) -> None:
        if self.states:
            *arrays, states = arrays
            self.states.take(states)
        super()._take(arrays, length)

    def _bind_ids(self, ids: NDArray[np.int64]) -> None:
        if len(ids) == 1:
            self._one[0, 0] = ids[0]
            self._io.give("input_ids", self._one_value)
        else:
            self._io.give("input_ids", self._io.own(np.ascontiguousarray(ids[None])))

    def _out(self, kept: int) -> NDArray[np.float32]:
        """The buffer for the logits of `kept` tokens, bound; those of one token, and of the last other number, stay."""
        if kept not in self._kept:
            self._kept = {many: found for many, found in self._kept.items() if many == 1}
            buffer = np.empty((1, kept, self.vocabulary), np.float32)
            self._kept[kept] = (buffer, self._io.own(buffer), self._io.own(np.array([kept], np.int64)))
        buffer, value, count = self._kept[kept]
        self._io.give("num_logits_to_keep", count)
        self._io.take("logits", value)
        rows: NDArray[np.float32] = buffer[0]
        return rows

    def _unbind(self) -> None:
        self._io.clear()

    def _bind(self) -> None:
        self._io.cache(self._cache)
        if self.states:
            self._io.states(self.states.now)
        self._ones = np.ones((1, self._slots), np.int64)
        self._order = np.arange(self._slots, dtype=np.int64)[None]


class _Row(OnnxDecoder):
    """One text of several: its buffers are a row of theirs."""

    def __init__(self, of: _Rows, graph: OnnxGraph, context: int, states: NDArray[Any] | None) -> None:
        self._of = of
        super().__init__(graph, context, states)

    def _reserve(self, tokens: int = 0) -> None:
        self._of.reserve(tokens)

    def leave(self) -> None:
        """Let go of the buffers."""
        self._unbind()
        self._cache = []

    def move(self, cache: list[NDArray[Any]], slots: int) -> None:
        """Go on in other buffers, which hold what those did."""
        self._cache, self._slots = cache, slots
        self._bind()


class _Rows(Rows):
    """Several texts in a graph."""

    def __init__(self, graph: OnnxGraph, context: int, count: int) -> None:
        self._graph, self._context, self._io = graph, context, _Run(graph)
        self._slots, self._bound = 0, 0
        self._cache: list[NDArray[Any]] = []
        states = graph.states(count)
        self._states = None if states is None else KeptStates(states)
        parts = [None if states is None else states[:, at : at + 1] for at in range(count)]
        self.decoders: tuple[_Row, ...] = tuple(_Row(self, graph, context, part) for part in parts)
        self._one = np.ones(1, np.int64)
        self.reserve(1)

    def reserve(self, tokens: int) -> None:
        """Room for so many in each text, what is there kept."""
        if tokens <= self._slots:
            return
        for row in self.decoders:
            row.leave()
        self._io.clear()
        self._slots, self._bound = slots_for(tokens, self._slots, self._context), 0
        grow(self._cache, self._graph.layers, self._slots, [row.length for row in self.decoders])
        for at, row in enumerate(self.decoders):
            row.move([array[at : at + 1] for array in self._cache], self._slots)

    def _step(self, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        total, io = int(lengths.max()) + 1, self._io
        self.reserve(total)
        if len(ids) != self._bound:
            self._bind(len(ids))
        self._ids[:, 0] = ids
        places = lengths[:, None]
        mask = (np.arange(total) <= places).astype(np.int64)  # a name of its own: it has to live until the graph ran
        io.give("attention_mask", io.own(mask))
        if self._graph.places:
            io.give("position_ids", io.own(places))
        if self._states:
            with self._states.run():
                io()
        else:
            io()
        return self._logits[:, 0]

    def _bind(self, count: int) -> None:
        """Have the first texts read and written."""
        self._bound = count
        self._ids = np.zeros((count, 1), np.int64)
        self._logits = np.empty((count, 1, self._graph.vocabulary), np.float32)
        self._io.cache([array[:count] for array in self._cache])
        if self._states:
            self._io.states(self._states.now[:, :count])
        self._io.give("num_logits_to_keep", self._io.own(self._one))
        self._io.give("input_ids", self._io.own(self._ids))
        self._io.take("logits", self._io.own(self._logits))

    def _copy(self, source: int, target: int, length: int) -> None:
        for array in self._cache:
            array[target, :, :length] = array[source, :, :length]
        of, to = self.decoders[source], self.decoders[target].states
        if of.states and to:
            to.follow(of.states, length, of.length)

    def _swap(self, one: int, other: int) -> None:
        a, b = self.decoders[one], self.decoders[other]
        length = max(a.length, b.length)
        for array in self._cache:
            array[[one, other], :, :length] = array[[other, one], :, :length]
        if a.states and b.states:
            a.states.swap(b.states)
