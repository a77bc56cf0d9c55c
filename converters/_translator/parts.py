"""The parts of an encoder-decoder, as arrays: what every format writes its graphs from.

    encoder:  h = embedding[source] * scale (+ positions);  layers of attention, feed-forward
    decoder:  h = embedding[target] * scale (+ positions);  layers of attention, attention to the encoder, feed-forward
    logits = head(h * head_scale)

A layer adds to the state what a part makes of it. Marian normalises the sum, T5 what the part reads (`norm_first`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgewright.converters._decoder.parts import Attention, FeedForward, Linear, Norm

    Array = NDArray[np.float32]

__all__ = ["Layer", "Stack", "Translator"]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a stack.

    Attributes:
        cross: attention whose keys and values are made of the encoder's last state, None in the encoder.
    """

    attention: Attention
    attention_norm: Norm
    feed_forward: FeedForward
    feed_forward_norm: Norm
    cross: Attention | None = None
    cross_norm: Norm | None = None


@dataclass(frozen=True, eq=False)
class Stack:
    """The encoder, or the decoder.

    Attributes:
        embedding: (vocabulary, width); both stacks of most models have the same one.
        positions: a row for each position, (context, width), or None.
        norm: of the last state, or None.
        distances: what attention adds for each distance of a key from its query: (heads, 2 * context - 1) from
            1 - context on in the encoder, (heads, context) in the decoder from context - 1 tokens before it to the
            query itself; or None.
        head: of the decoder, from states to logits.
    """

    embedding: Array
    layers: tuple[Layer, ...]
    positions: Array | None = None
    norm: Norm | None = None
    distances: Array | None = None
    head: Linear | None = None

    @property
    def vocabulary(self) -> int:
        """How many tokens it knows."""
        return int(self.embedding.shape[0])

    @property
    def width(self) -> int:
        """Numbers of a hidden state."""
        return int(self.embedding.shape[1])


@dataclass(frozen=True, eq=False)
class Translator:
    """The whole of it.

    Attributes:
        norm_first: whether a norm stands before its part, and not behind the sum.
        scale: of the embeddings.
        head_scale: of the decoder's last state.
        context: the most tokens of a source, and of a target.
    """

    encoder: Stack
    decoder: Stack
    context: int
    norm_first: bool
    scale: float = 1.0
    head_scale: float = 1.0
