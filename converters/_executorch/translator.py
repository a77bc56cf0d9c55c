"""An encoder-decoder -> the programs of a `.pte`: one that reads a source, and two that take a step.

    encode(input_ids int64 (1, length)) -> 2 * layers of cross float32 (1, heads, length, head_dim)
    forward(tokens int64 (1, 1), position int64 (1,), 2 * layers of cross, 2 * layers of past float32 (1, heads, slots,
    head_dim)) -> new float32 (2 * layers, 1, heads, head_dim), logits float32 (1, vocabulary)
    beams: the same of four rows

Keys and values go in and come out, see `edgewright.converters._translator.step`: beams change places, which buffers
of a program's own could not.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from edgewright.bundle.manifest import TensorSpec
from edgewright.converters._executorch.graph import Rewriter
from edgewright.converters._executorch.rewrite import byte_embedding, dynamic_linear, norms, tanh_gelu
from edgewright.converters._translator.step import BEAMS, StepModule

if TYPE_CHECKING:
    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._decoder.parts import Norm
    from edgewright.converters._translator.parts import Translator

__all__ = ["inputs", "methods", "programs"]

_LENGTH, _SLOTS = 7, 11
"""Of the traced arrays, whose lengths are free: neither of them may be 1, and they are told apart."""


class _Module(StepModule):
    """What is said as the engine takes it."""

    def _normed(self, norm: Norm, state: torch.Tensor) -> torch.Tensor:
        if norm.bias is None:
            return functional.rms_norm(state, norm.weight.shape, self._weight(norm.weight), norm.epsilon)
        return super()._normed(norm, state)

    def _apart(self, table: torch.Tensor, apart: torch.Tensor) -> torch.Tensor:
        """The same at once: the square of a free length is no number that the engine computes."""
        return table[:, apart].unsqueeze(0)


class _Encode(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
    """What reads a source."""

    def __init__(self, module: _Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.module.parts(ids, torch.zeros(1, 1, 1, 1)))


class _Step(torch.nn.Module):  # type: ignore[misc]
    """What takes a step, of as many rows as it is traced with."""

    def __init__(self, module: _Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, tokens: torch.Tensor, place: torch.Tensor, *arrays: torch.Tensor) -> tuple[torch.Tensor, ...]:
        half = len(arrays) // 2
        logits, new = self.module.step(tokens, place, torch.zeros(1, 1, 1, 1), arrays[:half], arrays[half:])
        return new, logits


def programs(whole: Translator, spec: ConversionSpec) -> dict[str, torch.export.ExportedProgram]:
    """The programs at `spec.precision` by their names, over the same weights."""
    module = _Module(whole).eval()
    encode, step = _Encode(module), _Step(module)
    ids = torch.ones(1, min(_LENGTH, whole.context), dtype=torch.int64)
    steps = {name: _given(whole, rows) for name, rows in (("forward", 1), ("beams", BEAMS))}
    with torch.no_grad():
        encode(ids)
        step(*steps["forward"])  # makes the parameters, with what came before
    length, slots = (torch.export.Dim(name, max=whole.context) for name in ("length", "slots"))
    arrays = 2 * len(whole.decoder.layers)
    free = (None, None, *[{2: length}] * arrays, *[{2: slots}] * arrays)
    found = {name: _program(step, given, spec, free) for name, given in steps.items()}
    return {"encode": _program(encode, (ids,), spec, ({1: length},)), **found}


def inputs(whole: Translator) -> list[TensorSpec]:
    """Of `forward`."""
    found = [TensorSpec("input_ids", "int64", (1, 1)), TensorSpec("position", "int64", (1,))]
    for name, free in (("cross", "length"), ("kv_cache", "slots")):
        for at, layer in enumerate(whole.decoder.layers):
            part = layer.attention
            shape = (1, part.heads, free, part.head_dim)
            found += [TensorSpec(f"{name}_{2 * at + side}", "float32", shape) for side in range(2)]
    return found


def methods(whole: Translator) -> dict[str, int]:
    """What the engine asks a file for, beside `forward`."""
    return {"get_max_seq_len": whole.context, "get_max_context_len": whole.context, "get_beams": BEAMS}


def _given(whole: Translator, rows: int) -> tuple[torch.Tensor, ...]:
    parts = [layer.attention for layer in whole.decoder.layers for _ in "kv"]
    length, slots = min(_LENGTH, whole.context), min(_SLOTS, whole.context)
    cross = [torch.zeros(1, part.heads, length, part.head_dim) for part in parts]
    past = [torch.zeros(rows, part.heads, slots, part.head_dim) for part in parts]
    return torch.ones(rows, 1, dtype=torch.int64), torch.ones(1, dtype=torch.int64), *cross, *past


def _program(
    module: Any, given: tuple[torch.Tensor, ...], spec: ConversionSpec, free: tuple[Any, ...]
) -> torch.export.ExportedProgram:
    """A module's program at the precision of `spec`; `free` are the free dimensions of each array."""
    nested = (*free[:2], free[2:]) if len(free) > 1 else free  # `*arrays` of a module are one argument
    graph = _traced(module, given, nested).module(check_guards=False)
    rewriter = Rewriter(graph)
    if spec.precision == "int8":
        rewriter.each("linear.default", dynamic_linear)
        rewriter.each("embedding.default", byte_embedding)
    norms(rewriter)
    rewriter.each("gelu.default", lambda _, node: tanh_gelu(rewriter, node) if node.kwargs else None)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return _traced(graph, given, free)


def _traced(module: Any, given: tuple[torch.Tensor, ...], free: tuple[Any, ...]) -> torch.export.ExportedProgram:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(module, given, dynamic_shapes=free, strict=False)
