"""fp16 storage: every float constant of some size becomes float16 with a DEQUANTIZE operator behind it.

The engine runs that operator once, when it prepares the graph. AI Edge Quantizer's float casting does the same to the
weights of some operators, in forty times the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgewright.converters._tflite import file

__all__ = ["half"]

_VERSION = 3
"""The first of DEQUANTIZE that takes float16."""


def half(data: bytes, fewest: int = 256) -> bytes:
    """The file with its float32 constants of at least `fewest` numbers stored as float16."""
    model = file.read(data)
    code, halves = file.operator_code(model, schema.BuiltinOperator.DEQUANTIZE, _VERSION), {}
    for graph in model.subgraphs:
        casts = []
        for at, tensor in enumerate(list(graph.tensors)):
            stored = model.buffers[tensor.buffer].data
            if tensor.type != schema.TensorType.FLOAT32 or stored is None or len(stored) < 4 * fewest:
                continue
            if tensor.buffer not in halves:
                halves[tensor.buffer] = _half_buffer(model, stored)
            casts.append(_cast(graph, at, halves[tensor.buffer], code))
        graph.operators = [*casts, *graph.operators]
    return file.write(file.without_unused(model))


def _half_buffer(model: Any, stored: Any) -> int:
    wide = np.frombuffer(bytes(stored), np.float32)
    largest = np.finfo(np.float16).max
    buffer = schema.BufferT()
    buffer.data = np.clip(wide, -largest, largest).astype(np.float16).view(np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _cast(graph: Any, at: int, buffer: int, code: int) -> Any:
    """A DEQUANTIZE that makes tensor `at`, so far a constant, from a new float16 constant."""
    wide, narrow = graph.tensors[at], schema.TensorT()
    narrow.name, narrow.shape, narrow.type, narrow.buffer = (
        wide.name + b"/half", wide.shape, schema.TensorType.FLOAT16, buffer,
    )  # fmt: skip
    wide.buffer = 0
    graph.tensors.append(narrow)
    operator = schema.OperatorT()
    operator.opcodeIndex = code
    operator.inputs, operator.outputs = np.array([len(graph.tensors) - 1], np.int32), np.array([at], np.int32)
    return operator
