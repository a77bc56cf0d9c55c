"""Dynamic int8 for TorchScript: weights in int8 per output channel, activations quantized on the fly.

The layers are found by what they call, not by their class, so that a user's own module and an exported program are
served alike: one run collects the weights, and while the model is traced every call with such a weight becomes its int8
form. Tables of embeddings are int8 with a scale for each row, in plain operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Int8", "measured"]

_LINEAR = (torch.nn.functional.linear, torch.ops.aten.linear.default)
_EMBEDDING = (torch.nn.functional.embedding, torch.embedding, torch.ops.aten.embedding.default)
_SMALLEST_TABLE = 2**12


class _Root(torch.nn.Module):  # type: ignore[misc]
    """A model and the int8 forms of its weights; a trace finds them here."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self.names: dict[tuple[int, int], str] = {}

    def forward(self, *arrays: torch.Tensor) -> Any:
        return self.model(*arrays)

    def add(self, key: tuple[int, int], parts: dict[str, Any]) -> None:
        """Keep the parts of one layer's int8 form."""
        self.names[key] = name = f"int8_{len(self.names)}"
        for part, value in parts.items():
            if isinstance(value, torch.Tensor):
                self.register_buffer(f"{name}_{part}", value)
            else:
                setattr(self, f"{name}_{part}", value)

    def part(self, key: tuple[int, int], part: str) -> Any:
        return getattr(self, f"{self.names[key]}_{part}")


class _Collect(TorchFunctionMode):  # type: ignore[misc]
    """Quantizes the weight of every call that it sees."""

    def __init__(self, root: _Root) -> None:
        super().__init__()
        self.root = root
        self.weights = {id(parameter) for parameter in root.parameters()}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        found = _layer(func, args, kwargs or {})
        if found and id(found[1]) in self.weights and _key(found) not in self.root.names:
            kind, weight, bias, _ = found
            self.root.add(_key(found), _packed(weight, bias) if kind == "linear" else _table(weight))
        return func(*args, **(kwargs or {}))


class Int8(TorchFunctionMode):  # type: ignore[misc]
    """Replaces every call whose weight `root` has an int8 form of."""

    def __init__(self, root: _Root) -> None:
        super().__init__()
        self.root = root

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        found = _layer(func, args, kwargs or {})
        if not found or _key(found) not in self.root.names:
            return func(*args, **(kwargs or {}))
        kind, _, _, x = found
        if kind == "linear":
            return torch.ops.quantized.linear_dynamic(x, self.root.part(_key(found), "weight"), reduce_range=False)
        rows, scales = (self.root.part(_key(found), part) for part in ("rows", "scales"))
        return torch.embedding(rows, x).to(torch.float32) * torch.embedding(scales, x)


def measured(model: torch.nn.Module, example: Sequence[torch.Tensor]) -> _Root:
    """The model with the int8 form of every weight that one run on `example` uses in a linear layer or an embedding."""
    root = _Root(model)
    with torch.no_grad(), _Collect(root):
        root(*example)
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


def _key(found: tuple[Any, ...]) -> tuple[int, int]:
    return id(found[1]), id(found[2])


def _packed(weight: torch.Tensor, bias: torch.Tensor | None) -> dict[str, Any]:
    """Float (out, in) -> an int8 weight with a scale for each output."""
    scales = _scales(weight).double()
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    weight = torch.quantize_per_channel(weight.detach(), scales, zeros, 0, torch.qint8)
    return {"weight": torch.ops.quantized.linear_prepack(weight, None if bias is None else bias.detach())}


def _table(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """Float (rows, width) -> int8 (rows, width) and float scales (rows, 1)."""
    scales = _scales(weight)[:, None]
    return {"rows": (weight.detach() / scales).round().clamp(-127, 127).to(torch.int8), "scales": scales}


def _scales(weight: torch.Tensor) -> torch.Tensor:
    return weight.detach().abs().amax(1).clamp(min=1e-12) / 127
