"""Layer norms whose weights TFLite's converter does not multiply into the layers that read them.

It folds a product and a sum with constants into the dense layer behind them. What was trained on a grid of 4 bits is on
none then, and at int8 a few of the norm's weights stretch the range of every output: on MiniLM 5 dB are lost.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["kept_apart"]


@contextlib.contextmanager
def kept_apart(model: torch.nn.Module) -> Iterator[None]:
    """Run `model` with layer norms that subtract the negative of their bias: sums alone are folded."""
    found = [m for m in model.modules() if type(m) is torch.nn.LayerNorm and m.bias is not None]
    try:
        for norm in found:
            norm.forward = _forward(norm)
        yield
    finally:
        for norm in found:
            del norm.forward


def _forward(norm: torch.nn.LayerNorm) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(x: torch.Tensor) -> torch.Tensor:
        scaled = torch.nn.functional.layer_norm(x, norm.normalized_shape, norm.weight, None, norm.eps)
        return scaled - (-norm.bias)

    return forward
