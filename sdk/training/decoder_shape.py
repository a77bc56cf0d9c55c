"""Shapes of models that write, by preset or by numbers, as the configuration that transformers makes a model of."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from edgewright.errors import UsageError

__all__ = ["PRESETS", "DecoderShape", "Family", "named"]

Family = Literal["llama", "gpt2", "lfm2"]
_LEAST_VOCABULARY = 257
"""A token for each byte, and one that ends a document."""
_THETA = 10000.0
"""Of rotary positions: Su et al. 2021 (arXiv 2104.09864), section 3.4.3, as in Llama."""
_TAPS = 3
"""Tokens that a short convolution sees: those of every LFM2 (its config.json, `conv_L_cache`)."""
_EVERY = 3
"""Of so many layers the last one attends: LFM2-350M's third, sixth, ninth ... do, denser at its end."""


@dataclass(frozen=True)
class DecoderShape:
    """A decoder: Llama (arXiv 2302.13971: rotary positions, RMS norms, SwiGLU), GPT-2 (learnt positions, GELU) or LFM2.

    LFM2 (arXiv 2511.23404) is Llama with norms of queries and keys in every third layer, and with a gated convolution
    over three tokens in place of attention in the others, whose memory does not grow with the text.

    The table of tokens is the last layer too (Press and Wolf, arXiv 1608.05859), in every shape.

    Attributes:
        family: `llama`, `gpt2` or `lfm2`.
        vocabulary: tokens.
        width: of the hidden states.
        layers: their number.
        heads: of attention.
        kv_heads: heads of keys and values, which divide `heads`: as many is multi-head attention, 1 multi-query
            (Shazeer, arXiv 1911.02150), between them grouped-query (Ainslie et al., arXiv 2305.13245). Not GPT-2's.
        feed_forward: neurons of a layer.
        context: tokens that the model reads at most.
        window: tokens that each one sees before it, 0 for all (Beltagy et al., arXiv 2004.05150, section 3.1); such a
            shape is Mistral's (arXiv 2310.06825), which is Llama's but for the window. Llama's alone.
    """

    family: Family = "llama"
    vocabulary: int = 4096
    width: int = 384
    layers: int = 5
    heads: int = 6
    kv_heads: int = 0
    feed_forward: int = 1024
    context: int = 512
    window: int = 0

    def __post_init__(self) -> None:
        """Raise UsageError for a shape that cannot be."""
        if self.family not in get_args(Family):
            raise UsageError(f"unknown shape {self.family!r}", hint=f"choose from {', '.join(get_args(Family))}")
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in ("kv_heads", "window") else 1
            if field.name != "family" and value < least:
                raise UsageError(f"{field.name} is {value}, it must be at least {least}")
        if self.vocabulary < _LEAST_VOCABULARY:
            raise UsageError(
                f"a vocabulary of {self.vocabulary} tokens is below {_LEAST_VOCABULARY}, one for each byte"
            )
        if self.width % (2 * self.heads):
            what = f"width {self.width} gives {self.heads} heads {self.width / self.heads:g} numbers each"
            raise UsageError(what, hint="an even number is needed: change the width or the heads")
        if self.heads % self.key_heads:
            raise UsageError(f"{self.heads} heads cannot share {self.key_heads} heads of keys and values evenly")
        if self.family == "gpt2" and (self.window or self.key_heads != self.heads):
            raise UsageError("GPT-2 has neither a window nor shared keys", hint="choose the shape llama")
        if self.family == "lfm2" and self.window:
            raise UsageError("LFM2's attention has no window", hint="choose the shape llama")

    @property
    def key_heads(self) -> int:
        """Heads of keys and values: `kv_heads`, or as many as there are heads."""
        return self.kv_heads or self.heads

    @property
    def attention_layers(self) -> list[int]:
        """The layers that attend; the others of LFM2 convolve."""
        if self.family != "lfm2":
            return list(range(self.layers))
        return list(range(min(_EVERY, self.layers) - 1, self.layers, _EVERY))

    @property
    def parameters(self) -> int:
        """Numbers to learn, the table of tokens once."""
        keys = self.width // self.heads * self.key_heads
        if self.family == "gpt2":
            layer = self.width * (4 * self.width + 2 * self.feed_forward + 9) + self.feed_forward
            return self.layers * layer + self.width * (self.vocabulary + self.context + 2)
        attention, attend = self.width * 2 * (self.width + keys), len(self.attention_layers)
        if self.family == "lfm2":
            attention += 2 * (self.width // self.heads)
        convolution = self.width * (4 * self.width + _TAPS)
        mixers = attend * attention + (self.layers - attend) * convolution
        return mixers + self.layers * self.width * (3 * self.feed_forward + 2) + self.width * (self.vocabulary + 1)

    def flops_per_token(self) -> int:
        """Operations of a training step for each token: Chowdhery et al. 2022 (arXiv 2204.02311), appendix B."""
        return 6 * self.parameters + 12 * len(self.attention_layers) * self.width * self.context

    def cache_bytes(self, value_bytes: int = 4) -> int:
        """Bytes that keys and values of a full context take, and the states of convolutions."""
        seen, attend = min(self.window or self.context, self.context), len(self.attention_layers)
        states = (self.layers - attend) * self.width * _TAPS
        return (2 * attend * self.key_heads * (self.width // self.heads) * seen + states) * value_bytes

    def config(self, *, dropout: float = 0.0, begin: int = 0, end: int = 0) -> dict[str, Any]:
        """What transformers' AutoConfig is made of: `model_type` and its fields.

        Raises:
            UsageError: `dropout` of a shape that has none.
        """
        ids = {"bos_token_id": begin, "eos_token_id": end, "vocab_size": self.vocabulary, "tie_word_embeddings": True}
        if self.family == "gpt2":
            names = {"n_embd": self.width, "n_layer": self.layers, "n_head": self.heads, "n_inner": self.feed_forward}
            drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
            return {"model_type": "gpt2", "n_positions": self.context, **names, **drops, **ids}
        sizes = {
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_heads,
            "head_dim": self.width // self.heads,
            "intermediate_size": self.feed_forward,
            "max_position_embeddings": self.context,
            "rope_theta": _THETA,
        }
        if self.family == "lfm2":
            return {"model_type": "lfm2", **sizes, **self._mixers(dropout), **ids}
        return {
            "model_type": "mistral" if self.window else "llama",
            **sizes,
            "attention_dropout": dropout,
            **({"sliding_window": self.window} if self.window else {}),
            **ids,
        }

    def _mixers(self, dropout: float) -> dict[str, Any]:
        if dropout:
            raise UsageError(f"dropout is {dropout}, LFM2 has none", hint="leave it out, or choose the shape llama")
        attend = self.attention_layers
        kinds = ["full_attention" if at in attend else "conv" for at in range(self.layers)]
        taps = {"conv_L_cache": _TAPS, "block_auto_adjust_ff_dim": False}
        return {"layer_types": kinds, **taps, "pad_token_id": None}  # its own is 0, whose row would stay zero

    def changed(self, **sizes: Any) -> DecoderShape:
        """The same with other sizes; None and 0 leave one as it is. Raises UsageError."""
        given = {name: value for name, value in sizes.items() if value}
        if "width" in given and "feed_forward" not in given:
            given["feed_forward"] = given["width"] * self.feed_forward // self.width // 32 * 32 or given["width"]
        if given.get("family") == "gpt2" and "feed_forward" not in given:
            given["feed_forward"] = 4 * given.get("width", self.width)
        if given.get("family") == "gpt2":
            given["kv_heads"] = 0
        if "heads" in given and "kv_heads" not in given:
            given["kv_heads"] = 0
        return replace(self, **given)


PRESETS = {
    "1m": DecoderShape(vocabulary=2048, width=128, layers=4, heads=4, kv_heads=2, feed_forward=352, context=256),
    "10m": DecoderShape(vocabulary=4096, width=384, layers=5, heads=6, kv_heads=6, feed_forward=1024, context=512),
    "60m": DecoderShape(vocabulary=16384, width=512, layers=16, heads=8, kv_heads=8, feed_forward=1408, context=512),
    "135m": DecoderShape(vocabulary=49152, width=576, layers=30, heads=9, kv_heads=3, feed_forward=1536, context=2048),
}
"""Parameters by name. The sizes are choices: heads of 32 to 64 numbers, most of the parameters in the layers, widths
that blocks of 32 and 64 divide; `135m` is SmolLM2-135M's (its config.json), with a shorter context."""


def named(preset: str) -> DecoderShape:
    """The shape of a preset. Raises UsageError."""
    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}", hint=f"choose from {', '.join(PRESETS)}")
    return PRESETS[preset]
