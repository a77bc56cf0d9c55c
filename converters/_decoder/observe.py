"""What meets the weights of a decoder: second moments of the activations, by the name of the weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from edgewright.converters._rounding.gptq import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["moments"]


@torch.inference_mode()  # type: ignore[untyped-decorator]
def moments(model: Any, batches: Sequence[Mapping[str, NDArray[Any]]]) -> Moments:
    """X^T X of the inputs X (tokens, inputs) of every product of a layer, over texts int64 (1, length)."""
    found = Moments()
    hooks = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if (".layers." in f".{name}" or ".h." in f".{name}") and weight is not None and weight.dim() == 2:
            hooks.append(module.register_forward_pre_hook(_taker(found, f"{name}.weight")))
    try:
        for batch in batches:
            model(input_ids=torch.from_numpy(batch["input_ids"]))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _taker(found: Moments, name: str) -> Any:
    def take(_: Any, given: tuple[torch.Tensor, ...]) -> None:
        found.add(name, given[0].flatten(0, -2).float().numpy().copy())

    return take
