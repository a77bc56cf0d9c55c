"""What texts show of a decoder: second moments of what meets its weights, and how large its keys and values become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgewright.converters._decoder.parts import ShortConvolution
from edgewright.converters._rounding.gptq import Moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgewright.converters._decoder.parts import CachePeaks, Decoder

__all__ = ["cache_peaks", "moments"]


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


@torch.inference_mode()  # type: ignore[untyped-decorator]
def cache_peaks(model: Any, decoder: Decoder, batches: Sequence[Mapping[str, NDArray[Any]]]) -> list[CachePeaks]:
    """The largest sizes of each layer's keys and values, none of a convolution's, over texts int64 (1, length).

    Positions turn pairs of a key's numbers: both have the length of the pair, which is the same at every position, and
    no text need be as long as the context.
    """
    from transformers import DynamicCache

    mixers = [block.mixer for block in decoder.blocks]
    convolves = any(isinstance(mixer, ShortConvolution) for mixer in mixers)
    shapes = [(0,) if isinstance(mixer, ShortConvolution) else (mixer.key_heads, mixer.head_dim) for mixer in mixers]
    peaks = [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for shape in shapes]
    # Of the model's configuration where layers differ in kind; else one that does not forget what left a window
    given = {"config": model.config} if convolves else {}
    for batch in batches:
        cache = DynamicCache(**given)
        model(input_ids=torch.from_numpy(batch["input_ids"]), past_key_values=cache, use_cache=True)
        for mixer, layer, (keys, values) in zip(mixers, cache.layers, peaks, strict=True):
            if isinstance(mixer, ShortConvolution):
                continue
            rotary = mixer.rotary
            sizes = _turned_sizes(layer.keys[0].float().numpy(), 0 if rotary is None else rotary.cos.shape[1])
            np.maximum(keys, sizes.max(1), out=keys)
            np.maximum(values, np.abs(layer.values[0].float().numpy()).max(1), out=values)
    return [(keys.reshape(-1), values.reshape(-1)) for keys, values in peaks]


def _turned_sizes(keys: NDArray[np.float32], half: int) -> NDArray[np.float32]:
    """Keys (..., head_dim), of which the first `half` are turned with as many behind them: sizes at any position."""
    pair = np.hypot(keys[..., :half], keys[..., half : 2 * half])
    return np.concatenate([pair, pair, np.abs(keys[..., 2 * half :])], -1)
