"""Decoders of transformers, family by family, as parts.

What is read here is held against the model itself by every build: logits, position for position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewright.converters._decoder.modules import activation, array, linear, norm
from edgewright.converters._decoder.parts import (
    Attention,
    Block,
    Decoder,
    FeedForward,
    Linear,
    Norm,
    Rotary,
    ShortConvolution,
)
from edgewright.errors import UnsupportedConversion

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["FAMILIES", "read"]

_BY_LENGTH = ("dynamic", "longrope")
"""Rotary scalings that change with the length of the text: keys in the cache would have to be turned again."""


def read(model: Any, context: int) -> Decoder:
    """The parts of a `transformers` causal language model.

    Args:
        model: its weights are float32.
        context: the most tokens that are wanted, at most what the model was made for.

    Raises:
        UnsupportedConversion: of a family, or with an option, that is not read.
    """
    config = model.config
    family = FAMILIES.get(config.model_type)
    if family is None:
        what = f"decoders of the family {config.model_type!r} are not converted"
        raise UnsupportedConversion(what, hint=f"these are: {', '.join(sorted(FAMILIES))}")
    for option in ("attn_logit_softcapping", "final_logit_softcapping"):
        if getattr(config, option, None):
            what = f"{option} {getattr(config, option)} of config.json is not carried out"
            raise UnsupportedConversion(what, hint="no engine here has it in its attention")
    return family(model, context)


def _llama(model: Any, context: int) -> Decoder:
    """Llama and its kin: RMS norms, rotary positions, a gated feed-forward part; with norms of queries where it has."""
    inner, config = model.model, model.config
    offset = float(config.model_type.startswith("gemma"))
    rotary = _Rotaries(inner, context)
    blocks = []
    for at, layer in enumerate(inner.layers):
        attention = layer.self_attn
        where = f"model.layers.{at}."
        query, key, value = _queries_keys_values(attention, config, where)
        blocks.append(
            Block(
                before_attention=norm(layer.input_layernorm, offset),
                mixer=Attention(
                    query,
                    key,
                    value,
                    linear(attention.o_proj, f"{where}self_attn.o_proj"),
                    **_heads(attention, config),
                    window=_window(config, at),
                    rotary=rotary.of(at) if _turned(config, at) else None,
                    query_norm=_optional_norm(attention, "q_norm", offset),
                    key_norm=_optional_norm(attention, "k_norm", offset),
                ),
                feed_forward=_gated(layer.mlp, config, f"{where}mlp."),
                before_feed_forward=norm(_second_norm(layer), offset),
                after_attention=_optional_norm(layer, _after(layer, "post_attention_layernorm"), offset),
                after_feed_forward=_optional_norm(layer, "post_feedforward_layernorm", offset),
            )
        )
    scale = float(np.float32(config.hidden_size**0.5)) if config.model_type.startswith("gemma") else 1.0
    return _whole(model, inner.embed_tokens, blocks, norm(inner.norm, offset), context, scale=scale)


def _phi(model: Any, context: int) -> Decoder:
    """Phi 1 to 2: attention and feed-forward side by side, biases, a part of each head turned."""
    inner, config = model.model, model.config
    rotary = _Rotaries(inner, context)
    if config.qk_layernorm:
        raise UnsupportedConversion("qk_layernorm of config.json is not carried out", hint="phi-1, 1.5 and 2 have none")
    blocks = []
    for at, layer in enumerate(inner.layers):
        attention, where = layer.self_attn, f"model.layers.{at}."
        query, key, value = _queries_keys_values(attention, config, where)
        output = linear(attention.dense, f"{where}self_attn.dense")
        found = Attention(query, key, value, output, **_heads(attention, config), rotary=rotary.of(at))
        blocks.append(
            Block(
                before_attention=norm(layer.input_layernorm),
                mixer=found,
                feed_forward=FeedForward(
                    linear(layer.mlp.fc1, f"{where}mlp.fc1"),
                    linear(layer.mlp.fc2, f"{where}mlp.fc2"),
                    activation(config.hidden_act),
                ),
                before_feed_forward=None,
            )
        )
    return _whole(model, inner.embed_tokens, blocks, norm(inner.final_layernorm), context)


def _gpt2(model: Any, context: int) -> Decoder:
    """GPT-2: a table of positions, layer norms, weights stored the other way round."""
    inner, config = model.transformer, model.config
    if config.scale_attn_by_inverse_layer_idx or not config.scale_attn_weights:
        what = "GPT-2 with attention scaled by the layer, or not at all, is not converted"
        raise UnsupportedConversion(what, hint="scale_attn_by_inverse_layer_idx false, scale_attn_weights true are")
    width, heads = config.n_embd, config.n_head
    blocks = []
    for at, layer in enumerate(inner.h):
        where = f"transformer.h.{at}."
        packed = _transposed(layer.attn.c_attn, f"{where}attn.c_attn")
        query, key, value = _split(packed, (width, width, width))
        attention = Attention(
            query,
            key,
            value,
            _transposed(layer.attn.c_proj, f"{where}attn.c_proj"),
            heads=heads,
            key_heads=heads,
            head_dim=width // heads,
            scale=(width // heads) ** -0.5,
        )
        blocks.append(
            Block(
                before_attention=norm(layer.ln_1),
                mixer=attention,
                feed_forward=FeedForward(
                    _transposed(layer.mlp.c_fc, f"{where}mlp.c_fc"),
                    _transposed(layer.mlp.c_proj, f"{where}mlp.c_proj"),
                    activation(config.activation_function),
                ),
                before_feed_forward=norm(layer.ln_2),
            )
        )
    positions = array(inner.wpe.weight)[:context]
    return _whole(model, inner.wte, blocks, norm(inner.ln_f), context, positions=positions)


def _lfm2(model: Any, context: int) -> Decoder:
    """LFM2 (arXiv 2511.23404): short convolutions, and among them grouped-query attention as Qwen 3 has it."""
    inner, config = model.model, model.config
    rotary = _Rotaries(inner, context)
    blocks = []
    for at, layer in enumerate(inner.layers):
        where, part = f"model.layers.{at}.", layer.feed_forward
        blocks.append(
            Block(
                before_attention=norm(layer.operator_norm),
                mixer=_lfm2_mixer(layer, config, where, rotary.of(at)),
                feed_forward=FeedForward(
                    linear(part.w3, f"{where}feed_forward.w3"),
                    linear(part.w2, f"{where}feed_forward.w2"),
                    "silu",
                    linear(part.w1, f"{where}feed_forward.w1"),
                ),
                before_feed_forward=norm(layer.ffn_norm),
            )
        )
    return _whole(model, inner.embed_tokens, blocks, norm(inner.embedding_norm), context)


def _lfm2_mixer(layer: Any, config: Any, where: str, rotary: Rotary) -> Attention | ShortConvolution:
    if not layer.is_attention_layer:
        part = layer.conv
        bias = None if part.conv.bias is None else array(part.conv.bias)
        inputs, output = (linear(getattr(part, f"{name}_proj"), f"{where}conv.{name}_proj") for name in ("in", "out"))
        return ShortConvolution(inputs, output, array(part.conv.weight)[:, 0], bias)
    attention = layer.self_attn
    return Attention(
        *_queries_keys_values(attention, config, where),
        linear(attention.out_proj, f"{where}self_attn.out_proj"),
        **_heads(attention, config),
        rotary=rotary,
        query_norm=norm(attention.q_layernorm),
        key_norm=norm(attention.k_layernorm),
    )


FAMILIES: dict[str, Callable[[Any, int], Decoder]] = {
    "gemma": _llama,
    "gemma3_text": _llama,
    "gpt2": _gpt2,
    "lfm2": _lfm2,
    "llama": _llama,
    "mistral": _llama,
    "phi": _phi,
    "phi3": _llama,
    "qwen2": _llama,
    "qwen3": _llama,
    "smollm3": _llama,
}
"""`model_type` of config.json -> how it is read."""


class _Rotaries:
    """The tables of angles as the model itself computes them, each distinct one once."""

    def __init__(self, inner: Any, context: int) -> None:
        self._module, self._context = inner.rotary_emb, context
        self._kinds = getattr(inner.config, "layer_types", None)
        self._known: dict[str, Rotary] = {}

    def of(self, layer: int) -> Rotary:
        by_kind = hasattr(self._module, "layer_types")  # Gemma 3 turns its local layers by another base
        kind = str(self._kinds[layer]) if by_kind and self._kinds else ""
        if kind not in self._known:
            self._known[kind] = self._computed(kind)
        return self._known[kind]

    def _computed(self, kind: str) -> Rotary:
        import torch

        named = self._module.rope_type
        scaling = named[kind] if isinstance(named, dict) else named
        if scaling in _BY_LENGTH:
            what = f"rotary positions of the type {scaling!r} are not converted"
            raise UnsupportedConversion(what, hint="their angles change with the length of the text")
        positions = torch.arange(self._context)[None]
        more = (kind,) if kind else ()
        cos, sin = self._module(torch.zeros(1, 1, dtype=torch.float32), positions, *more)
        half = cos.shape[-1] // 2
        return Rotary(array(cos[0, :, :half]), array(sin[0, :, :half]))


def _whole(
    model: Any,
    embedding: Any,
    blocks: list[Block],
    norm: Norm,
    context: int,
    *,
    scale: float = 1.0,
    positions: NDArray[np.float32] | None = None,
) -> Decoder:
    table, head = array(embedding.weight), linear(model.lm_head, "lm_head")
    tied = head.bias is None and (head.weight is table or np.shares_memory(head.weight, table))
    return Decoder(table, tuple(blocks), norm, context, None if tied else head, scale, positions)


def _queries_keys_values(attention: Any, config: Any, where: str) -> tuple[Linear, Linear, Linear]:
    if hasattr(attention, "qkv_proj"):
        heads = _heads(attention, config)
        sizes = tuple(count * heads["head_dim"] for count in (heads["heads"], heads["key_heads"], heads["key_heads"]))
        query, key, value = _split(linear(attention.qkv_proj, f"{where}self_attn.qkv_proj"), sizes)
        return query, key, value
    query, key, value = (
        linear(getattr(attention, f"{part}_proj"), f"{where}self_attn.{part}_proj") for part in ("q", "k", "v")
    )
    return query, key, value


def _gated(mlp: Any, config: Any, where: str) -> FeedForward:
    kind = activation(getattr(config, "hidden_activation", None) or config.hidden_act)
    if hasattr(mlp, "gate_up_proj"):
        packed = linear(mlp.gate_up_proj, f"{where}gate_up_proj")
        gate, up = _split(packed, (packed.weight.shape[0] // 2,) * 2)
    else:
        gate, up = linear(mlp.gate_proj, f"{where}gate_proj"), linear(mlp.up_proj, f"{where}up_proj")
    return FeedForward(up, linear(mlp.down_proj, f"{where}down_proj"), kind, gate)


def _heads(attention: Any, config: Any) -> dict[str, Any]:
    heads = config.num_attention_heads
    return {
        "heads": heads,
        "key_heads": config.num_key_value_heads or heads,
        "head_dim": attention.head_dim,
        "scale": float(attention.scaling),
    }


def _window(config: Any, layer: int) -> int:
    """How many positions the layer sees, 0 for all, as each family's mask has it."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and kinds[layer] == "full_attention":
        return 0
    return int(getattr(config, "sliding_window", None) or 0)


def _turned(config: Any, layer: int) -> bool:
    """SmolLM3 leaves the positions out of some layers."""
    turned = getattr(config, "no_rope_layers", None)
    return turned is None or bool(turned[layer])


def _second_norm(layer: Any) -> Any:
    """The norm before the feed-forward part; Gemma 2 and 3 have one of its own, the others misname theirs."""
    own = getattr(layer, "pre_feedforward_layernorm", None)
    return layer.post_attention_layernorm if own is None else own


def _after(layer: Any, name: str) -> str:
    return name if hasattr(layer, "pre_feedforward_layernorm") else ""


def _optional_norm(module: Any, name: str, offset: float) -> Norm | None:
    found = getattr(module, name, None) if name else None
    return None if found is None else norm(found, offset)


def _transposed(module: Any, name: str) -> Linear:
    """GPT-2's `Conv1D`, (inputs, outputs)."""
    return Linear(f"{name}.weight", array(module.weight).T, array(module.bias))


def _split(packed: Linear, sizes: tuple[int, ...]) -> tuple[Linear, ...]:
    ends = np.cumsum(sizes)[:-1]
    weights = np.split(packed.weight, ends)
    biases = [None] * len(sizes) if packed.bias is None else np.split(packed.bias, ends)
    return tuple(Linear(f"{packed.name}[{at}]", w, b) for at, (w, b) in enumerate(zip(weights, biases, strict=True)))
