"""What meets the dense layers of a float TFLite file, seen by letting the engine return it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgewright.converters._tflite import file
from edgewright.text.buckets import pad, pick

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["activations", "index_of", "tables"]

_SEEN = "edgewright_seen_"


def activations(
    data: bytes, texts: Sequence[Mapping[str, NDArray[Any]]]
) -> Iterator[tuple[tuple[int, ...], NDArray[np.float32]]]:
    """What meets dense layers (tokens, inputs), after the buffers of their weights, for each text, without padding.

    Args:
        data: a float file.
        texts: int64 (1, length) by input name, without padding.
    """
    from ai_edge_litert.interpreter import Interpreter

    model = file.read(data)
    wanted, lengths = _show(model), file.lengths(model)
    engine = Interpreter(model_content=file.write(model))
    for text in texts:
        count = next(iter(text.values())).shape[1]
        length = pick(sorted(lengths), count)
        runner = engine.get_signature_runner(lengths[length])
        given = runner(**{name: pad(text[name], length, np.int32) for name in runner.get_input_details()})
        for at, buffers in wanted[lengths[length]].items():
            yield tuple(buffers), _tokens(given[f"{_SEEN}{at}"], length, count)


def _show(model: Any) -> dict[str, dict[int, list[int]]]:
    """Let each signature return what its dense layers read: tensor -> the buffers of the weights that it meets."""
    wanted: dict[str, dict[int, list[int]]] = {}
    keys = {signature.subgraphIndex: signature for signature in model.signatureDefs}
    for at, graph in enumerate(model.subgraphs):
        found: dict[int, list[int]] = {}
        for layer in file.operators_of(model, graph, schema.BuiltinOperator.FULLY_CONNECTED):
            weight = graph.tensors[layer.inputs[1]].buffer
            if model.buffers[weight].data is not None:
                found.setdefault(int(layer.inputs[0]), []).append(weight)
        for tensor in found:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = f"{_SEEN}{tensor}".encode(), tensor
            keys[at].outputs.append(entry)
        graph.outputs = np.array([*graph.outputs, *found], np.int32)
        wanted[keys[at].signatureKey.decode()] = found
    return wanted


def _tokens(array: NDArray[np.float32], length: int, count: int) -> NDArray[np.float32]:
    """(..., inputs) -> (tokens, inputs), without what pads the axis of `length` tokens."""
    axes = [axis for axis, size in enumerate(array.shape[:-1]) if size == length]
    if axes:
        array = np.take(array, range(count), axes[0])
    return array.reshape(-1, array.shape[-1])


def tables(model: Any) -> dict[str, int]:
    """How many rows the table has that each input indexes, 0 where it indexes none."""
    signature = model.signatureDefs[0]
    graph = model.subgraphs[signature.subgraphIndex]
    lookups = file.operators_of(model, graph, schema.BuiltinOperator.EMBEDDING_LOOKUP)
    rows = {index_of(model, graph, lookup): int(graph.tensors[lookup.inputs[1]].shape[0]) for lookup in lookups}
    return {entry.name.decode(): rows.get(int(entry.tensorIndex), 0) for entry in signature.inputs}


def index_of(model: Any, graph: Any, lookup: Any) -> int:
    """The tensor whose numbers a lookup takes as they are: an input, or what is computed from one."""
    plain = file.operators_of(model, graph, schema.BuiltinOperator.RESHAPE, schema.BuiltinOperator.CAST)
    made = {int(operator.outputs[0]): int(operator.inputs[0]) for operator in plain}
    at = int(lookup.inputs[0])
    while at in made:
        at = made[at]
    return at
