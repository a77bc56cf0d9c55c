"""A table that a longer length has whole, stored once: shorter lengths take its first rows when they run.

The exporter gives the positions of every length a constant of its own, which together weigh as much as the longest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgewright.converters._tflite import file

__all__ = ["share_rows"]

_FEWEST = 256
"""Numbers in a constant below which a copy costs less than an operator."""


def share_rows(model: Any) -> None:
    """Let constants read the first rows of a longer one with the same numbers, by a SLICE before everything else."""
    longest = sorted(_constants(model), key=lambda constant: -constant[1].size)
    code = None
    for graph in model.subgraphs:
        slices = []
        for at, tensor in enumerate(list(graph.tensors)):
            numbers = _numbers(model, tensor)
            whole = None if numbers is None else next((t for t, n in longest if _begins(n, numbers)), None)
            if whole is not None:
                code = file.operator_code(model, schema.BuiltinOperator.SLICE) if code is None else code
                slices.append(_slice(model, graph, at, whole, code))
        graph.operators = [*slices, *graph.operators]


def _constants(model: Any) -> list[tuple[Any, Any]]:
    """Each buffer's first float tensor, with its numbers."""
    found = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            numbers = None if tensor.buffer in found else _numbers(model, tensor)
            if numbers is not None:
                found[tensor.buffer] = (tensor, numbers)
    return list(found.values())


def _numbers(model: Any, tensor: Any) -> Any:
    """A constant (1, rows, width) of float32; None for any other tensor."""
    stored = model.buffers[tensor.buffer].data
    shaped = tensor.shape is not None and len(tensor.shape) == 3 and tensor.shape[0] == 1
    if stored is None or not shaped or tensor.type != schema.TensorType.FLOAT32 or len(stored) < 4 * _FEWEST:
        return None
    return np.frombuffer(bytes(stored), np.float32).reshape(tensor.shape)


def _begins(longer: Any, numbers: Any) -> bool:
    rows = numbers.shape[1]
    return longer.shape[2] == numbers.shape[2] and rows < longer.shape[1] and np.array_equal(longer[:, :rows], numbers)


def _slice(model: Any, graph: Any, at: int, whole: Any, code: int) -> Any:
    """A SLICE that makes tensor `at`, so far a constant, from the constant `whole` of another subgraph."""
    part, table = graph.tensors[at], schema.TensorT()
    table.name, table.shape, table.type, table.buffer = part.name + b"/table", whole.shape, whole.type, whole.buffer
    part.buffer = 0
    graph.tensors.append(table)
    inputs = [len(graph.tensors) - 1]
    for name, numbers in ((b"/begin", np.zeros(3, np.int32)), (b"/size", np.array(part.shape, np.int32))):
        inputs.append(file.add_constant(model, graph, part.name + name, numbers))
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.builtinOptionsType = code, schema.BuiltinOptions.SliceOptions
    operator.builtinOptions = schema.SliceOptionsT()
    operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([at], np.int32)
    return operator
