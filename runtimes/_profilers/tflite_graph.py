"""The nodes of a TFLite file: what each computes and moves, read through the engine's own schema classes."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Op", "ops_of"]

_BITS = {
    "FLOAT32": 32,
    "INT32": 32,
    "UINT32": 32,
    "FLOAT16": 16,
    "INT16": 16,
    "BFLOAT16": 16,
    "INT64": 64,
    "FLOAT64": 64,
}
"""Bits of an element, as the names of TensorType in TFLite's schema.fbs say."""
_BITS |= {"INT8": 8, "UINT8": 8, "BOOL": 8, "INT4": 4, "INT2": 2}
_LOOKUPS = ("EMBEDDING_LOOKUP", "GATHER", "GATHER_ND", "SLICE", "STRIDED_SLICE")


@dataclass(frozen=True)
class Op:
    """A node.

    Attributes:
        kind: TFLite's name of the operator.
        made: the name of its first output.
        macs: multiply-accumulates of a product, 0 where a dimension is free.
        moved_bytes: of its inputs and outputs; a lookup moves what it gives, twice.
    """

    kind: str
    made: str
    macs: int
    moved_bytes: int


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    bits: int

    @property
    def elements(self) -> int:
        """How many, 0 where a dimension is free."""
        return math.prod(self.shape) if min(self.shape, default=1) >= 0 else 0

    @property
    def size_bytes(self) -> int:
        return self.elements * self.bits // 8


def ops_of(path: Path, key: str) -> list[Op]:
    """The nodes of the signature `key` of a file that the engine has opened, in their order."""
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    signatures = [model.SignatureDefs(at) for at in range(model.SignatureDefsLength())]
    at = next((s.SubgraphIndex() for s in signatures if s.SignatureKey().decode() == key), 0)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    types = {code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    # Kinds below 127 stand in the field of the schema's first version alone
    kinds = [names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "CUSTOM") for code in codes]
    graph = model.Subgraphs(at)
    tensors = [_tensor(graph.Tensors(i), types) for i in range(graph.TensorsLength())]
    nodes = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    return [_op(kinds[node.OpcodeIndex()], *_ends(node, tensors)) for node in nodes]


def _tensor(tensor: Any, types: dict[int, str]) -> _Tensor:
    shape = tuple(tensor.Shape(i) for i in range(tensor.ShapeLength()))
    return _Tensor((tensor.Name() or b"").decode(errors="replace"), shape, _BITS.get(types.get(tensor.Type(), ""), 0))


def _ends(node: Any, tensors: Sequence[_Tensor]) -> tuple[list[_Tensor], list[_Tensor]]:
    given = [node.Inputs(i) for i in range(node.InputsLength())]
    made = [node.Outputs(i) for i in range(node.OutputsLength())]
    return [tensors[i] for i in given if i >= 0], [tensors[i] for i in made if i >= 0]


def _op(kind: str, given: Sequence[_Tensor], made: Sequence[_Tensor]) -> Op:
    out = sum(t.size_bytes for t in made)
    moved = 2 * out if kind in _LOOKUPS else out + sum(t.size_bytes for t in given)
    return Op(kind, made[0].name if made else "", _macs(kind, given, made), moved)


def _macs(kind: str, given: Sequence[_Tensor], made: Sequence[_Tensor]) -> int:
    """Outputs times the width that is summed over: the last one of a layer's weight, or of a product's left side."""
    side = {"FULLY_CONNECTED": 1, "BATCH_MATMUL": 0}.get(kind)
    return made[0].elements * max(0, given[side].shape[-1]) if side is not None else 0
