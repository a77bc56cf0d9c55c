"""The TFLite flatbuffer (schema.fbs of version 3): written so that what is equal in it lies there once."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "add_constant", "described", "lengths", "operator_code", "operators", "operators_of", "read", "scope_of",
    "without_unused", "write",
]  # fmt: skip

_ABOUT = "edgewright"
_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16
"""schema.fbs asks it of the buffers' data."""


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Writes each vector and string once, however many tables hold an equal one.

    The signatures of a file differ in shapes alone: names, scales and zero points of a weight are the same in each, and
    written five times they are a tenth of an int8 file.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802 - the name that generated code calls
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            if x.dtype == np.uint8:
                self.Prep(_ALIGNMENT, x.size)
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]

    def CreateString(self, s: Any, *args: Any, **kwargs: Any) -> int:  # noqa: N802
        key = ("text", s if isinstance(s, bytes) else s.encode())
        if key not in self._written:
            self._written[key] = super().CreateString(s, *args, **kwargs)
        return self._written[key]


def read(data: bytes) -> Any:
    """The file as a tree of mutable objects, with all constants in it: the quantizer puts them behind the tables."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def write(model: Any) -> bytes:
    """The file of a tree of objects: the same bytes for the same tree."""
    builder = _SharingBuilder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def described(data: bytes, about: Mapping[str, str]) -> bytes:
    """A file with what it says of itself, as JSON under the name `edgewright` of its metadata."""
    model, entry, buffer = read(data), schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(json.dumps(dict(about), sort_keys=True).encode(), np.uint8)
    entry.name, entry.buffer = _ABOUT, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or ()), entry]
    return write(model)


def lengths(model: Any) -> dict[int, str]:
    """The keys of the signatures by the length that they take."""
    return {
        int(model.subgraphs[s.subgraphIndex].tensors[s.inputs[0].tensorIndex].shape[1]): s.signatureKey.decode()
        for s in model.signatureDefs
    }


def operators_of(model: Any, graph: Any, *kinds: int) -> Iterator[Any]:
    """The operators of some kinds in a subgraph."""
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return (operator for operator in graph.operators if codes[operator.opcodeIndex] in kinds)


def operators(model: Any, *kinds: int) -> Iterator[tuple[Any, Any]]:
    """The operators of some kinds in all subgraphs, each after its subgraph."""
    return ((graph, found) for graph in model.subgraphs for found in operators_of(model, graph, *kinds))


def operator_code(model: Any, kind: int, version: int = 1) -> int:
    """The index of an operator among the file's codes, where it is added at the end."""
    code = schema.OperatorCodeT()
    code.deprecatedBuiltinCode = code.builtinCode = kind
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def add_constant(model: Any, graph: Any, name: bytes, numbers: NDArray[np.int32]) -> int:
    """The index of a new tensor of the subgraph that holds `numbers`."""
    tensor, buffer = schema.TensorT(), schema.BufferT()
    buffer.data = numbers.view(np.uint8)
    model.buffers.append(buffer)
    tensor.name, tensor.shape, tensor.type, tensor.buffer = (
        name, np.array(numbers.shape, np.int32), schema.TensorType.INT32, len(model.buffers) - 1,
    )  # fmt: skip
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def without_unused(model: Any) -> Any:
    """The tree with the data of every buffer dropped that no tensor and no metadata names; indices stay as they are."""
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    for at, buffer in enumerate(model.buffers):
        if at not in used:
            buffer.data = None
    return model


def scope_of(names: Sequence[bytes]) -> str:
    """What AI Edge Quantizer's recipes want: an expression for the operators whose output has one of the names."""
    return f"^(?:{'|'.join(re.escape(name.decode()) for name in names)});$"
