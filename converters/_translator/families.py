"""Encoder-decoders of transformers, family by family, as parts.

What is read here is held against the model itself by every build: logits, token for token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.converters._decoder.modules import activation, array, linear, norm
from edgewright.converters._decoder.parts import Attention, FeedForward, Linear
from edgewright.converters._translator.parts import Layer, Stack, Translator
from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["FAMILIES", "read"]


def read(model: Any, context: int) -> Translator:
    """The parts of a `transformers` model for conditional generation.

    Args:
        model: its weights are float32.
        context: the most tokens that are wanted, at most what the model was made for.

    Raises:
        UnsupportedConversion: of a family, or with an option, that is not read.
    """
    family = FAMILIES.get(model.config.model_type)
    if family is None:
        what = f"encoder-decoders of the family {model.config.model_type!r} are not converted"
        raise UnsupportedConversion(what, hint=f"these are: {', '.join(sorted(FAMILIES))}")
    return family(model, context)


def _marian(model: Any, context: int) -> Translator:
    """Marian: a table of positions, norms behind the sums, biases, one of the logits among them."""
    inner, config = model.model, model.config
    kind = activation(config.activation_function)
    encoder = Stack(
        array(inner.encoder.embed_tokens.weight),
        tuple(
            _marian_layer(layer, f"model.encoder.layers.{at}.", kind) for at, layer in enumerate(inner.encoder.layers)
        ),
        positions=array(inner.encoder.embed_positions.weight)[:context],
    )
    table, head = array(inner.decoder.embed_tokens.weight), array(model.lm_head.weight)
    tied = np.shares_memory(table, head)
    name = "embedding" if tied else "lm_head.weight"  # what is one table has one name, and lies in the file once
    decoder = Stack(
        table,
        tuple(
            _marian_layer(layer, f"model.decoder.layers.{at}.", kind) for at, layer in enumerate(inner.decoder.layers)
        ),
        positions=array(inner.decoder.embed_positions.weight)[:context],
        head=Linear(name, table if tied else head, array(model.final_logits_bias)[0]),
    )
    scale = float(np.float32(config.d_model**0.5)) if config.scale_embedding else 1.0
    return Translator(encoder, decoder, context, norm_first=False, scale=scale)


def _marian_layer(layer: Any, where: str, kind: str) -> Layer:
    cross = getattr(layer, "encoder_attn", None)
    return Layer(
        attention=_attention(layer.self_attn, f"{where}self_attn.", ("q_proj", "k_proj", "v_proj", "out_proj")),
        attention_norm=norm(layer.self_attn_layer_norm),
        feed_forward=FeedForward(linear(layer.fc1, f"{where}fc1"), linear(layer.fc2, f"{where}fc2"), kind),
        feed_forward_norm=norm(layer.final_layer_norm),
        cross=cross and _attention(cross, f"{where}encoder_attn.", ("q_proj", "k_proj", "v_proj", "out_proj")),
        cross_norm=norm(layer.encoder_attn_layer_norm) if cross is not None else None,
    )


def _t5(model: Any, context: int) -> Translator:
    """T5: distances instead of positions, RMS norms before the parts, attention that is not scaled.

    Version 1.0 multiplies the decoder's last state by 1/sqrt(width), version 1.1, whose head is a table of its own,
    does not.
    """
    config = model.config
    table, head = array(model.decoder.embed_tokens.weight), array(model.lm_head.weight)
    tied = np.shares_memory(table, head)
    encoder = _t5_stack(model.encoder, array(model.encoder.embed_tokens.weight), "encoder", context)
    decoder = _t5_stack(model.decoder, table, "decoder", context)
    decoder = Stack(
        table,
        decoder.layers,
        norm=decoder.norm,
        distances=decoder.distances,
        head=Linear("embedding" if tied else "lm_head.weight", table if tied else head),
    )
    scale = float(np.float32(config.d_model**-0.5)) if config.scale_decoder_outputs else 1.0
    return Translator(encoder, decoder, context, norm_first=True, head_scale=scale)


def _t5_stack(stack: Any, table: NDArray[np.float32], name: str, context: int) -> Stack:
    kind = activation(stack.config.dense_act_fn)
    layers = tuple(_t5_layer(block.layer, f"{name}.block.{at}.layer.", kind) for at, block in enumerate(stack.block))
    first = stack.block[0].layer[0].SelfAttention
    distances = _distances(first, context)
    return Stack(table, layers, norm=norm(stack.final_layer_norm), distances=distances)


def _t5_layer(parts: Any, where: str, kind: str) -> Layer:
    names = ("q", "k", "v", "o")
    last = len(parts) - 1
    cross = parts[1] if last == 2 else None
    return Layer(
        attention=_attention(parts[0].SelfAttention, f"{where}0.SelfAttention.", names),
        attention_norm=norm(parts[0].layer_norm),
        feed_forward=_t5_feed_forward(parts[last].DenseReluDense, f"{where}{last}.DenseReluDense.", kind),
        feed_forward_norm=norm(parts[last].layer_norm),
        cross=cross and _attention(cross.EncDecAttention, f"{where}1.EncDecAttention.", names),
        cross_norm=norm(cross.layer_norm) if cross is not None else None,
    )


def _t5_feed_forward(part: Any, where: str, kind: str) -> FeedForward:
    down = linear(part.wo, f"{where}wo")
    if hasattr(part, "wi"):
        return FeedForward(linear(part.wi, f"{where}wi"), down, kind)
    return FeedForward(linear(part.wi_1, f"{where}wi_1"), down, kind, gate=linear(part.wi_0, f"{where}wi_0"))


def _distances(attention: Any, context: int) -> NDArray[np.float32]:
    """The biases of a stack by distance, as the attention itself counts its buckets."""
    biases = array(attention.compute_bias(context, context))[0]  # (heads, queries, keys)
    before = biases[:, -1]
    return before if attention.is_decoder else np.concatenate([before[:, :-1], biases[:, 0]], axis=1)


def _attention(module: Any, where: str, names: tuple[str, str, str, str]) -> Attention:
    query, key, value, output = (linear(getattr(module, name), f"{where}{name}") for name in names)
    heads = getattr(module, "num_heads", None) or module.n_heads
    width = query.weight.shape[0]
    scale = float(module.scaling)
    return Attention(query, key, value, output, heads=heads, key_heads=heads, head_dim=width // heads, scale=scale)


FAMILIES: dict[str, Callable[[Any, int], Translator]] = {"marian": _marian, "t5": _t5}
"""`model_type` of config.json -> how it is read."""
