"""Dynamic int8 for TorchScript: weights in int8 per output channel, activations quantized on the fly.

The layers are found by what they call, not by their class, so that a user's own module and an exported program are
served alike: some runs collect the weights and the ranges of what meets them, and while the model is traced every call
with such a weight becomes its int8 form. Channels that alone would stretch the range of an input are smoothed. Tables
of embeddings are int8 with a scale for each row, in plain operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch.overrides import TorchFunctionMode

from edgewright.converters._rounding.smooth import Range, range_of, smoothing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Int8", "measured"]

_Key: TypeAlias = "tuple[str, int, int]"
"""The kind of a layer, and the identities of its weight and bias."""
_LINEAR = (torch.nn.functional.linear, torch.ops.aten.linear.default)
_EMBEDDING = (torch.nn.functional.embedding, torch.embedding, torch.ops.aten.embedding.default)
_SMALLEST_TABLE = 2**12
"""Weights: a choice, below which a table saves some kilobytes and is not worth its rounding."""


class _Root(torch.nn.Module):  # type: ignore[misc]
    """A model and the int8 forms of its weights; a trace finds them here."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self.names: dict[_Key, str] = {}

    def forward(self, *arrays: torch.Tensor) -> Any:
        return self.model(*arrays)

    def add(self, key: _Key, parts: dict[str, Any]) -> None:
        """Keep the parts of one layer's int8 form."""
        self.names[key] = name = f"int8_{len(self.names)}"
        for part, value in parts.items():
            if isinstance(value, torch.Tensor):
                self.register_buffer(f"{name}_{part}", value)
            else:
                setattr(self, f"{name}_{part}", value)

    def part(self, key: _Key, part: str) -> Any:
        return getattr(self, f"{self.names[key]}_{part}", None)


class _Watch(TorchFunctionMode):  # type: ignore[misc]
    """Sees the layers that a run calls, those that read one input together, and the ranges of the inputs."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.weights = {id(parameter) for parameter in model.parameters()}
        self.layers: dict[_Key, tuple[Any, ...]] = {}
        self.readers: dict[int, list[_Key]] = {}
        self.ranges: dict[_Key, Range] = {}
        self._alive: list[torch.Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        found = _layer(func, args, kwargs or {})
        if found and id(found[1]) in self.weights:
            self._see(found)
        return func(*args, **(kwargs or {}))

    def _see(self, found: tuple[Any, ...]) -> None:
        key, x = _key(found), found[3]
        if key not in self.layers:
            self.layers[key] = found[:3]
            self._alive.append(x)  # an id is a tensor's own while it lives
            self.readers.setdefault(id(x), []).append(key)
        if found[0] == "linear":
            seen = range_of(x.detach().reshape(-1, x.shape[-1]).numpy())
            self.ranges[key] = self.ranges[key] | seen if key in self.ranges else seen

    def factors(self) -> dict[_Key, torch.Tensor]:
        """What to divide the channels of inputs by, one for all layers that read an input together."""
        found: dict[_Key, torch.Tensor] = {}
        for keys in self.readers.values():
            linear = [key for key in keys if key in self.ranges]
            if linear:
                weight = torch.cat([self.layers[key][1].detach() for key in linear]).T.numpy()
                factor = smoothing(self.ranges[linear[0]], weight)
                found |= {} if factor is None else dict.fromkeys(linear, torch.from_numpy(factor))
        return found


class Int8(TorchFunctionMode):  # type: ignore[misc]
    """Replaces every call whose weight `root` has an int8 form of."""

    def __init__(self, root: _Root) -> None:
        super().__init__()
        self.root = root
        self._smoothed: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        found = _layer(func, args, kwargs or {})
        if not found or _key(found) not in self.root.names:
            return func(*args, **(kwargs or {}))
        kind, _, _, x = found
        if kind == "linear":
            weight, inverse = (self.root.part(_key(found), part) for part in ("weight", "inverse"))
            x = x if inverse is None else self._smooth(x, inverse)
            return torch.ops.quantized.linear_dynamic(x, weight, reduce_range=False)
        rows, scales = (self.root.part(_key(found), part) for part in ("rows", "scales"))
        return torch.embedding(rows, x).to(torch.float32) * torch.embedding(scales, x)

    def _smooth(self, x: torch.Tensor, inverse: torch.Tensor) -> torch.Tensor:
        """Once for all layers that read `x`."""
        if id(x) not in self._smoothed:
            self._smoothed[id(x)] = x, x * inverse
        return self._smoothed[id(x)][1]


def measured(model: torch.nn.Module, texts: Sequence[Sequence[torch.Tensor]]) -> _Root:
    """The model with the int8 form of every weight that runs on `texts` use in a linear layer or an embedding."""
    root, watch = _Root(model), _Watch(model)
    for text in texts:
        with torch.no_grad(), watch:
            root(*text)
    factors = watch.factors()
    for key, (kind, weight, bias) in watch.layers.items():
        root.add(key, _packed(weight, bias, factors.get(key)) if kind == "linear" else _table(weight))
    return root


def _layer(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, torch.Tensor, torch.Tensor | None, torch.Tensor] | None:
    """The kind, weight, bias and input of a call, or None where it is of another kind."""
    if func in _LINEAR:
        bias = args[2] if len(args) > 2 else kwargs.get("bias")
        return "linear", kwargs.get("weight", args[1]), bias, args[0]
    if func in _EMBEDDING:
        ids, weight = args[:2] if func is _EMBEDDING[0] else (args[1], args[0])
        return ("embedding", weight, None, ids) if weight.numel() >= _SMALLEST_TABLE else None
    return None


def _key(found: tuple[Any, ...]) -> _Key:
    """A table may be the head of a decoder, too."""
    return str(found[0]), id(found[1]), id(found[2])


def _packed(weight: torch.Tensor, bias: torch.Tensor | None, factor: torch.Tensor | None) -> dict[str, Any]:
    """Float (out, in) -> an int8 weight with a scale for each output, and what to multiply its smoothed inputs by."""
    weight = weight.detach() if factor is None else weight.detach() * factor
    scales = _scales(weight).double()
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    weight = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    parts = {"weight": torch.ops.quantized.linear_prepack(weight, None if bias is None else bias.detach())}
    return parts if factor is None else {**parts, "inverse": 1 / factor}


def _table(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """Float (rows, width) -> int8 (rows, width) and float scales (rows, 1)."""
    scales = _scales(weight)[:, None]
    return {"rows": (weight.detach() / scales).round().clamp(-127, 127).to(torch.int8), "scales": scales}


def _scales(weight: torch.Tensor) -> torch.Tensor:
    return weight.detach().abs().amax(1).clamp(min=1e-12) / 127
