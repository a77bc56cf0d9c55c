"""The sizes of a transformer, as the families of models name them in config.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NAMES", "Sizes"]

NAMES: dict[str, tuple[str, ...]] = {
    "width": ("hidden_size", "dim", "n_embd", "d_model"),
    "inner": ("intermediate_size", "hidden_dim", "n_inner", "ffn_dim", "d_ff", "d_inner", "encoder_ffn_dim"),
    "layers": ("encoder_layers", "num_hidden_layers", "n_layers", "n_layer", "num_layers"),
    "heads": ("encoder_attention_heads", "num_attention_heads", "n_heads", "n_head", "num_heads"),
    "key_value_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim", "d_kv"),
    "vocabulary": ("vocab_size",),
    "positions": ("max_position_embeddings", "n_positions"),
    "embedding": ("embedding_size", "word_embed_proj_dim"),
    "decoder_layers": ("decoder_layers", "num_decoder_layers"),
    "decoder_heads": ("decoder_attention_heads",),
    "decoder_inner": ("decoder_ffn_dim",),
}
"""What each size is called: by BERT and most others, DistilBERT, GPT-2, T5, OPT, XLNet, BART and Marian.

The encoder's own names come first, since BART's old files say `num_hidden_layers` beside them.
"""

_INNER_TIMES = 4
"""Inner states for one of the width, where `n_inner` is null or not there (transformers, modeling_gpt2.py)."""


@dataclass(frozen=True)
class Sizes:
    """Of a transformer, 0 where config.json does not tell.

    Attributes:
        width: of the hidden states.
        inner: neurons of the feed-forward part of a layer.
        layers: of the only stack, or of the encoder.
        heads: of attention in a layer, those of the queries.
        key_value_heads: those of keys and values, which are fewer in grouped-query attention.
        head_dim: the width of one head; a family may set it apart from width / heads.
        vocabulary: rows of the embedding table.
        embedding: the width of that table.
        positions: rows of the position table, or the longest text that the model was made for.
        decoder_layers: of an encoder-decoder's decoder, as the two that follow; 0 for a model of one stack.
        decoder_heads: see `heads`.
        decoder_inner: see `inner`.
    """

    width: int = 0
    inner: int = 0
    layers: int = 0
    heads: int = 0
    key_value_heads: int = 0
    head_dim: int = 0
    vocabulary: int = 0
    embedding: int = 0
    positions: int = 0
    decoder_layers: int = 0
    decoder_heads: int = 0
    decoder_inner: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Sizes:
        """The sizes that `config`, a config.json, gives; of a model of images and texts those of its text model."""
        inside = config.get("text_config")
        if isinstance(inside, dict) and not _size(config, "width"):
            return cls.of({**inside, "text_config": None})
        width, heads, layers = (_size(config, field) for field in ("width", "heads", "layers"))
        inner = _size(config, "inner") or _INNER_TIMES * width * _implied(config)
        attended = config.get("true_hidden_size", width)  # MobileBERT's, of its bottlenecks
        both = config.get("is_encoder_decoder") is True
        return cls(
            width=width,
            inner=inner,
            layers=layers,
            heads=heads,
            key_value_heads=_size(config, "key_value_heads") or heads,
            head_dim=_size(config, "head_dim") or (attended // heads if heads and type(attended) is int else 0),
            vocabulary=_size(config, "vocabulary"),
            embedding=_size(config, "embedding") or width,
            positions=_size(config, "positions"),
            decoder_layers=(_size(config, "decoder_layers") or layers) if both else 0,
            decoder_heads=(_size(config, "decoder_heads") or heads) if both else 0,
            decoder_inner=(_size(config, "decoder_inner") or inner) if both else 0,
        )

    @property
    def query_width(self) -> int:
        """The queries of all heads together: the width, where the heads are not told."""
        return self.heads * self.head_dim or self.width

    @property
    def key_value_width(self) -> int:
        """The keys of all heads together, and the values."""
        return self.key_value_heads * self.head_dim or self.width


def _size(config: Mapping[str, Any], field: str) -> int:
    found = (config.get(name) for name in NAMES[field])
    return next((size for size in found if type(size) is int and size > 0), 0)


def _implied(config: Mapping[str, Any]) -> bool:
    """Whether the inner states follow from the width: a name for them is null, or GPT-2's old files leave it out."""
    named = [name for name in NAMES["inner"] if name in config]
    return bool(named) or "n_embd" in config
