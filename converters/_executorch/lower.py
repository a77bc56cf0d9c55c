"""A `torch.export` program -> the bytes of a `.pte`: what XNNPACK takes becomes a delegate, the rest portable calls."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from edgewright.converters._executorch.shared import shared
from edgewright.errors import ConversionFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from edgewright.bundle.manifest import TensorSpec
    from edgewright.contracts.converter import ConversionSpec

__all__ = ["lower"]


def lower(
    program: torch.export.ExportedProgram,
    spec: ConversionSpec,
    inputs: Sequence[TensorSpec],
    methods: Mapping[str, int | list[int]],
    beside: Mapping[str, torch.export.ExportedProgram] | None = None,
) -> bytes:
    """The file, with the methods `get_signature`, `get_about` and those of `methods` beside `forward`.

    Args:
        program: `forward`; the last of what it returns are the outputs of `spec`.
        spec: of the artifact.
        inputs: of `forward`.
        methods: numbers, or lists of them, by their names.
        beside: more programs over the same weights, by their names.

    Raises:
        ConversionFailed: the published runtimes lack an operator that XNNPACK does not take.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    with _passes_that_find_something(), _decomposed_once():
        edge = to_edge_transform_and_lower(
            {"forward": program, **(beside or {})},
            transform_passes=[_reshape],
            partitioner=[XnnpackPartitioner()],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
            constant_methods={
                "get_signature": json.dumps(_signature(program, spec, inputs), separators=(",", ":")),
                "get_about": json.dumps({**spec.about, "precision": spec.precision}, sort_keys=True),
                **methods,
            },
        )
    spec.progress("write")
    finished = edge.to_executorch()
    for name in finished.methods:
        _check_operators(finished.exported_program(name).graph_module)
    return shared(bytes(finished.buffer))


_LOOKED_FOR = {
    "ConvertToUpsampleBilinear2d": ("upsample",),
    "ConvertToSDPAPass": ("full_like",),  # in each of its patterns, from torch's own attention
    "FuseBatchNormPass": ("batch_norm",),
    "DecomposeBatchNorm": ("batch_norm",),
    "Conv1dUnsqueezePass": ("convolution",),
    "PReLUReshapePass": ("prelu",),
    "DecomposeConcatenate": ("cat",),
    "FuseActivationPass": ("relu", "hardtanh"),
    "RemoveGetItemPass": ("max_pool2d", "max.dim"),
}
"""XNNPACK's passes that change nothing in a graph without an operator of one of these names."""


@contextlib.contextmanager
def _passes_that_find_something() -> Iterator[None]:
    """Leave out the others: each copies the whole program, and two export models to look for, a third of the time."""
    from executorch.backends.xnnpack import xnnpack_preprocess

    manager = xnnpack_preprocess.XNNPACKPassManager

    def fewer(program: torch.export.ExportedProgram, passes: list[type] | None = None) -> Any:
        made, names = manager(program, passes=passes), {str(node.target) for node in program.graph.nodes}
        there = {one for one, words in _LOOKED_FOR.items() if any(word in name for word in words for name in names)}
        made.passes = [one for one in made.passes if one.__name__ in there or one.__name__ not in _LOOKED_FOR]
        return made

    xnnpack_preprocess.XNNPACKPassManager = fewer
    try:
        yield
    finally:
        xnnpack_preprocess.XNNPACKPassManager = manager


_KEPT = "sym_size"
"""What stands in the table of decompositions, and comes out of each of them as it was."""


@contextlib.contextmanager
def _decomposed_once() -> Iterator[None]:
    """Trace a program anew once instead of three times, each of which takes as long as to export it.

    ExecuTorch first asks for no decomposition at all, which makes the program functional as every other does, then for
    all but those that XNNPACK's partitioner wants to see, and then for the rest of these, of which there is none.
    """
    import torch

    exported = torch.export.ExportedProgram
    decompose, done = exported.run_decompositions, set[int]()

    def once(program: torch.export.ExportedProgram, table: Any = None, **options: Any) -> torch.export.ExportedProgram:
        if table is not None:
            left = {node.target for node in program.graph.nodes if node.op == "call_function" and node.target in table}
            if not table or (id(program) in done and not any(_KEPT not in str(target) for target in left)):
                return program
        made = decompose(program, table, **options)
        kept.append(made)
        done.add(id(made))
        return made

    kept: list[torch.export.ExportedProgram] = []  # so that no other program takes the place of one in memory
    exported.run_decompositions = once
    try:
        yield
    finally:
        exported.run_decompositions = decompose


def _signature(
    program: torch.export.ExportedProgram, spec: ConversionSpec, inputs: Sequence[TensorSpec]
) -> dict[str, list[dict[str, Any]]]:
    """Names, types and shapes; a free dimension is called `length`."""
    outputs = program.graph.output_node().args[0]
    values = [node.meta["val"] for node in outputs][-len(spec.outputs) :]
    return {
        "inputs": [{"name": one.name, "dtype": one.dtype, "shape": list(one.shape)} for one in inputs],
        "outputs": [
            {"name": name, "dtype": str(value.dtype).removeprefix("torch."), "shape": _shape(value)}
            for name, value in zip(spec.outputs, values, strict=True)
        ],
    }


def _shape(value: torch.Tensor) -> list[int | str]:
    return [size if isinstance(size, int) else "length" for size in value.shape]


def _reshape(graph: torch.fx.GraphModule) -> Any:
    """Say every reshape as numbers and at most one -1, which is the only form that the delegate takes."""
    from executorch.exir.dialects._ops import ops
    from torch.fx.passes.infra.pass_base import PassResult

    edge = ops.edge.aten
    same_data = {edge.view_copy.default, edge.unsqueeze_copy.default, edge.squeeze_copy.dims}
    for node in graph.graph.nodes:
        if node.target in same_data:
            shape = [size if isinstance(size, int) else -1 for size in node.meta["val"].shape]
            if shape.count(-1) <= 1:
                node.target, node.args = edge.view_copy.default, (node.args[0], shape)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return PassResult(graph, modified=True)


def _check_operators(graph: torch.fx.GraphModule) -> None:
    """Refuse what would only fail when a device loads the file."""
    from executorch.runtime import Runtime

    known = set(Runtime.get().operator_registry.operator_names)
    schemas = [getattr(n.target, "_schema", None) for n in graph.graph.nodes if n.op == "call_function"]
    names = {f"{s.name}.{s.overload_name}" if s.overload_name else s.name for s in schemas if s is not None}
    missing = sorted(name for name in names - known if not name.startswith("executorch_prim"))
    if missing:
        hint = "onnx runs it at fp32 and int8"
        raise ConversionFailed(f"ExecuTorch's runtime has no operators {', '.join(missing)}", hint=hint)
