"""Activations that are easier to round: what some channels have too much of goes over to the weights.

A row of a language model's states has a few numbers that are a hundred times the others; with one scale for the row the
others are rounded to nothing. SmoothQuant (arXiv 2211.10438) divides each channel by a number of its own and multiplies
the weights that read it: the model computes the same. Here what is divided is a norm's weight, or the product before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgewright.converters._decoder.parts import Linear, ShortConvolution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgewright.converters._decoder.parts import Attention, Block, Decoder, Norm
    from edgewright.converters._rounding.gptq import Moments

    Array = NDArray[np.float32]

__all__ = ["smoothed"]

_LEAST = 1e-5
"""Of a channel's strength: the paper's own bound, below which a channel is as good as empty."""


def smoothed(decoder: Decoder, moments: Moments) -> Decoder:
    """The same function in other numbers, by what `moments` saw at the inputs of the products of each layer."""
    return replace(decoder, blocks=tuple(_block(block, moments) for block in decoder.blocks))


def _block(block: Block, moments: Moments) -> Block:
    mixer, part = block.mixer, block.feed_forward
    reads, count = list(mixer.reads), len(mixer.reads)
    feeds = [part.up, *([part.gate] if part.gate else [])]
    side_by_side = block.before_feed_forward is None
    norm, reads = _behind_norm(block.before_attention, reads + feeds * side_by_side, moments)
    before = block.before_feed_forward
    if before is not None:
        before, feeds = _behind_norm(before, feeds, moments)
    else:
        feeds = reads[count:]
    up, down = feeds[0], part.down
    if part.gate:  # without one the activation lies between the two
        up, down = _behind_product(up, down, moments)
    return replace(
        block,
        before_attention=norm,
        mixer=_mixer(mixer, reads[:count], moments),
        before_feed_forward=before,
        feed_forward=replace(part, up=up, down=down, gate=feeds[1] if part.gate else None),
    )


def _mixer(
    mixer: Attention | ShortConvolution, reads: Sequence[Linear], moments: Moments
) -> Attention | ShortConvolution:
    if not isinstance(mixer, ShortConvolution):
        return replace(mixer, query=reads[0], key=reads[1], value=reads[2])
    inputs, by = reads[0], np.ones(len(reads[0].weight), np.float32)
    width = len(mixer.kernel)
    by[width : 2 * width] = _factors([mixer.output], moments)  # the gate behind scales what the output reads
    bias = None if inputs.bias is None else inputs.bias / by
    inputs = Linear(inputs.name, inputs.weight / by[:, None], bias)
    return replace(mixer, inputs=inputs, output=_times(mixer.output, by[width : 2 * width]))


def _behind_norm(norm: Norm, readers: Sequence[Linear], moments: Moments) -> tuple[Norm, list[Linear]]:
    by = _factors(readers, moments)
    bias = None if norm.bias is None else norm.bias / by
    return replace(norm, weight=norm.weight / by, bias=bias), [_times(one, by) for one in readers]


def _behind_product(product: Linear, reader: Linear, moments: Moments) -> tuple[Linear, Linear]:
    by = _factors([reader], moments)
    bias = None if product.bias is None else product.bias / by
    return Linear(product.name, product.weight / by[:, None], bias), _times(reader, by)


def _times(reader: Linear, by: Array) -> Linear:
    return Linear(reader.name, reader.weight * by, reader.bias)


def _factors(readers: Sequence[Linear], moments: Moments) -> Array:
    """What each channel is divided by: the root of its strength over that of the weights that read it."""
    strength = moments.strength(readers[0].source)
    weights = np.max([np.abs(one.weight).max(0) for one in readers], axis=0)
    found: Array = np.sqrt(np.maximum(strength / strength.mean(), _LEAST) / np.maximum(weights, _LEAST))
    return found.astype(np.float32)
