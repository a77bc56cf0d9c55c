"""The parts of a decoder-only transformer, as arrays: what every format writes its graph from.

    h = embedding[ids] * scale (+ positions)
    for each block:  h += mixer(norm(h));  h += feed_forward(norm(h))
    logits = head(norm(h))

Weights are float32 views of the eager model's, (outputs, inputs) as `torch.nn.Linear` has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

__all__ = [
    "Attention",
    "Block",
    "CachePeaks",
    "Decoder",
    "FeedForward",
    "Linear",
    "Norm",
    "Rotary",
    "ShortConvolution",
]

CachePeaks: TypeAlias = "tuple[Array, Array]"
"""How large a layer's keys and its values become, by channel: float32 (key_heads * head_dim,) each."""


@dataclass(frozen=True, eq=False)
class Linear:
    """x (..., inputs) -> x @ weight.T + bias.

    Attributes:
        name: what the model calls the weight, such as `model.layers.0.self_attn.q_proj.weight`.
    """

    name: str
    weight: Array
    bias: Array | None = None

    @property
    def source(self) -> str:
        """The model's own parameter that it is, or is a part of, the first one of several."""
        return self.name.split("+")[0].split("[")[0]

    @classmethod
    def stacked(cls, parts: Sequence[Linear]) -> Linear:
        """Several products of one x as one, their outputs side by side; all have a bias, or none."""
        biases = [part.bias for part in parts if part.bias is not None]
        weight = np.concatenate([part.weight for part in parts])
        return cls("+".join(part.name for part in parts), weight, np.concatenate(biases) if biases else None)


@dataclass(frozen=True, eq=False)
class Norm:
    """Layer normalisation, or by the root mean square alone where there is no bias (arXiv 1910.07467)."""

    weight: Array
    epsilon: float
    bias: Array | None = None


@dataclass(frozen=True, eq=False)
class Rotary:
    """Rotary positions (arXiv 2104.09864): the first 2r of a head's numbers are turned, the half i with the half i + r.

    Attributes:
        cos: (context, r), and so is `sin`; whatever scaling the model has is in them.
    """

    cos: Array
    sin: Array


@dataclass(frozen=True, eq=False)
class Attention:
    """Causal attention, the heads of the queries in groups that share one head of keys and values (arXiv 2305.13245).

    Attributes:
        scale: of the products of queries and keys.
        window: how many positions a token sees, itself among them; 0 is all before it.
        rotary: None for a layer without positions.
        query_norm: over each head's numbers, before they are turned; or None, as `key_norm`.
    """

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    heads: int
    key_heads: int
    head_dim: int
    scale: float
    window: int = 0
    rotary: Rotary | None = None
    query_norm: Norm | None = None
    key_norm: Norm | None = None

    @property
    def reads(self) -> tuple[Linear, ...]:
        """The products of the state that comes in."""
        return self.query, self.key, self.value


@dataclass(frozen=True, eq=False)
class ShortConvolution:
    """output(after * conv(before * x)), a gated causal convolution of each channel over a few tokens (LFM2).

    It remembers as many tokens as the kernel has taps, however long the text is (arXiv 2511.23404).

    Attributes:
        inputs: before, after and x side by side: (3 * width, width).
        kernel: (width, taps), the last tap that of the token itself.
        bias: of the convolution, (width,), or None.
    """

    inputs: Linear
    output: Linear
    kernel: Array
    bias: Array | None = None

    @property
    def reads(self) -> tuple[Linear, ...]:
        """The product of the state that comes in."""
        return (self.inputs,)

    @property
    def taps(self) -> int:
        """Tokens that one sees, itself among them."""
        return int(self.kernel.shape[1])


@dataclass(frozen=True, eq=False)
class FeedForward:
    """down(activation(up(x))), or down(activation(gate(x)) * up(x)) with a gate (arXiv 2002.05202).

    Attributes:
        activation: `silu`, `gelu`, `gelu_tanh` or `relu`.
    """

    up: Linear
    down: Linear
    activation: str
    gate: Linear | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """One layer.

    Attributes:
        mixer: what lets tokens see those before them.
        before_feed_forward: None where both parts read the same normalised state, side by side.
        after_attention: of what the mixer adds, before it is added; or None, as `after_feed_forward`.
    """

    before_attention: Norm
    mixer: Attention | ShortConvolution
    feed_forward: FeedForward
    before_feed_forward: Norm | None
    after_attention: Norm | None = None
    after_feed_forward: Norm | None = None

    @property
    def attention(self) -> Attention:
        """The mixer of formats whose caches hold keys and values alone.

        Raises:
            UnsupportedConversion: it is none.
        """
        if isinstance(self.mixer, ShortConvolution):
            what = "a layer is a short convolution, whose state the caches of this format have no place for"
            raise UnsupportedConversion(what, hint="--format onnx")
        return self.mixer


@dataclass(frozen=True, eq=False)
class Decoder:
    """The whole of it.

    Attributes:
        embedding: (vocabulary, width).
        scale: of the embedding.
        positions: a row for each position, (context, width), or None.
        head: None where the embedding is the head as well.
        context: the most tokens, prompt and answer together.
    """

    embedding: Array
    blocks: tuple[Block, ...]
    norm: Norm
    context: int
    head: Linear | None = None
    scale: float = 1.0
    positions: Array | None = None

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows."""
        return int(self.embedding.shape[0])

    @property
    def width(self) -> int:
        """Numbers of a hidden state."""
        return int(self.embedding.shape[1])
