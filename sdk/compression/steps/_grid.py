"""The grids that weights are rounded to when a model is converted, in training already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BLOCK", "layers", "settle", "simulate"]

BLOCK = 32
"""Weights that share a scale at int4, along the inputs."""
_LEAST_OUTPUTS = 16
"""Layers with fewer outputs are label heads, which stay float."""
_LEAST_SCALE = 2.0**-14
"""The smallest that float16, in which scales are stored, holds exactly."""


def layers(model: Any) -> Iterator[tuple[str, Any]]:
    """What becomes integer, by name: the tables of tokens and their types, and the linear layers but for the head."""
    table = model.get_input_embeddings()
    for name, module in model.named_modules():
        looked_up = module is table or name.endswith("token_type_embeddings")
        if looked_up or (isinstance(module, nn.Linear) and module.out_features >= _LEAST_OUTPUTS):
            yield name, module


def simulate(model: Any, to: str, *, activations: bool) -> None:
    """Let every forward pass round the weights, and what meets them: int8 for each token.

    int4 has a scale, exact in bfloat16, for 32 weights, int8 one for each output, or row of the table. Both are
    symmetric, since that is what every format can say.
    """
    from torchao.quantization import quantize_
    from torchao.quantization.qat import IntxFakeQuantizeConfig, QATConfig

    if to == "int4":
        given: dict[str, Any] = {"group_size": BLOCK, "scale_precision": torch.bfloat16, "eps": _LEAST_SCALE}
        weights = IntxFakeQuantizeConfig(torch.int4, **given)
    else:
        weights = IntxFakeQuantizeConfig(torch.int8, "per_channel")
    tokens = IntxFakeQuantizeConfig(torch.int8, "per_token", is_symmetric=False) if activations else None
    chosen = dict(layers(model))
    for kind, met in ((nn.Embedding, None), (nn.Linear, tokens)):
        names = {name for name, module in chosen.items() if isinstance(module, kind)}
        config = QATConfig(activation_config=met, weight_config=weights, step="prepare")
        quantize_(model, config, filter_fn=lambda _, name, names=names: name in names)


@torch.no_grad()  # type: ignore[untyped-decorator]
def settle(model: Any) -> None:
    """Leave plain layers, whose float weights lie on their grid.

    The lowest int8 is left out, as the formats do: the largest weight of a row is then 127 times its scale in all.
    """
    from torchao.quantization import quantize_
    from torchao.quantization.qat import QATConfig

    for module in model.modules():
        rounded = getattr(module, "weight_fake_quantizer", None)
        if rounded is not None:
            weight = rounded(module.weight)
            if rounded.config.dtype == torch.int8:
                weight = weight.clamp(min=-127 * rounded.scale)
            module.weight.copy_(weight)
    quantize_(model, QATConfig(step="convert"))
