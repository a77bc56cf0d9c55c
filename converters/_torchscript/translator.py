"""An encoder-decoder -> TorchScript: one file of two methods over the same weights.

encode(input_ids int64 (sources, length), attention_mask) -> cross
forward(input_ids int64 (rows, 1), position int64 (1,), attention_mask, cross, kv_cache_0, kv_cache_1, ...)
-> (logits float32 (rows, vocabulary),), see `edgewright.converters._translator.module`
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from edgewright.converters._torchscript.int8 import Int8, measured
from edgewright.converters._translator.module import TranslatorModule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgewright.contracts.converter import ConversionSpec
    from edgewright.converters._translator.parts import Translator

__all__ = ["signature", "traced"]

_SOURCES, _LENGTH, _BEAMS, _SLOTS = 2, 7, 3, 11
"""Of the traced arrays: no dimension of a model is any of the odd ones, and sources and beams are told apart."""
_SEEN = 32
"""Tokens of a source by chance, and of what is written after it: a choice, enough for the largest channels."""


class _Called(torch.nn.Module):  # type: ignore[misc]
    """The module behind one call: what reads has two arrays, what writes more."""

    def __init__(self, whole: Translator) -> None:
        super().__init__()
        self.module = TranslatorModule(whole)

    def forward(self, *given: torch.Tensor) -> Any:
        if len(given) == 2:
            return self.module.read(*given)
        tokens, place, mask, cross, *caches = given
        return (self.module.write(tokens, place, mask, cross, caches),)


class _Both(torch.nn.Module):  # type: ignore[misc]
    """What a file is made of."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: torch.Tensor) -> Any:
        return self.inner(*given)

    def encode(self, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        return self.inner(ids, mask)


def traced(whole: Translator, *, int8: bool) -> Any:
    """A frozen `torch.jit.ScriptModule` with both methods, dynamic in sources, length, rows and slots."""
    module = _Called(whole).eval()
    with torch.no_grad():
        sources, step = _examples(whole, module)
        inner = measured(module, [sources, step, *_seen(whole, module)]) if int8 else module
        both = _Both(inner).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, of Python values that it takes for constants
            methods = {"encode": sources, "forward": step}
            if int8:
                with Int8(inner):
                    found = torch.jit.trace_module(both, methods, check_trace=False)
            else:
                found = torch.jit.trace_module(both, methods, check_trace=False)
            return torch.jit.freeze(found, preserved_attrs=["encode"])


def _examples(whole: Translator, module: torch.nn.Module) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Sources, and a step; all parameters of the module are made on the way."""
    ids = torch.ones(_SOURCES, _LENGTH, dtype=torch.int64)
    mask = torch.ones(_SOURCES, _LENGTH, dtype=torch.int64)
    mask[1, -2:] = 0
    cross, rows = module(ids, mask), _SOURCES * _BEAMS
    caches = [
        torch.zeros(rows, layer.attention.heads, _SLOTS, layer.attention.head_dim)
        for layer in whole.decoder.layers
        for _ in "kv"
    ]
    step = (torch.ones(rows, 1, dtype=torch.int64), torch.tensor([1]), mask, cross, *caches)
    module(*step)
    return (ids, mask), step


def _seen(whole: Translator, module: torch.nn.Module) -> Iterator[tuple[torch.Tensor, ...]]:
    """Sources of tokens by chance, and steps after them: what meets the weights, to find the channels to smooth."""
    draw = torch.Generator().manual_seed(0)
    length = min(_SEEN, whole.context)
    ids = torch.randint(whole.encoder.vocabulary, (_SOURCES, length), generator=draw)
    mask = torch.ones_like(ids)
    yield ids, mask
    cross = module(ids, mask)
    caches = [
        torch.zeros(_SOURCES, *cache.shape[1:2], length, cache.shape[3]) for cache in _examples(whole, module)[1][4:]
    ]
    for place in range(length):
        tokens = torch.randint(whole.decoder.vocabulary, (_SOURCES, 1), generator=draw)
        yield tokens, torch.tensor([place]), mask, cross, *caches


def signature(whole: Translator, spec: ConversionSpec) -> dict[str, Any]:
    """What the file says of itself: of `forward`, whose inputs those of `encode` are among."""
    layers, first = whole.decoder.layers, whole.decoder.layers[0].attention
    caches = [
        (f"kv_cache_{2 * at + side}", "float32", ["rows", layer.attention.heads, "slots", layer.attention.head_dim])
        for at, layer in enumerate(layers)
        for side in range(2)
    ]
    inputs = [
        ("input_ids", "int64", ["rows", 1]),
        ("position", "int64", [1]),
        ("attention_mask", "int64", ["sources", "length"]),
        ("cross", "float32", [2 * len(layers), "sources", first.heads, "length", first.head_dim]),
        *caches,
    ]
    return {
        "inputs": [{"name": name, "dtype": dtype, "shape": shape} for name, dtype, shape in inputs],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": ["rows", whole.decoder.vocabulary]}],
        "about": {**spec.about, "precision": spec.precision},
    }
