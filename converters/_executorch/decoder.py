"""A decoder -> the program of a `.pte`: keys and values lie in its own buffers, and are written in place.

    forward(tokens int64 (1, n), start int64 (1,)) -> logits float32 (1, n, vocabulary)

`start` is how many tokens lie in the cache: to go back costs nothing. These are the inputs, and `methods` the names,
that ExecuTorch's own TextLLMRunner and its Android library look for. The cache is written and read by their operators
`llama::update_cache` and `llama::custom_sdpa`, which attends to what was written alone.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from edgewright.contracts.precision import by_integers
from edgewright.converters._decoder.module import DecoderModule
from edgewright.converters._executorch.graph import Rewriter
from edgewright.converters._executorch.int4 import grouped_linear, nibble_embedding
from edgewright.converters._executorch.rewrite import byte_embedding, dynamic_linear, norms, tanh_gelu
from edgewright.errors import UnsupportedConversion
from edgewright.generation.defaults import Defaults

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._decoder.parts import Decoder

__all__ = ["CONTEXT", "methods", "program"]

CONTEXT = 2048
"""Tokens that the cache has room for, at most: it is there whole once the file is loaded, 94 MB of SmolLM2-135M."""
_CHUNK = 64
"""Tokens that are read at once. Each has its logits: 64 rows of 49,152 are 12 MB of the memory that is planned."""


class _Cached(DecoderModule[tuple[Any, Any]]):
    """`where` is how many tokens there are, and how many come."""

    def __init__(self, decoder: Decoder, *, fine: bool) -> None:
        super().__init__(decoder, fine=fine)
        for at, block in enumerate(decoder.blocks):
            attention = block.attention
            shape = (1, decoder.context, attention.key_heads, attention.head_dim)
            self.register_buffer(f"keys{at}", torch.zeros(shape))
            self.register_buffer(f"values{at}", torch.zeros(shape))

    def forward(self, ids: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        first, count = start[0].item(), ids.shape[1]
        torch._check(first >= 0)  # noqa: SLF001 - the exporter's public name for it
        torch._check(first + count <= self.decoder.context)  # noqa: SLF001
        return self.logits(ids, (first, count))

    def _rows(self, table: torch.Tensor, where: tuple[Any, Any]) -> torch.Tensor:
        return table.narrow(0, *where)

    def _attended(
        self, at: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, where: tuple[Any, Any]
    ) -> torch.Tensor:
        keys, values = getattr(self, f"keys{at}"), getattr(self, f"values{at}")
        llama: Any = torch.ops.llama
        llama.update_cache(key, keys, where[0])
        llama.update_cache(value, values, where[0])
        scale = self.decoder.blocks[at].attention.scale
        found: torch.Tensor = llama.custom_sdpa(query, keys, values, where[0], None, 0.0, True, scale)  # noqa: FBT003
        return found


def program(
    decoder: Decoder, spec: ConversionSpec, factor: Callable[[str], NDArray[Any]] | None
) -> torch.export.ExportedProgram:
    """The program at `spec.precision`.

    Args:
        decoder: its context is the cache's room.
        spec: with the precision, and the rung of the ladder.
        factor: for int4, `Moments.factor` of what meets a weight, by the model's name of it.

    Raises:
        UnsupportedConversion: a layer has a window that is narrower than the cache.
    """
    from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401 - registers the operators

    windows = {block.attention.window for block in decoder.blocks} - {0}
    if windows and min(windows) < decoder.context:
        what = f"layers see {min(windows)} tokens, the context is {decoder.context}"
        raise UnsupportedConversion(what, hint="ExecuTorch's attention has no windows; onnx and tflite have")
    module = _Cached(decoder, fine=by_integers(spec.precision)).eval()
    graph = _traced(module).module(check_guards=False)
    rewriter = Rewriter(graph)
    _quantize(rewriter, module.sources, spec, factor)
    norms(rewriter)
    rewriter.each("gelu.default", lambda _, node: tanh_gelu(rewriter, node) if node.kwargs else None)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return _traced(graph)


def methods(decoder: Decoder, spec: ConversionSpec) -> dict[str, int | list[int]]:
    """What TextLLMRunner asks a file for, beside `forward`."""
    defaults = Defaults.of(spec.tokenizer)
    return {
        "get_max_seq_len": min(_CHUNK, decoder.context),
        "get_max_context_len": decoder.context,
        "get_vocab_size": decoder.vocabulary,
        "get_eos_ids": sorted(defaults.ends),
        "use_kv_cache": True,
        "use_sdpa_with_kv_cache": True,
        "enable_dynamic_shape": True,
    }


def _traced(module: torch.nn.Module) -> torch.export.ExportedProgram:
    context = module.decoder.context if isinstance(module, _Cached) else None
    longest = min(_CHUNK, context or _CHUNK)
    given = (torch.ones(1, min(8, longest), dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(
            module, given, dynamic_shapes=({1: torch.export.Dim("n", min=1, max=longest)}, None), strict=False
        )


def _quantize(
    rewriter: Rewriter,
    sources: dict[str, str],
    spec: ConversionSpec,
    factor: Callable[[str], NDArray[Any]] | None,
) -> None:
    """The products and the table, but for what is no weight of the model: a turn of the heads stays exact."""
    if spec.precision == "fp32":
        return
    if spec.precision == "fp16":
        rewriter.each("linear.default", lambda _, node: _half_linear(rewriter, node))
        rewriter.each("embedding.default", lambda _, node: _half_embedding(rewriter, node))
        return
    wide = ("embedding", "head.weight")  # 4 bits are too few for the choice of a token

    def product(_: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
        name = str(node.args[1].target)
        if name not in sources:
            return None
        found = grouped_linear(rewriter, node, lambda _: factor(sources[name])) if factor and name not in wide else None
        return found or dynamic_linear(rewriter, node)

    rewriter.each("linear.default", product)
    small = nibble_embedding if spec.precision == "int4" and "embedding" not in spec.keep_float else byte_embedding
    rewriter.each("embedding.default", lambda _, node: small(rewriter, node) or byte_embedding(rewriter, node))


def _half_linear(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """A product in float16, its state and its result in float32: sums of squares are too large for float16."""
    stored = {str(one.target): rewriter.weight(one) for one in node.args[1:] if one is not None}
    halves = [rewriter.constant(f"{name}_half", one.half) for name, one in stored.items() if one is not None]
    if len(halves) < len(stored):
        return None
    found = rewriter.call("linear.default", rewriter.call("to.dtype", node.args[0], torch.float16), *halves)
    return rewriter.call("to.dtype", found, torch.float32)


def _half_embedding(rewriter: Rewriter, node: torch.fx.Node) -> torch.fx.Node | None:
    """Rows of a table in float16, made float32."""
    table = rewriter.weight(node.args[0])
    if table is None:
        return None
    half = rewriter.constant(f"{node.args[0].target}_half", table.half)
    return rewriter.call("to.dtype", rewriter.call("embedding.default", half, node.args[1]), torch.float32)
